//! Who asks, for which workspace, for which purpose, at which instant.
//!
//! Every read of personal data and every use of it takes an [`Access`], so that there is one place where masks, row
//! filters and consent apply, and no signature has to change when they grow. [`Sight`] is what of it the caller sees.

pub mod detect;
mod mask;
mod sight;

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Timestamp, WorkspaceId, segment::Condition};

pub use mask::Mask;
pub(crate) use sight::FRAME;
pub use sight::{Classes, Sight};

/// What a read or a use is done under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who asks.
    pub caller: Caller,
    /// In which workspace. An `Access` reaches no other.
    pub workspace: WorkspaceId,
    /// For which purpose.
    pub purpose: Purpose,
    /// When.
    pub at: Timestamp,
    /// What of it is seen.
    pub sight: Arc<Sight>,
}

impl Access {
    /// The condition, of those whom the caller sees and who allow the purpose.
    pub fn among(&self, condition: Condition) -> Condition {
        let seen = self.sight.among(condition);
        match self.purpose.is_administration() {
            true => seen,
            false => Condition::All(vec![seen, Condition::Consent { purpose: self.purpose.0.clone(), channel: None }]),
        }
    }

    /// Whether the caller sees everybody, for whatever purpose.
    pub fn sees_everybody(&self) -> bool {
        self.sight.only().is_none() && self.purpose.is_administration()
    }

    /// The same with everything of everybody in sight: for what is worked out inside, and told to nobody as it is.
    pub fn unmasked(&self) -> Access {
        Access { sight: Sight::all(), purpose: Purpose::administration(), ..self.clone() }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// The operator: the holder of the data folder's token.
    Operator,
    /// A part of Onefold that works on its own: the pipeline, the delivery loop.
    Engine,
    /// The person whom the data are about, by a signed link.
    Subject,
    /// Somebody who works here, by the number of their account: a name would stand in the log for ever.
    User(u32),
    /// A program, by the number of its key.
    Key(u32),
}

impl Caller {
    /// How the audit log and commands name it.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Caller::Operator => "operator".into(),
            Caller::Engine => "engine".into(),
            Caller::Subject => "subject".into(),
            Caller::User(number) => format!("user:{number}").into(),
            Caller::Key(number) => format!("key:{number}").into(),
        }
    }
}

/// What the data is used for. `administration` is the operator's own: no consent is asked, and every mask applies that
/// the caller's role has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Purpose(pub String);

impl Purpose {
    /// The operator's own purpose.
    pub fn administration() -> Purpose {
        Purpose("administration".to_owned())
    }

    /// Whether it is.
    pub fn is_administration(&self) -> bool {
        self.0 == "administration"
    }
}

/// What a property or trait may hold, and so who may see it and what it may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Names a person: an id, an account number. What is not classified counts as this.
    Identifier,
    /// Reaches a person: e-mail, phone, postal address.
    Contact,
    /// Would harm if it were known: passwords, precise place, government ids.
    Sensitive,
    /// GDPR Article 9: health, belief, origin, orientation, union membership, biometrics.
    SpecialCategory,
    /// Payment and income.
    Financial,
    /// None of these.
    Free,
}

/// Words in names, without their marks, that tell a class; the first that is found counts.
const WORDS: [(Class, &[&str]); 5] = [
    (Class::Sensitive, &["password", "passport", "ssn", "nationalid", "pesel", "latitude", "longitude", "taxid"]),
    (
        Class::SpecialCategory,
        &["health", "religion", "ethnic", "sexual", "diagnos", "political", "biometric", "disabilit", "pregnan"],
    ),
    (Class::Contact, &["email", "phone", "mobile", "address", "street", "postcode", "postalcode", "zipcode"]),
    (Class::Financial, &["iban", "cardnumber", "creditcard", "salary", "income", "accountnumber"]),
    (
        Class::Free,
        &[
            "revenue", "price", "quantity", "currency", "category", "product", "plan", "country", "locale", "language",
            "timezone", "library", "campaign", "discount", "total", "count", "brand", "sku", "coupon", "shipping",
        ],
    ),
];

impl Class {
    /// Whether it is used only for a purpose that names the field.
    pub fn needs_purpose(self) -> bool {
        matches!(self, Class::Sensitive | Class::SpecialCategory)
    }

    /// All of them.
    pub const ALL: [Class; 6] =
        [Class::Identifier, Class::Contact, Class::Sensitive, Class::SpecialCategory, Class::Financial, Class::Free];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Class::Identifier => "identifier",
            Class::Contact => "contact",
            Class::Sensitive => "sensitive",
            Class::SpecialCategory => "special_category",
            Class::Financial => "financial",
            Class::Free => "free",
        }
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }

    /// What a name tells by its words.
    pub fn of_name(name: &str) -> Option<Class> {
        let name: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        WORDS.iter().find(|(_, words)| has(words)).map(|(class, _)| *class)
    }

    /// The class to begin with for a trait or property of this name, until a steward sets one.
    pub fn guess(name: &str) -> Class {
        Class::of_name(name).unwrap_or(Class::Identifier)
    }
}
