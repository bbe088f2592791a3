//! A model from the columns alone: what they are called, and what is in them.

use crate::{
    model::{Comparison, DateOrder, Kind, Model, ModelError, Shared, Thresholds, VERSION},
    prepare::{fold, is_null, prepare},
    rules,
    table::{Column, Table},
};

/// Distinct values that are looked at.
const VALUES_MAX: usize = 2_000;

/// What columns are called, in the order in which they are tried: a word of the name is one of these, or the whole name
/// without its separators.
const NAMES: &[(Kind, &[&str])] = &[
    (Kind::Email, &["email", "mail", "emailaddress", "correo", "pochta", "epost"]),
    (
        Kind::Phone,
        &[
            "phone",
            "mobile",
            "tel",
            "telephone",
            "cell",
            "cellphone",
            "landline",
            "fax",
            "phonenumber",
            "mobilenumber",
            "telefon",
            "handy",
            "mobil",
            "telefono",
            "movil",
            "celular",
            "komorka",
            "телефон",
        ],
    ),
    (
        Kind::Date,
        &[
            "dob",
            "birth",
            "birthdate",
            "birthday",
            "dateofbirth",
            "born",
            "geburtsdatum",
            "geburtstag",
            "geburt",
            "nacimiento",
            "fechanacimiento",
            "dataurodzenia",
            "urodzenia",
            "рождения",
            "bday",
        ],
    ),
    (
        Kind::GivenName,
        &[
            "given",
            "givenname",
            "first",
            "firstname",
            "fname",
            "forename",
            "vorname",
            "rufname",
            "nombre",
            "imie",
            "имя",
            "prenom",
        ],
    ),
    (
        Kind::Surname,
        &[
            "surname",
            "last",
            "lastname",
            "lname",
            "family",
            "familyname",
            "nachname",
            "familienname",
            "apellido",
            "apellidos",
            "nazwisko",
            "фамилия",
            "nom",
        ],
    ),
    (
        Kind::HouseNumber,
        &[
            "streetnumber",
            "streetno",
            "housenumber",
            "houseno",
            "hausnummer",
            "hausnr",
            "numero",
            "nrdomu",
            "дом",
            "building",
        ],
    ),
    (
        Kind::PostalCode,
        &[
            "postcode",
            "postal",
            "postalcode",
            "zip",
            "zipcode",
            "plz",
            "postleitzahl",
            "codigopostal",
            "cp",
            "kodpocztowy",
            "индекс",
        ],
    ),
    (
        Kind::Locality,
        &[
            "suburb",
            "city",
            "town",
            "locality",
            "village",
            "municipality",
            "ort",
            "stadt",
            "wohnort",
            "ciudad",
            "localidad",
            "miasto",
            "miejscowosc",
            "город",
        ],
    ),
    (
        Kind::Category,
        &[
            "state",
            "region",
            "province",
            "county",
            "country",
            "bundesland",
            "provincia",
            "wojewodztwo",
            "gender",
            "sex",
            "geschlecht",
            "sexo",
            "plec",
            "пол",
            "область",
        ],
    ),
    (
        Kind::Identifier,
        &[
            "ssn",
            "socsecid",
            "socsec",
            "nationalid",
            "passport",
            "taxid",
            "nino",
            "nhs",
            "pesel",
            "nif",
            "dni",
            "nie",
            "inn",
            "snils",
            "steuerid",
            "licence",
            "license",
            "medicare",
            "инн",
            "снилс",
        ],
    ),
    (
        Kind::Street,
        &[
            "street",
            "streetname",
            "address",
            "addr",
            "address1",
            "address2",
            "strasse",
            "calle",
            "direccion",
            "ulica",
            "улица",
            "адрес",
            "anschrift",
        ],
    ),
];

/// Names of what tells where somebody is from, in which many agree; all other categories are of the person.
const AREAS: &[&str] =
    &["state", "region", "province", "county", "country", "bundesland", "provincia", "wojewodztwo", "область"];
/// Columns that say what the record is and not who the person is.
const IGNORED: &[&str] = &[
    "id",
    "source",
    "created",
    "updated",
    "modified",
    "timestamp",
    "cluster",
    "truth",
    "label",
    "personid",
    "entity",
    "group",
];

/// What a column with a person's whole name is called.
const WHOLE_NAMES: &[&str] =
    &["name", "fullname", "customername", "contactname", "nombrecompleto", "imieinazwisko", "фио", "vollername"];

