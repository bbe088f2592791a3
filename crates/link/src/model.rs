//! What is compared, how, and what it weighs: one file, which people read and edit.
//!
//! The model says which columns are compared and which records are worth comparing. What agreement weighs is learned from
//! the records (`train`), and is kept in the same file, so that a trained model gives the same answer tomorrow.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{table::Table, weights::Weights};

/// The version of the file's format that is written and understood.
pub const VERSION: u32 = 1;
/// Comparisons in a model: four bits of a word for each.
pub const COMPARISONS_MAX: usize = 16;
/// Blocking rules in a model: one bit of a word for each.
pub const RULES_MAX: usize = 32;

/// Why a model cannot be used; with the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {cause}. {cure}.")]
pub struct ModelError {
    /// Where in the model.
    pub field: String,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub cure: String,
}

impl ModelError {
    pub(crate) fn new(field: impl Into<String>, cause: impl Into<String>, cure: impl Into<String>) -> Self {
        ModelError { field: field.into(), cause: cause.into(), cure: cure.into() }
    }
}

/// What a column holds, which says how two of its values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// First names.
    GivenName,
    /// Family names.
    Surname,
    /// A day, as of birth.
    Date,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A street, or a line of an address.
    Street,
    /// A number in a street.
    HouseNumber,
    /// A town or suburb.
    Locality,
    /// A postal code.
    PostalCode,
    /// A number or code that one authority gives to one person.
    Identifier,
    /// One of a few values, as a state or a gender.
    Category,
    /// A quantity.
    Number,
    /// Any other text.
    Text,
}

/// Who has the same value by right, without being the same person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// Nobody: others have it by chance only. It tells a person from the others of the household.
    Person,
    /// Those of one household.
    Household,
    /// Those of one area.
    Area,
}

/// Which comes first in dates that are written with day, month and year, where the numbers do not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// 31/01/1980.
    #[default]
    DayFirst,
    /// 01/31/1980.
    MonthFirst,
    /// 1980/01/31 or 19800131.
    YearFirst,
}

/// A column that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Its name in the header.
    pub column: String,
    /// What it holds.
    pub kind: Kind,
    /// Who else has the same value by right.
    pub shared: Shared,
    /// Whether it is part of the address, which changes as a whole when somebody moves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub address: bool,
    /// For dates.
    #[serde(default, skip_serializing_if = "is_day_first")]
    pub date_order: DateOrder,
}

fn is_day_first(order: &DateOrder) -> bool {
    *order == DateOrder::DayFirst
}

/// One part of a blocking key: `surname`, `sound(surname)`, `first(given_name)`, `year(birth)`, `user(email)`,
/// `start(postcode)`, or `either(given_name, surname)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Part {
    /// The whole value.
    Exact(String),
    /// How it sounds.
    Sound(String),
    /// Its first letter.
    First(String),
    /// Its first three letters.
    Start(String),
    /// The year of a date.
    Year(String),
    /// An e-mail address without its domain.
    User(String),
    /// Two columns in either order, as given name and surname are mixed up.
    Either(String, String),
}

impl Part {
    /// The columns it reads.
    pub fn columns(&self) -> smallvec::SmallVec<[&str; 2]> {
        match self {
            Part::Exact(c) | Part::Sound(c) | Part::First(c) | Part::Start(c) | Part::Year(c) | Part::User(c) => {
                smallvec::smallvec![c.as_str()]
            }
            Part::Either(a, b) => smallvec::smallvec![a.as_str(), b.as_str()],
        }
    }
}

impl Part {
    fn suits(&self, kind: Kind) -> bool {
        let is_name = matches!(kind, Kind::GivenName | Kind::Surname);
        match self {
            Part::Sound(_) | Part::Either(..) => is_name,
            Part::Year(_) => kind == Kind::Date,
            Part::User(_) => kind == Kind::Email,
            Part::Exact(_) | Part::First(_) | Part::Start(_) => true,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Exact(column) => f.write_str(column),
            Part::Sound(column) => write!(f, "sound({column})"),
            Part::First(column) => write!(f, "first({column})"),
            Part::Start(column) => write!(f, "start({column})"),
            Part::Year(column) => write!(f, "year({column})"),
            Part::User(column) => write!(f, "user({column})"),
            Part::Either(a, b) => write!(f, "either({a}, {b})"),
        }
    }
}

impl From<Part> for String {
    fn from(part: Part) -> String {
        part.to_string()
    }
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Part, String> {
        let Some((function, arguments)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
            return Ok(Part::Exact(text));
        };
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        Ok(match (function.trim(), arguments.as_slice()) {
            ("sound", [column]) => Part::Sound((*column).to_owned()),
            ("first", [column]) => Part::First((*column).to_owned()),
            ("start", [column]) => Part::Start((*column).to_owned()),
            ("year", [column]) => Part::Year((*column).to_owned()),
            ("user", [column]) => Part::User((*column).to_owned()),
            ("either", [a, b]) => Part::Either((*a).to_owned(), (*b).to_owned()),
            // A column may have brackets in its name.
            _ => Part::Exact(text),
        })
    }
}

/// Records that agree in all of these are worth comparing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What they agree in.
    pub on: Vec<Part>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.on.iter().enumerate() {
            write!(f, "{}{part}", if i > 0 { " + " } else { "" })?;
        }
        Ok(())
    }
}

