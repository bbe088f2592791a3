//! Guesses as they are shown, and that each can be used as it is unless it says why not.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use onefold_collect::{Digest, Events, Mapping, ReadOptions, RowIds, guess::guess, open, sample};

fn check_file(path: &Path, expect: Expect) {
    let sample_of = |options: &ReadOptions| sample(path, options, 1000).unwrap();
    let guess = guess(&sample_of(&ReadOptions::default()));
    let problems: String = guess.problems.iter().map(|problem| format!("! {problem}\n")).collect();
    expect.assert_eq(&(guess.toml.clone() + &problems));
    let mapping = Mapping::parse(&guess.toml).unwrap_or_else(|error| panic!("{error}\n{}", guess.toml));
    let options = mapping.read_options();
    let bound = mapping.bind(&sample_of(&options), RowIds::new("s", &Digest([0; 32])));
    assert_eq!(bound.is_err(), !guess.problems.is_empty(), "{bound:?}");
    let Ok(mapper) = bound else { return };
    let mut rows = open(path, &options).unwrap();
    let mut events = Events::default();
    while let Some(row) = rows.next() {
        mapper.apply(&row.unwrap(), &mut events).unwrap();
    }
    assert!(!events.is_empty());
}

fn check(name: &str, content: &[u8], expect: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    check_file(&path, expect);
}

#[test]
fn customers() {
    check(
        "a.csv",
        b"Customer ID,E-Mail,Mobile Phone,First Name,Age,Newsletter,Birth Date,Postcode,Updated At,Password\n\
          7,ada@example.com,+49 89 1234567,Ada,36,yes,1815-12-10,02134,2024-03-01 10:00:00,x\n\
          8,,,Bob,NULL,no,,10115,2024-03-02 10:00:00,y\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            null = ["NULL"]  # these count as nothing

            kind = "identify"
            identifiers = { user_id = "Customer ID", email = "E-Mail", phone = "Mobile Phone" }
            timestamp = "Updated At"

            [traits]
            "First Name" = "First Name"
            Age = { column = "Age", type = "number" }
            Newsletter = { column = "Newsletter", type = "boolean" }
            "Birth Date" = { column = "Birth Date", type = "date" }
            Postcode = "Postcode"
            # Password = "Password"  # left out: looks like a secret
        "##]],
    );
}

#[test]
fn orders_with_semicolons() {
    check(
        "a.csv",
        b"Bestellung;Kundennummer;order_id;order_date;amount;qty;payload;empty\n\
          1;K1;A-1;03.04.2024 10:30;1.234,50;2;\"{\"\"a\"\":1}\";\n\
          2;K2;A-2;13.04.2024 11:00;9,99;1;{};\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            delimiter = ";"

            kind = "track"
            event = "Order Completed"  # no column names the event
            identifiers = { user_id = "Kundennummer" }
            timestamp = { column = "order_date", format = "%d.%m.%Y %H:%M" }

            [properties]
            Bestellung = { column = "Bestellung", type = "number" }
            order_id = "order_id"
            revenue = { column = "amount", type = "number", decimal = "," }
            quantity = { column = "qty", type = "number" }
            payload = { column = "payload", type = "json" }
            # empty = "empty"  # left out: nothing in it
        "##]],
    );
}

