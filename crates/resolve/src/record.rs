//! What a record says in the columns of a model.

use std::collections::BTreeMap;

use onefold_model::{Value, profile::Traits};

/// The values of a record in these columns, empty where it has none; `None` where it has none at all.
///
/// A column is a trait, or a member of one that is an object (`address.city`). Where no trait says it, a node of the kind
/// that the column is called says it itself (`email`).
pub fn values(columns: &[String], kind: &str, value: &str, traits: &Traits) -> Option<Vec<String>> {
    let of = |column: &String| match at_path(traits, column) {
        None if column == kind => value.to_owned(),
        said => said.unwrap_or_default(),
    };
    let values: Vec<String> = columns.iter().map(of).collect();
    // The value of the node alone is an identifier, which joins without any guess.
    let says = |(column, value): (&String, &String)| !value.is_empty() && column != kind;
    columns.iter().zip(&values).any(says).then_some(values)
}

fn at_path(traits: &Traits, path: &str) -> Option<String> {
    if let Some(observed) = traits.get(path) {
        return text(&observed.value);
    }
    let (name, member) = path.split_once('.')?;
    let Value::Json(json) = &traits.get(name)?.value else { return None };
    members(json).remove(member)
}

/// All columns that a record has, with their values.
pub fn all(kind: &str, value: &str, traits: &Traits) -> BTreeMap<String, String> {
    let mut columns = BTreeMap::new();
    for (name, observed) in traits.iter() {
        match observed.first().map(|observed| &observed.value) {
            Some(Value::Json(json)) => {
                columns.extend(members(json).into_iter().map(|(member, value)| (format!("{name}.{member}"), value)));
            }
            Some(value) => columns.extend(text(value).map(|value| (name.to_owned(), value))),
            None => {}
        }
    }
    if !columns.is_empty() {
        columns.entry(kind.to_owned()).or_insert_with(|| value.to_owned());
    }
    columns
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.normalize().to_string()),
        Value::Bool(_) | Value::Null | Value::Json(_) => None,
    }
}

/// The members of an object that are text or numbers.
fn members(json: &str) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(json) else { return BTreeMap::new() };
    let plain = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    object.into_iter().filter_map(|(name, value)| Some((name, plain(value)?))).collect()
}
