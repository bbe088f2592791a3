//! A model from the columns alone: what they are called, and what is in them.

use crate::{
    model::{Comparison, DateOrder, Kind, Model, ModelError, Part, Rule, Shared, Thresholds, VERSION},
    prepare::{fold, is_null, prepare},
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

impl Model {
    /// A model for the records of `table`. It is a start: read it, and correct what it takes for something else.
    pub fn guess(table: &Table) -> Result<Model, ModelError> {
        let mut comparisons: Vec<Comparison> = table.columns().iter().filter_map(|c| guess_column(c, table)).collect();
        let count = |kind| comparisons.iter().filter(|comparison| comparison.kind == kind).count();
        // One column of each name; a second is a former or middle name.
        for kind in [Kind::GivenName, Kind::Surname] {
            if count(kind) > 1 {
                let mut seen = false;
                for comparison in comparisons.iter_mut().filter(|comparison| comparison.kind == kind) {
                    if std::mem::replace(&mut seen, true) {
                        comparison.kind = Kind::Text;
                    }
                }
                return finish(comparisons);
            }
        }
        finish(comparisons)
    }
}

fn finish(mut comparisons: Vec<Comparison>) -> Result<Model, ModelError> {
    comparisons.truncate(crate::model::COMPARISONS_MAX);
    let rules = rules(&comparisons);
    let model = Model { version: VERSION, thresholds: Thresholds::default(), comparisons, rules, weights: None };
    if model.rules.is_empty() {
        return Err(ModelError::new(
            "comparison",
            "no column was understood as a name, a date of birth, an address, an e-mail address, a telephone number or an identifier",
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

fn guess_column(column: &Column, table: &Table) -> Option<Comparison> {
    let words = name_words(&column.name);
    let whole = words.concat();
    let named = |names: &[&str]| {
        let is = |word: &str| names.iter().any(|name| word == *name || fold(word) == fold(name));
        is(&whole) || words.iter().any(|word| is(word))
    };
    let filled = Content::of(column, table);
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
        Some(Kind::Street) if filled.numbers > 0.8 => Some(Kind::HouseNumber),
        kind => kind,
    };
    let kind = match kind {
        Some(kind) => kind,
        None if named(IGNORED) => return None,
        None if filled.emails > 0.8 => Kind::Email,
        None if filled.dates > 0.8 && filled.distinct > 20 => Kind::Date,
        None => return None,
    };
    let area = matches!(kind, Kind::Locality | Kind::PostalCode) || (kind == Kind::Category && named(AREAS));
    let shared = match kind {
        _ if area => Shared::Area,
        Kind::GivenName | Kind::Date | Kind::Identifier | Kind::Category | Kind::Number => Shared::Person,
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
    digits: f64,
    numbers: f64,
    month_first: bool,
}

impl Content {
    fn of(column: &Column, _: &Table) -> Content {
        let texts =
            || (1..column.values.len() as u32).map(|code| column.values.text(code)).filter(|text| !is_null(text));
        let looked: Vec<_> = texts().take(VALUES_MAX).collect();
        let share = |is: &dyn Fn(&str) -> bool| {
            looked.iter().filter(|text| is(text)).count() as f64 / looked.len().max(1) as f64
        };
        let is_date = |text: &str| {
            let date = prepare(Kind::Date, DateOrder::DayFirst, text);
            let part =
                |range: std::ops::Range<usize>| date.get(range).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
            date.len() == 8
                && (1850..2100).contains(&part(0..4))
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
            dates: share(&is_date),
            digits: share(&|text| text.bytes().filter(u8::is_ascii_digit).count() >= 5),
            numbers: share(&|text| text.len() <= 6 && text.starts_with(|c: char| c.is_ascii_digit())),
            month_first: share(&second_above_12) > 0.2,
        }
    }
}

/// Rules that most pairs of one person pass at least one of, however one or two of the fields are spoilt, and few others.
fn rules(comparisons: &[Comparison]) -> Vec<Rule> {
    let of = |kind| comparisons.iter().filter(move |c| c.kind == kind).map(|c| c.column.clone());
    let one = |kind| of(kind).next();
    let (given, surname, birth) = (one(Kind::GivenName), one(Kind::Surname), one(Kind::Date));
    let (number, street) = (one(Kind::HouseNumber), one(Kind::Street));
    let (postcode, town) = (one(Kind::PostalCode), one(Kind::Locality));
    let exact = |column: &Option<String>| column.clone().map(Part::Exact);
    let sound = |column: &Option<String>| column.clone().map(Part::Sound);
    let first = |column: &Option<String>| column.clone().map(Part::First);
    let either = given.clone().zip(surname.clone()).map(|(given, surname)| Part::Either(given, surname));
    let year = birth.clone().map(Part::Year);

    let mut rules = Vec::new();
    let mut add = |parts: &[Option<Part>]| {
        if let Some(on) = parts.iter().cloned().collect::<Option<Vec<Part>>>() {
            let rule = Rule { on };
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    };
    for email in of(Kind::Email) {
        add(&[Some(Part::User(email))]);
    }
    for code in of(Kind::Phone).chain(of(Kind::Identifier)) {
        add(&[Some(Part::Exact(code))]);
    }
    add(&[exact(&surname), exact(&birth)]);
    add(&[exact(&given), exact(&birth)]);
    add(&[either.clone(), exact(&postcode)]);
    add(&[either.clone(), exact(&town)]);
    add(&[exact(&number), exact(&street), exact(&surname)]);
    add(&[exact(&birth), exact(&postcode)]);
    add(&[exact(&birth), exact(&town)]);
    add(&[exact(&number), exact(&street), exact(&postcode)]);
    add(&[either.clone(), year.clone()]);
    add(&[sound(&given), sound(&surname), year]);
    add(&[first(&given), first(&surname), exact(&birth)]);
    add(&[sound(&given), sound(&surname), exact(&postcode)]);
    add(&[sound(&given), exact(&number), exact(&postcode)]);
    add(&[exact(&surname), exact(&postcode)]);
    add(&[sound(&given), exact(&number), exact(&town)]);
    add(&[first(&given), exact(&surname), exact(&town)]);
    add(&[exact(&given), exact(&number), exact(&street)]);
    add(&[first(&given), exact(&surname), exact(&street)]);
    // Where little is known, what little there is.
    if rules.is_empty() {
        let mut add = |parts: &[Option<Part>]| {
            if let Some(on) = parts.iter().cloned().collect::<Option<Vec<Part>>>() {
                rules.push(Rule { on });
            }
        };
        add(&[exact(&given), exact(&surname)]);
        add(&[exact(&surname), exact(&town)]);
        add(&[exact(&birth)]);
        add(&[exact(&street)]);
    }
    rules
}
