//! What is sensitive or of a special category is used only for a purpose that names it, and, where the house says so, with an
//! approval.

use std::collections::BTreeSet;

use onefold_model::access::Class;
use onefold_pipeline::definitions::Workspace;

use crate::ApiError;

/// Whether a class needs a purpose that names the field.
pub(crate) fn is_sensitive(class: Class) -> bool {
    matches!(class, Class::Sensitive | Class::SpecialCategory)
}

/// What a field holds, as a steward said of it or of what it is a part of, else as its name tells.
pub(crate) fn class_of(definitions: &Workspace, name: &str) -> Class {
    let mut whole = name;
    loop {
        if let Some(class) = definitions.classes.get(whole) {
            return *class;
        }
        match whole.rsplit_once('.') {
            Some((front, _)) => whole = front,
            None => return Class::guess(name),
        }
    }
}

/// Which of these fields are sensitive, or why they may not be used for this purpose.
pub(crate) fn check_use(
    definitions: &Workspace,
    fields: &BTreeSet<String>,
    purpose: Option<&str>,
) -> Result<BTreeSet<String>, ApiError> {
    let sensitive: BTreeSet<String> =
        fields.iter().filter(|name| is_sensitive(class_of(definitions, name))).cloned().collect();
    let named = purpose.and_then(|purpose| definitions.policy.purposes.get(purpose)).map(|purpose| &purpose.fields);
    let unnamed: Vec<&str> = sensitive
        .iter()
        .filter(|field| !named.is_some_and(|named| named.contains(*field)))
        .map(String::as_str)
        .collect();
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
