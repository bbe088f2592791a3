//! Who asks, for which workspace, for which purpose, at which instant.
//!
//! Every read of personal data and every use of it takes an [`Access`], so that there is one place where masks, row
//! filters and consent apply, and no signature has to change when they grow.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, WorkspaceId};

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
}

impl Caller {
    /// How the audit log and commands name it.
    pub fn name(&self) -> &'static str {
        match self {
            Caller::Operator => "operator",
            Caller::Engine => "engine",
            Caller::Subject => "subject",
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

impl Class {
    /// The class to begin with for a trait or property of this name, until a steward sets one.
    pub fn guess(name: &str) -> Class {
        let name = name.to_ascii_lowercase().replace(['_', '-', ' ', '.'], "");
        let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if any(&["email", "phone", "mobile", "address", "street", "postcode", "zipcode"]) {
            Class::Contact
        } else if any(&["password", "passport", "ssn", "nationalid", "latitude", "longitude"]) {
            Class::Sensitive
        } else if any(&["health", "religion", "ethnic", "orientation", "diagnos", "political", "biometric"]) {
            Class::SpecialCategory
        } else if any(&["iban", "cardnumber", "salary", "income", "accountnumber"]) {
            Class::Financial
        } else if any(&["revenue", "price", "quantity", "currency", "category", "product", "plan", "country"]) {
            Class::Free
        } else {
            Class::Identifier
        }
    }
}