#[test]
fn a_log_of_events_with_ambiguous_days() {
    check(
        "a.csv",
        b"id,user_id,event,date,value\n1,u1,Signed Up,03/04/2024,1\n2,u2,Left,05/06/2024,2\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            kind = "track"
            event = { column = "event" }
            identifiers = { user_id = "user_id" }
            timestamp = { column = "date", format = "%m/%d/%Y" }  # day and month could be the other way round

            [properties]
            id = "id"
            value = { column = "value", type = "number" }
        "##]],
    );
    check(
        "a.csv",
        b"user_id;action;time\nu1;a;03/04/2024\n",
        expect![[r##"
            # Guessed from the first rows of the file (1); look through it before use.

            delimiter = ";"

            kind = "track"
            event = { column = "action" }
            identifiers = { user_id = "user_id" }
            timestamp = { column = "time", format = "%d/%m/%Y" }  # day and month could be the other way round
        "##]],
    );
}

#[test]
fn epochs_and_national_phone_numbers() {
    check(
        "a.csv",
        b"uid,event_type,ts,phone\n1,login,1709287200,089 1234\n2,logout,1709287300,030 99\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            kind = "track"
            event = { column = "event_type" }
            identifiers = { user_id = "uid" }
            timestamp = "ts"

            [properties]
            phone = "phone"
        "##]],
    );
}

#[test]
fn without_a_header_or_identifier() {
    check(
        "a.txt",
        b" 00004 0001 19970101  2   29.33\r\n 00021 0002 19970118  2   29.73\r\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            delimiter = "whitespace"
            columns = ["column_1", "column_2", "column_3", "column_4", "column_5"]  # there is no header: give them names

            kind = "identify"
            identifiers = {}  # name the column that says who it is: { user_id = "…" }

            [traits]
            column_1 = "column_1"
            column_2 = "column_2"
            column_3 = { column = "column_3", type = "number" }
            column_4 = { column = "column_4", type = "number" }
            column_5 = { column = "column_5", type = "number" }
            ! no column is known to say who a row is about; put it into identifiers
        "##]],
    );
}

#[test]
fn windows_1252() {
    check(
        "a.csv",
        b"id,name\n1,Zo\xeb\n2,Ren\xe9e\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            encoding = "windows-1252"  # it is not UTF-8

            kind = "identify"
            identifiers = { user_id = "id" }

            [traits]
            name = "name"
        "##]],
    );
}

#[test]
fn json_objects_keep_their_types() {
    check(
        "a.ndjson",
        b"{\"id\":1,\"email\":\"a@b.example\",\"n\":1.5,\"ok\":true,\"address\":{\"city\":\"Rome\"},\"odd \\\"name\\\"\":\"x\",\"updated_at\":\"2024-03-01T10:00:00Z\"}\n",
        expect![[r##"
            # Guessed from the first rows of the file (1); look through it before use.

            kind = "identify"
            identifiers = { user_id = "id", email = "email" }
            timestamp = "updated_at"

            [traits]
            n = "n"
            ok = "ok"
            address = "address"
            "odd \"name\"" = "odd \"name\""
        "##]],
    );
}

#[test]
fn events_pass_through() {
    check(
        "a.ndjson",
        b"{\"type\":\"track\",\"event\":\"A\",\"userId\":\"u\"}\n{\"type\":\"identify\",\"anonymousId\":\"a\"}\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            # The rows are events already, as the Segment and RudderStack APIs take them.
            kind = "event"
        "##]],
    );
}

#[test]
fn the_people_of_a_telephone_company_have_no_identifier() {
    check(
        "a.csv",
        b"churn,female,senior_citizen,tenure,contract,total_charges\nNo,1.0,0,1,Month-to-month,29.85\nYes,0.0,0,34,One year,\n",
        expect![[r##"
            # Guessed from the first rows of the file (2); look through it before use.

            kind = "identify"
            identifiers = {}  # name the column that says who it is: { user_id = "…" }

            [traits]
            churn = { column = "churn", type = "boolean" }
            female = { column = "female", type = "number" }
            senior_citizen = { column = "senior_citizen", type = "number" }
            tenure = { column = "tenure", type = "number" }
            contract = "contract"
            total_charges = { column = "total_charges", type = "number" }
            ! no column is known to say who a row is about; put it into identifiers
        "##]],
    );
}

proptest::proptest! {
    /// Whatever stands in a header, the guess is a mapping that can be read.
    #[test]
    fn every_guess_is_a_mapping(header in "[a-zA-Z\"\\\\=\\[\\]#.éx ]{1,12},[ -~]{1,12}", value in "[ -~]{0,12}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, format!("{header}\n{value},x\n")).unwrap();
        if let Ok(sample) = sample(&path, &ReadOptions::default(), 1000) {
            let guess = guess(&sample);
            proptest::prop_assert!(Mapping::parse(&guess.toml).is_ok(), "{}", guess.toml);
        }
    }
}
