//! What columns are commonly called.

/// A name in lower-case letters and digits only: `Customer ID`, `customer_id` and `customerId` are one.
pub(super) fn key(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

pub(super) const USER_ID: &[&str] = &[
    "userid",
    "customerid",
    "custid",
    "clientid",
    "memberid",
    "personid",
    "contactid",
    "subscriberid",
    "shopperid",
    "customernumber",
    "customerno",
    "uid",
    "kundennummer",
    "kundennr",
];
/// What is a person's id only if nothing else is.
pub(super) const ANY_ID: &[&str] = &["id", "uniqueid", "recordid"];
pub(super) const ANONYMOUS_ID: &[&str] = &["anonymousid", "visitorid", "cookieid", "sessionuserid", "clientcookie"];
pub(super) const DEVICE_ID: &[&str] = &["deviceid"];
pub(super) const EMAIL: &[&str] = &["email", "emailaddress", "mail", "useremail", "customeremail", "contactemail"];
pub(super) const PHONE: &[&str] = &[
    "phone",
    "phonenumber",
    "mobile",
    "mobilephone",
    "mobilenumber",
    "telephone",
    "tel",
    "cell",
    "cellphone",
    "msisdn",
];

pub(super) const EVENT_NAME: &[&str] =
    &["event", "eventname", "eventtype", "action", "activity", "eventaction", "activitytype"];
pub(super) const EVENT_TIME: &[&str] = &[
    "timestamp",
    "eventtime",
    "eventtimestamp",
    "occurredat",
    "datetime",
    "time",
    "ts",
    "orderdate",
    "ordertime",
    "orderedat",
    "orderpurchasetimestamp",
    "purchasedate",
    "purchasedat",
    "transactiondate",
    "transactiontime",
    "invoicedate",
    "date",
    "eventdate",
    "createdat",
    "created",
    "creationdate",
];
pub(super) const STATE_TIME: &[&str] = &[
    "updatedat",
    "lastupdated",
    "lastupdate",
    "updated",
    "modifiedat",
    "lastmodified",
    "modified",
    "modifieddate",
    "timestamp",
];

pub(super) const ORDER_ID: &[&str] = &[
    "orderid",
    "ordernumber",
    "orderno",
    "invoice",
    "invoiceno",
    "invoiceid",
    "invoicenumber",
    "transactionid",
    "basketid",
];
pub(super) const REVENUE: &[&str] = &[
    "revenue",
    "total",
    "amount",
    "ordertotal",
    "totalamount",
    "orderamount",
    "ordervalue",
    "totalprice",
    "price",
    "dollars",
    "sales",
    "payment",
];
pub(super) const QUANTITY: &[&str] = &["quantity", "qty", "items", "units", "itemcount"];

/// Whether a column of this name tells a time, so that its digits may be one.
pub(super) fn is_time(key: &str) -> bool {
    let ends = ["at", "date", "time", "timestamp", "on", "ts", "day", "datum"];
    EVENT_TIME.contains(&key)
        || STATE_TIME.contains(&key)
        || ["dob", "birthday", "birthdate", "dateofbirth"].contains(&key)
        || (key.contains("date") || key.contains("time")) && ends.iter().any(|end| key.ends_with(end))
        || ["createdat", "signupat", "lastseen", "firstseen"].contains(&key)
}

/// Whether a time of this name is of a person's life rather than of an event.
pub(super) fn is_of_a_person(key: &str) -> bool {
    ["birth", "dob", "signup", "register", "updated", "modified", "expir", "lastseen", "firstseen"]
        .iter()
        .any(|part| key.contains(part))
}

/// Whether digits in a column of this name are a code and no amount.
pub(super) fn is_code(key: &str) -> bool {
    let parts = ["zip", "postcode", "postal", "plz", "phone", "mobile", "sku", "ean", "isbn", "barcode"];
    key.ends_with("id") || ORDER_ID.contains(&key) || parts.iter().any(|part| key.contains(part))
}

/// Whether a column of this name holds what a profile should not.
pub(super) fn is_secret(key: &str) -> bool {
    let parts = [
        "password",
        "passwd",
        "pwd",
        "secret",
        "token",
        "apikey",
        "cvv",
        "cvc",
        "ssn",
        "socialsecurity",
        "creditcard",
        "cardnumber",
        "pinhash",
    ];
    parts.iter().any(|part| key.contains(part))
}
