//! Object types: the workspace's own entities beside people (product, store, campaign, ticket, contract).

use serde::{Deserialize, Serialize};

/// A type of object, as an operator defines it. Objects come as `object` events (`objectType`, `objectId`, `traits`) or
/// from imports; events refer to them by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectType {
    /// Its name: lower case letters, digits and `_`.
    pub name: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its traits and their JSON types (`string`, `number`, `boolean`, `object`, `array`). Others are kept as well, and
    /// shown as undeclared.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub traits: std::collections::BTreeMap<String, String>,
}

impl ObjectType {
    /// What is wrong with the definition, in a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.name.is_empty() || self.name.len() > 60 || !self.name.chars().all(plain) {
            problems.push("name must have 1 to 60 lower-case letters, digits or _".to_owned());
        }
        if matches!(self.name.as_str(), "person" | "household" | "account") {
            problems.push(format!("{} is one of Onefold's own entity types", self.name));
        }
        for (name, kind) in &self.traits {
            if !matches!(kind.as_str(), "string" | "number" | "boolean" | "object" | "array") {
                problems.push(format!("traits.{name}: {kind:?} is none of string, number, boolean, object, array"));
            }
        }
        problems
    }
}
