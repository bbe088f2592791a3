//! How two records compare: a level for each comparison, four bits each, in one word.
//!
//! The levels of a kind are ordered by how much they say, as in Fellegi and Sunter's agreement patterns (A Theory for
//! Record Linkage, JASA 64, 1969). Level 0 says nothing: a value is missing. Two records with the same word are alike
//! to the model, but for how rare the values are in which they agree; so training counts words and not pairs.

use smallvec::SmallVec;

use crate::{
    dictionary::MISSING,
    distance::Scratch,
    model::{Kind, Model},
    records::{Records, Values},
};

/// A value is missing.
pub const UNKNOWN: u8 = 0;
/// The values are equal.
pub const EXACT: u8 = 1;
/// Given name and surname stand in each other's place; said by the given name.
pub const SWAPPED: u8 = 6;
/// Levels of any kind, the unknown one included, are fewer than this.
pub const LEVELS_MAX: usize = 8;

/// What a level of agreement is called, and how often it is met between two records of one person before anything is
/// learned: the experience of people's data, which training starts from and few records cannot outweigh.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    /// As said to people.
    pub name: &'static str,
    /// Among pairs of records of one person that both have a value.
    pub usual: f64,
}

const fn level(name: &'static str, usual: f64) -> Level {
    Level { name, usual }
}

/// The levels of a kind from 1 on.
pub fn levels(kind: Kind) -> &'static [Level] {
    const NAME: &[Level] = &[
        level("equal", 0.87),
        level("one letter differs", 0.065),
        level("similar", 0.02),
        level("initial", 0.02),
        level("sounds alike", 0.005),
        level("given name and surname mixed up", 0.01),
        level("differs", 0.01),
    ];
    const SURNAME: &[Level] = &[
        level("equal", 0.88),
        level("one letter differs", 0.065),
        level("similar", 0.02),
        level("initial", 0.02),
        level("sounds alike", 0.005),
        level("differs", 0.01),
    ];
    const DATE: &[Level] = &[
        level("equal", 0.92),
        level("one digit differs", 0.05),
        level("day and month mixed up", 0.01),
        level("one part differs", 0.015),
        level("differs", 0.005),
    ];
    const EMAIL: &[Level] = &[
        level("equal", 0.75),
        level("same user, other domain", 0.02),
        level("a letter or two differ", 0.05),
        level("differs", 0.18),
    ];
    const CODE: &[Level] = &[level("equal", 0.88), level("one sign differs", 0.06), level("differs", 0.06)];
    const IDENTIFIER: &[Level] = &[
        level("equal", 0.92),
        level("one sign differs", 0.05),
        level("two signs differ", 0.01),
        level("differs", 0.02),
    ];
    const WORDS: &[Level] =
        &[level("equal", 0.8), level("a letter or two differ", 0.1), level("similar", 0.03), level("differs", 0.07)];
    const CATEGORY: &[Level] = &[level("equal", 0.94), level("differs", 0.06)];
    const NUMBER: &[Level] =
        &[level("equal", 0.8), level("within 1 %", 0.05), level("within 10 %", 0.05), level("differs", 0.1)];
    match kind {
        Kind::GivenName => NAME,
        Kind::Surname => SURNAME,
        Kind::Date => DATE,
        Kind::Email => EMAIL,
        Kind::Phone | Kind::HouseNumber | Kind::PostalCode => CODE,
        Kind::Identifier => IDENTIFIER,
        Kind::Street | Kind::Locality | Kind::Text => WORDS,
        Kind::Category => CATEGORY,
        Kind::Number => NUMBER,
    }
}

/// A word of levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(pub u64);

impl Pattern {
    /// The level of a comparison.
    pub fn level(self, comparison: usize) -> u8 {
        (self.0 >> (comparison * 4)) as u8 & 15
    }
}

/// Compares records of one model. One for each thread.
pub struct Comparer {
    kinds: Vec<Kind>,
    names: Option<(usize, usize)>,
    scratch: Scratch,
}

impl Comparer {
    /// A comparer for `model`.
    pub fn new(model: &Model) -> Comparer {
        let kinds = model.comparisons.iter().map(|comparison| comparison.kind).collect();
        Comparer { kinds, names: model.names(), scratch: Scratch::default() }
    }

    /// The pattern of two rows of codes. It is the same either way round.
    pub fn pattern(&mut self, records: &Records, a: &[u32], b: &[u32]) -> Pattern {
        let mut pattern = Pattern::default();
        let swapped = self.names.filter(|(given, surname)| {
            let (ga, gb, sa, sb) = (a[*given], b[*given], a[*surname], b[*surname]);
            let (first, second) = (ga == sb && ga != MISSING, sa == gb && sa != MISSING);
            ga != gb
                && sa != sb
                && ((first && (second || sa == MISSING || gb == MISSING))
                    || (second && (ga == MISSING || sb == MISSING)))
        });
        for (i, (&x, &y)) in a.iter().zip(b).enumerate() {
            let level = match swapped {
                Some((given, _)) if i == given => SWAPPED,
                Some((_, surname)) if i == surname => UNKNOWN,
                _ if x == MISSING || y == MISSING => UNKNOWN,
                _ if x == y => EXACT,
                _ => match level_of(self.kinds[i], records.values(i), x, y, &mut self.scratch) {
                    level @ (2 | 3) if self.kinds[i] == Kind::Email => self.beyond_name(records, i, level, a, b),
                    level => level,
                },
            };
            pattern.0 |= u64::from(level) << (i * 4);
        }
        pattern
    }
}

