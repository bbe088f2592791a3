//! Which pairs to compare, guessed from what is compared.

use crate::model::{Comparison, Kind, Part, Rule};

/// Rules that most pairs of one person pass at least one of, however one or two of the fields are spoilt, and few others.
pub fn guess(comparisons: &[Comparison]) -> Vec<Rule> {
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
    for name in of(Kind::Text).map(Some) {
        for other in [&birth, &postcode, &town, &street] {
            add(&[exact(&name), exact(other)]);
        }
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
