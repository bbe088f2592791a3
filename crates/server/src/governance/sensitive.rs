//! What is sensitive or of a special category is used only for a purpose that names it, and, where the house says so, with an
//! approval.

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::segment::{Condition, Lookup as _};
use onefold_pipeline::definitions::Workspace;

use crate::ApiError;

/// Which of these fields are sensitive, or why they may not be used for this purpose.
pub(crate) fn check_use(
    definitions: &Workspace,
    fields: &BTreeSet<String>,
    purpose: Option<&str>,
) -> Result<BTreeSet<String>, ApiError> {
    let sensitive: BTreeSet<String> =
        fields.iter().filter(|name| definitions.class_of(name).needs_purpose()).cloned().collect();
    let unnamed: Vec<&str> =
        sensitive.iter().filter(|field| definitions.withholds(field, purpose)).map(String::as_str).collect();
    if unnamed.is_empty() {
        return Ok(sensitive);
    }
    let why = match purpose {
        None => "no purpose is given".to_owned(),
        Some(purpose) => format!("the purpose {purpose:?} does not name them"),
    };
    let cause = format!("{} is sensitive or of a special category, and {why}", unnamed.join(", "));
    let cure = "give a purpose whose `fields` in the consent policy name them; docs/governance.md says how";
    Err(ApiError::forbidden(cause, cure).with_code("sensitive"))
}

/// The definitions behind the names in a condition, by name: with another definition the same condition asks something else.
pub(crate) fn behind(definitions: &Workspace, condition: &Condition) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    collect(definitions, condition, &mut found);
    found
}

fn collect(definitions: &Workspace, condition: &Condition, found: &mut BTreeMap<String, serde_json::Value>) {
    match condition {
        Condition::All(all) | Condition::Any(all) => all.iter().for_each(|one| collect(definitions, one, found)),
        Condition::Not(one) => collect(definitions, one, found),
        Condition::Segment(name) => {
            let Some(other) = definitions.segment(name) else { return };
            let json = serde_json::to_value(other).unwrap_or_default();
            if found.insert(format!("segment {name}"), json).is_none() {
                collect(definitions, other, found);
            }
        }
        Condition::Computed { name, .. } => {
            let json = definitions.computed(name).map(|other| serde_json::to_value(other).unwrap_or_default());
            found.extend(json.map(|json| (format!("computed {name}"), json)));
        }
        _ => {}
    }
}