/// Scores are logarithms, base 2, of the odds that two records are one person: 0 is as likely as not, 10 is 1,000 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Records are connected by pairs that score above this, and two groups of connected records become one while what
    /// they have in common does, bits. 2 is four to one for the same person.
    pub join: f64,
    /// Pairs above this that were not joined are put before a person, where somebody decides; bits. -2 is one to four.
    pub review: f64,
    /// Pairs scored below this are not kept, bits.
    pub keep: f64,
    /// A blocking key that more records than this have in common says nothing and is left out, records.
    pub block_records_max: usize,
    /// Larger groups of connected records are cut at their weakest links before they are clustered, records.
    pub component_records_max: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { join: 2.0, review: -2.0, keep: -6.0, block_records_max: 400, component_records_max: 200 }
    }
}

/// A model of who is the same person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Of the format; 1.
    pub version: u32,
    /// From which score on.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// What is compared.
    #[serde(rename = "comparison")]
    pub comparisons: Vec<Comparison>,
    /// Which pairs are.
    #[serde(rename = "blocking")]
    pub rules: Vec<Rule>,
    /// What agreement weighs, where the model was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
}

const HEADER: &str = "\
# A model of record linkage: which records are the same person.
#
# [[comparison]]  a column that is compared.
#     kind     what it holds: given_name, surname, date, email, phone, street, house_number, locality, postal_code,
#              identifier, category, number or text.
#     shared   who has the same value by right: \"person\" (nobody else), \"household\" or \"area\".
#     address  true for the parts of an address, which change together when somebody moves.
# [[blocking]]    records that agree in all of `on` are compared. A part is a column, or sound(column), first(column),
#                 start(column), year(column), user(column), either(column, column).
# [thresholds]    scores are in bits: 0 is as likely as not, 2 is four to one, 10 is 1,000 to 1 for the same person.
#     join     a pair above this connects its records; connected records are joined while it holds for their groups.
#     review   pairs above this that are not joined are put before a person, in a workspace.
#     keep     pairs below this are forgotten.
#     block_records_max      a key that more records have in common is left out.
#     component_records_max  larger groups of connected records are cut at their weakest links.
# [weights]       learned from records; without it, a run learns them anew.
";

impl Model {
    /// Reads a model file.
    pub fn from_toml(text: &str) -> Result<Model, ModelError> {
        let model: Model = toml::from_str(text).map_err(|error| {
            ModelError::new("model", error.to_string().trim_end().to_owned(), "Correct that place in the file")
        })?;
        model.validate()?;
        Ok(model)
    }

    /// The model as a file, with comments.
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(self).expect("a model has nothing that TOML cannot hold");
        format!("{HEADER}\n{body}")
    }

    /// Whether the model makes sense by itself.
    pub fn validate(&self) -> Result<(), ModelError> {
        let error = |field: &str, cause: String, cure: &str| Err(ModelError::new(field, cause, cure));
        if self.version != VERSION {
            return error("version", format!("is {}, not {VERSION}", self.version), "Make the model anew with --guess");
        }
        if self.comparisons.is_empty() || self.comparisons.len() > COMPARISONS_MAX {
            let cause = format!("there are {}, not 1 to {COMPARISONS_MAX}", self.comparisons.len());
            return error("comparison", cause, "Compare the columns that tell people apart");
        }
        for (i, comparison) in self.comparisons.iter().enumerate() {
            if self.comparisons[..i].iter().any(|other| other.column == comparison.column) {
                let cause = format!("the column {:?} is compared twice", comparison.column);
                return error("comparison", cause, "Keep one of the two");
            }
        }
        if self.rules.is_empty() || self.rules.len() > RULES_MAX {
            let cause = format!("there are {}, not 1 to {RULES_MAX}", self.rules.len());
            return error("blocking", cause, "Give a few rules that most true pairs pass at least one of");
        }
        for rule in &self.rules {
            if rule.on.is_empty() {
                return error("blocking", "a rule is empty".into(), "Name the columns that records must agree in");
            }
            for part in &rule.on {
                for column in part.columns() {
                    let Some(place) = self.position(column) else {
                        let cause = format!("the rule \"{rule}\" reads {column:?}, which is not compared");
                        return error(
                            "blocking",
                            cause,
                            "Add a [[comparison]] for the column, or take it out of the rule",
                        );
                    };
                    if !part.suits(self.comparisons[place].kind) {
                        let cause = format!("{part} does not go with what the column holds");
                        return error("blocking", cause, "Use sound() for names, year() for dates, user() for e-mail");
                    }
                }
            }
        }
        let t = &self.thresholds;
        if ![t.keep, t.review, t.join].iter().all(|t| t.is_finite()) || t.keep > t.review || t.review > t.join {
            let cause = "keep, review and join are no numbers with keep ≤ review ≤ join";
            return error("thresholds", cause.into(), "Lower keep and review");
        }
        if t.block_records_max < 2 || t.component_records_max < 2 {
            return error("thresholds", "a maximum is below 2 records".into(), "Raise it to some hundreds");
        }
        if let Some(weights) = &self.weights {
            weights.check(self)?;
        }
        Ok(())
    }

    /// Whether the model fits the records: each column that it names is there.
    pub fn check(&self, table: &Table) -> Result<(), ModelError> {
        self.validate()?;
        let names = || {
            let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
            names.join(", ")
        };
        match self.comparisons.iter().find(|comparison| table.column(&comparison.column).is_none()) {
            None => Ok(()),
            Some(comparison) => Err(ModelError::new(
                "comparison",
                format!("the records have no column {:?}; they have: {}", comparison.column, names()),
                "Correct its name, remove the comparison with the rules that read it, or make a model with --guess",
            )),
        }
    }

    /// The place of the comparison of this column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.comparisons.iter().position(|comparison| comparison.column == column)
    }

    /// The places of the given name and the surname, where both are compared: they may be mixed up.
    pub fn names(&self) -> Option<(usize, usize)> {
        let of = |kind| self.comparisons.iter().position(|comparison| comparison.kind == kind);
        Some((of(Kind::GivenName)?, of(Kind::Surname)?))
    }
}