impl Model {
    /// A model for the records of `table`. It is a start: read it, and correct what it takes for something else.
    pub fn guess(table: &Table) -> Result<Model, ModelError> {
        let mut comparisons: Vec<Comparison> = table.columns().iter().filter_map(guess_column).collect();
        // One column of each name; a second is a middle or a former one.
        for kind in [Kind::GivenName, Kind::Surname] {
            let of_kind = comparisons.iter_mut().filter(|comparison| comparison.kind == kind);
            of_kind.skip(1).for_each(|comparison| comparison.kind = Kind::Text);
        }
        finish(comparisons)
    }
}

fn finish(mut comparisons: Vec<Comparison>) -> Result<Model, ModelError> {
    comparisons.truncate(crate::model::COMPARISONS_MAX);
    let rules = rules::guess(&comparisons);
    let model = Model { version: VERSION, thresholds: Thresholds::default(), comparisons, rules, weights: None };
    if model.rules.is_empty() {
        return Err(ModelError::new(
            "comparison",
            "no column was understood as a name, a date of birth, an address, an e-mail address, a telephone number or an identifier of which there are two",
            "Write a model file that names the columns",
        ));
    }
    Ok(model)
}

/// The words of a column's name: `dateOfBirth`, `date_of_birth` and `Date of birth` are one.
fn name_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is a word from the start").extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn guess_column(column: &Column) -> Option<Comparison> {
    let words = name_words(&column.name);
    let whole = words.concat();
    let named = |names: &[&str]| {
        let is = |word: &str| names.iter().any(|name| word == *name || fold(word) == fold(name));
        is(&whole) || words.iter().any(|word| is(word))
    };
    let filled = Content::of(column);
    // Constant or empty: it tells nobody apart.
    if filled.distinct < 2 {
        return None;
    }
    let mut kind = NAMES.iter().find(|(_, names)| named(names)).map(|(kind, _)| *kind);
    // Names lie: a `mail` that holds streets, a `first` that holds dates.
    kind = match kind {
        Some(Kind::Email) if filled.emails < 0.5 => None,
        Some(Kind::Date) if filled.dates < 0.3 => None,
        Some(Kind::Phone) if filled.digits < 0.5 => None,
        // As `first_seen` and `last_login`.
        Some(Kind::GivenName | Kind::Surname) if filled.digits > 0.5 => None,
        Some(Kind::Street) if filled.numbers > 0.8 => Some(Kind::HouseNumber),
        kind => kind,
    };
    let kind = match kind {
        Some(kind) => kind,
        None if WHOLE_NAMES.iter().any(|name| fold(&whole) == fold(name)) => Kind::Text,
        None if named(IGNORED) => return None,
        None if filled.emails > 0.8 => Kind::Email,
        // A date that goes back far enough to be of births, and not of visits.
        None if filled.dates > 0.8 && filled.old_dates > 0.5 && filled.distinct > 20 => Kind::Date,
        None => return None,
    };
    let area = matches!(kind, Kind::Locality | Kind::PostalCode) || (kind == Kind::Category && named(AREAS));
    let shared = match kind {
        _ if area => Shared::Area,
        Kind::GivenName | Kind::Date | Kind::Identifier | Kind::Category | Kind::Number | Kind::Text => Shared::Person,
        _ => Shared::Household,
    };
    let address = area || matches!(kind, Kind::Street | Kind::HouseNumber);
    let date_order = if filled.month_first { DateOrder::MonthFirst } else { DateOrder::DayFirst };
    Some(Comparison { column: column.name.clone(), kind, shared, address, date_order })
}

/// What is in a column: shares of the values looked at.
struct Content {
    distinct: usize,
    emails: f64,
    dates: f64,
    old_dates: f64,
    digits: f64,
    numbers: f64,
    month_first: bool,
}