impl Comparer {
    /// What two e-mail addresses that are alike say beyond the names in them: any two who are called Ann Lee may be
    /// `ann.lee` somewhere, and `annlee7` and `annlee4` are two of them.
    fn beyond_name(&mut self, records: &Records, email: usize, level: u8, a: &[u32], b: &[u32]) -> u8 {
        let Some((given, surname)) = self.names else { return level };
        let split = |code: u32| -> (SmallVec<[u8; 32]>, SmallVec<[u8; 8]>) {
            let text = records.values(email).texts.get(code);
            let user = text.split(|byte| *byte == b'@').next().unwrap_or_default();
            (
                user.iter().copied().filter(|byte| byte.is_ascii_alphabetic()).collect(),
                user.iter().copied().filter(u8::is_ascii_digit).collect(),
            )
        };
        let ((letters, digits), (other_letters, other_digits)) = (split(a[email]), split(b[email]));
        let is_name = |letters: &[u8], row: &[u32]| {
            let (given, surname) =
                (records.values(given).texts.get(row[given]), records.values(surname).texts.get(row[surname]));
            let (g, s) = (&given[..given.len().min(1)], &surname[..surname.len().min(1)]);
            let forms = [[given, surname], [surname, given], [g, surname], [surname, g], [given, s], [given, b""]];
            forms.iter().any(|form| !form[0].is_empty() && form.concat() == letters)
        };
        if !is_name(&letters, a) || !is_name(&other_letters, b) {
            return level;
        }
        match (digits == other_digits, digits.len()) {
            (true, ..3) => UNKNOWN,
            (true, _) => level,
            (false, _) => 4,
        }
    }
}

/// The level of two different values.
fn level_of(kind: Kind, values: &Values, x: u32, y: u32, scratch: &mut Scratch) -> u8 {
    let (sketch_x, sketch_y) = (values.sketches[x as usize], values.sketches[y as usize]);
    let edits_min = sketch_x.edits_min(sketch_y);
    let text = |code: u32| values.texts.get(code);
    let shorter = sketch_x.len().min(sketch_y.len());
    let mut edits = |most: u32| {
        if edits_min > most { usize::MAX } else { scratch.edits(text(x), text(y)) }
    };
    match kind {
        Kind::GivenName | Kind::Surname => {
            let differs = levels(kind).len() as u8;
            if shorter == 1 {
                return if text(x)[0] == text(y)[0] { 4 } else { differs };
            }
            match edits(2) {
                // Of two or three letters, one is much.
                1 if shorter >= 4 => 2,
                2 if shorter >= 6 => 3,
                1 if shorter >= 3 => 3,
                _ if similar(scratch, values, x, y, 0.92) || part_of(values, x, y) => 3,
                _ if values.extras[x as usize] == values.extras[y as usize] => 5,
                _ => differs,
            }
        }
        Kind::Date => {
            let (a, b) = (text(x), text(y));
            if a.len() == 8 && b.len() == 8 {
                let same = [a[..4] == b[..4], a[4..6] == b[4..6], a[6..] == b[6..]];
                if same[0] && a[4..6] == b[6..] && a[6..] == b[4..6] {
                    return 3;
                }
                if edits(1) == 1 {
                    return 2;
                }
                return if same.iter().filter(|same| **same).count() == 2 { 4 } else { 5 };
            }
            if edits(1) == 1 { 2 } else { 5 }
        }
        Kind::Email => {
            if values.extras[x as usize] == values.extras[y as usize] {
                return 2;
            }
            match edits(2) {
                1 | 2 if shorter >= 8 => 3,
                _ => 4,
            }
        }
        Kind::Phone | Kind::HouseNumber | Kind::PostalCode => {
            if edits(1) == 1 {
                2
            } else {
                3
            }
        }
        Kind::Identifier => match edits(2) {
            1 => 2,
            2 => 3,
            _ => 4,
        },
        Kind::Street | Kind::Locality | Kind::Text => match edits(2) {
            1 if shorter >= 4 => 2,
            2 if shorter >= 7 => 2,
            _ if similar(scratch, values, x, y, 0.9) || part_of(values, x, y) => 3,
            _ => 4,
        },
        Kind::Category => 2,
        Kind::Number => {
            let (a, b) = (f64::from_bits(values.extras[x as usize]), f64::from_bits(values.extras[y as usize]));
            let apart = (a - b).abs() / a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
            if apart <= 0.01 {
                2
            } else if apart <= 0.1 {
                3
            } else {
                4
            }
        }
    }
}