impl Content {
    fn of(column: &Column) -> Content {
        let texts =
            || (1..column.values.len() as u32).map(|code| column.values.text(code)).filter(|text| !is_null(text));
        let looked: Vec<_> = texts().take(VALUES_MAX).collect();
        let share = |is: &dyn Fn(&str) -> bool| {
            looked.iter().filter(|text| is(text)).count() as f64 / looked.len().max(1) as f64
        };
        let is_date = |text: &str, before: u32| {
            let date = prepare(Kind::Date, DateOrder::DayFirst, text);
            let part =
                |range: std::ops::Range<usize>| date.get(range).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
            date.len() == 8
                && (1850..before).contains(&part(0..4))
                && (1..=12).contains(&part(4..6))
                && (1..=31).contains(&part(6..8))
        };
        // Of 01/31/1980 the second part cannot be a month.
        let second_above_12 = |text: &str| {
            let parts: Vec<&str> = text.split(['/', '.', '-', ' ']).collect();
            parts.len() >= 3 && parts[0].len() <= 2 && parts[1].parse().is_ok_and(|day: u32| (13..=31).contains(&day))
        };
        Content {
            distinct: looked.len(),
            emails: share(&|text| text.contains('@')),
            dates: share(&|text| is_date(text, 2100)),
            old_dates: share(&|text| is_date(text, 2005)),
            digits: share(&|text| text.bytes().filter(u8::is_ascii_digit).count() >= 5),
            numbers: share(&|text| text.len() <= 6 && text.starts_with(|c: char| c.is_ascii_digit())),
            month_first: share(&second_above_12) > 0.2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comparisons guessed for a file of these columns, each with the values of two rows.
    fn guessed(columns: &[(&str, [&str; 2])]) -> Vec<(String, Kind, Shared)> {
        let line = |cells: Vec<&str>| cells.join(";");
        let file = [
            line([&"id"].into_iter().chain(columns.iter().map(|(name, _)| name)).copied().collect()),
            line([&"1"].into_iter().chain(columns.iter().map(|(_, values)| &values[0])).copied().collect()),
            line([&"2"].into_iter().chain(columns.iter().map(|(_, values)| &values[1])).copied().collect()),
        ];
        let table = Table::read_csv(file.join("\n").as_bytes()).unwrap();
        let model = Model::guess(&table).unwrap();
        model.validate().unwrap();
        model.comparisons.into_iter().map(|c| (c.column, c.kind, c.shared)).collect()
    }

    #[test]
    fn understands_columns_in_several_languages() {
        use Kind::*;
        let (names, days) = (["ann", "bob"], ["1980-01-31", "1990-02-01"]);
        let (mails, phones) = (["a@x.org", "b@x.org"], ["0411 222 333", "0411 222 334"]);
        let (streets, numbers, towns, codes) =
            (["main st", "high st"], ["1", "12b"], ["york", "bath"], ["4000", "4001"]);
        let files: [[&str; 9]; 6] = [
            [
                "given_name",
                "surname",
                "date_of_birth",
                "email",
                "phone",
                "address_1",
                "street_number",
                "suburb",
                "postcode",
            ],
            ["FirstName", "LastName", "birthDate", "EmailAddress", "MobileNumber", "Street", "House No", "City", "ZIP"],
            ["Vorname", "Nachname", "Geburtsdatum", "E-Mail", "Telefon", "Straße", "Hausnummer", "Ort", "PLZ"],
            ["imię", "nazwisko", "data_urodzenia", "email", "telefon", "ulica", "nr_domu", "miasto", "kod_pocztowy"],
            ["имя", "фамилия", "дата рождения", "email", "телефон", "улица", "дом", "город", "индекс"],
            [
                "nombre",
                "apellidos",
                "fecha_nacimiento",
                "correo",
                "móvil",
                "calle",
                "número",
                "ciudad",
                "código_postal",
            ],
        ];
        let kinds = [GivenName, Surname, Date, Email, Phone, Street, HouseNumber, Locality, PostalCode];
        let values = [names, names, days, mails, phones, streets, numbers, towns, codes];
        for file in files {
            let columns: Vec<_> = file.into_iter().zip(values).collect();
            let found = guessed(&columns);
            let expected: Vec<_> = file.iter().map(|name| (*name).to_owned()).zip(kinds).collect();
            assert_eq!(found.iter().map(|(name, kind, _)| (name.clone(), *kind)).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_columns_hold_outweighs_what_they_are_called() {
        let found = guessed(&[
            ("first_seen", ["2024-01-05", "2024-03-07"]),
            ("mail", ["main street", "high street"]),
            ("contact", ["a@x.org", "b@x.org"]),
            ("name", ["ann lee", "bob roe"]),
            ("state", ["nsw", "vic"]),
            ("gender", ["f", "m"]),
            ("person_id", ["7", "8"]),
        ]);
        let found: Vec<_> = found.iter().map(|(name, kind, shared)| (name.as_str(), *kind, *shared)).collect();
        assert_eq!(
            found,
            [
                ("contact", Kind::Email, Shared::Household),
                ("name", Kind::Text, Shared::Person),
                ("state", Kind::Category, Shared::Area),
                ("gender", Kind::Category, Shared::Person),
            ]
        );
    }
}