/// Whether Jaro and Winkler's similarity reaches `least`, which is above 0.7.
fn similar(scratch: &mut Scratch, values: &Values, x: u32, y: u32, least: f64) -> bool {
    values.sketches[x as usize].jaro_winkler_max(values.sketches[y as usize]) >= least
        && scratch.jaro_winkler(values.texts.get(x), values.texts.get(y)) >= least
}

/// Whether all words of one are words of the other, as of a double name.
fn part_of(values: &Values, x: u32, y: u32) -> bool {
    if !values.have_spaces(x, y) {
        return false;
    }
    let (a, b) = (values.texts.get(x), values.texts.get(y));
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let is_word = |word: &[u8]| long.split(|byte| *byte == b' ').any(|other| other == word);
    long.contains(&b' ') && short.len() > 2 && short.split(|byte| *byte == b' ').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    const HEADER: &str = "id,given_name,surname,dob,email,phone,street,suburb,state";
    const BASE: &str = "karl,schmidt,19840617,karl.schmidt77@web.de,0479548515,schillerstrasse,neu stetten,bayern";

    /// How a record that differs from the base in some columns compares with it: each column's level but the equal ones.
    fn check(changes: &[(&str, &str)], expected: &[(&str, &str)]) {
        let names: Vec<&str> = HEADER.split(',').skip(1).collect();
        let of = |column: &str, value| changes.iter().find(|(name, _)| *name == column).map_or(value, |(_, new)| *new);
        let other: Vec<&str> = names.iter().zip(BASE.split(',')).map(|(name, value)| of(name, value)).collect();
        let varied = "x,someone,else,19500102,other@mail.org,0211111111,weg,stadt,hessen";
        let file = format!("{HEADER}\n1,{BASE}\n2,{}\n{varied}", other.join(","));
        let table = Table::read_csv(file.as_bytes()).unwrap();
        let model = Model::guess(&table).unwrap();
        let records = Records::of(&table, &model);
        let mut comparer = Comparer::new(&model);
        let pattern = comparer.pattern(&records, records.row(0), records.row(1));
        assert_eq!(pattern, comparer.pattern(&records, records.row(1), records.row(0)));
        let found: Vec<(&str, &str)> = model
            .comparisons
            .iter()
            .enumerate()
            .filter(|(i, _)| pattern.level(*i) != EXACT)
            .map(|(i, comparison)| match pattern.level(i) {
                UNKNOWN => (comparison.column.as_str(), "-"),
                level => (comparison.column.as_str(), levels(comparison.kind)[usize::from(level) - 1].name),
            })
            .collect();
        assert_eq!(found, expected, "{changes:?}");
    }

    #[test]
    fn names() {
        check(&[], &[]);
        check(&[("given_name", "Karl "), ("surname", "SCHMÍDT")], &[]);
        check(
            &[("given_name", "kalr"), ("surname", "schmit")],
            &[("given_name", "one letter differs"), ("surname", "one letter differs")],
        );
        check(&[("given_name", "k"), ("surname", "meyer")], &[("given_name", "initial"), ("surname", "differs")]);
        check(&[("given_name", ""), ("surname", "schmidt bauer")], &[("given_name", "-"), ("surname", "similar")]);
        check(&[("given_name", "carll")], &[("given_name", "sounds alike")]);
    }

    #[test]
    fn mixed_up_names_count_once() {
        let mixed_up = [("given_name", "given name and surname mixed up"), ("surname", "-")];
        check(&[("given_name", "schmidt"), ("surname", "karl")], &mixed_up);
        check(&[("given_name", ""), ("surname", "karl")], &mixed_up);
        check(&[("given_name", "schmidt"), ("surname", "other")], &[("given_name", "differs"), ("surname", "differs")]);
    }

    #[test]
    fn dates() {
        for (value, level) in [
            ("19840627", "one digit differs"),
            ("1984067", "one digit differs"),
            ("19841706", "day and month mixed up"),
            ("19740618", "differs"),
            ("19990617", "one part differs"),
        ] {
            check(&[("dob", value)], &[("dob", level)]);
        }
    }

    #[test]
    fn e_mail_addresses_say_what_they_say_beyond_the_name() {
        for (value, level) in [
            ("KARL.schmidt77+shop@WEB.DE", None),
            // The number is too short to tell two of one name apart.
            ("karl.schmidt77@gmx.de", Some("-")),
            ("karl.schmidt78@web.de", Some("differs")),
            ("karl.schmitd77@web.de", Some("a letter or two differ")),
            ("kschmidt@web.de", Some("differs")),
        ] {
            let expected: Vec<(&str, &str)> = level.map(|level| ("email", level)).into_iter().collect();
            check(&[("email", value)], &expected);
        }
    }

    #[test]
    fn places_and_numbers() {
        check(&[("phone", "+49 479 548515")], &[]);
        check(&[("phone", "0479548516")], &[("phone", "one sign differs")]);
        check(&[("street", "schillerstr."), ("suburb", "stetten")], &[("street", "similar"), ("suburb", "similar")]);
        check(
            &[("street", "schilerstrase"), ("state", "n/a")],
            &[("street", "a letter or two differ"), ("state", "-")],
        );
    }
}
