//! Places in an event: `traits.address.city`, `properties.price`, `event`; `traits.*` for all of an object's members.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A place in an event, its names with dots between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(Vec<String>);

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Place, String> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        let star = names.iter().position(|name| name == "*");
        if names.iter().any(String::is_empty) || star.is_some_and(|at| at + 1 < names.len() || at == 0) {
            return Err(format!(
                "{text:?} is no place in an event: names with dots, as traits.city; a * only at the end"
            ));
        }
        Ok(Place(names))
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.0.join(".")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl Place {
    /// Whether it names one value, and not all members of an object.
    pub fn is_one(&self) -> bool {
        self.0.last().is_none_or(|last| last != "*")
    }

    /// What stands there.
    pub fn get<'e>(&self, event: &'e Map<String, Value>) -> Option<&'e Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(event.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// Takes out what stands there.
    pub fn take(&self, event: &mut Map<String, Value>) -> Option<Value> {
        let (last, parents) = self.0.split_last()?;
        within(event, parents)?.remove(last)
    }

    /// Empties the object of a place that ends in `*`. Says how many values went.
    pub fn clear(&self, event: &mut Map<String, Value>) -> u32 {
        let Some((_, parents)) = self.0.split_last() else { return 0 };
        within(event, parents).map_or(0, |object| std::mem::take(object).len() as u32)
    }

    /// Puts a value there, making the objects it stands in. Says whether something else stood there.
    pub fn put(&self, event: &mut Map<String, Value>, value: Value) -> bool {
        let Some((last, parents)) = self.0.split_last() else { return false };
        let mut object = event;
        for name in parents {
            let inner = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let Value::Object(inner) = inner else { return false };
            object = inner;
        }
        object.insert(last.clone(), value.clone()) != Some(value)
    }

    /// Changes what stands there: every member, of a place that ends in `*`. Says how many values changed.
    pub fn change(&self, event: &mut Map<String, Value>, change: &mut impl FnMut(&mut Value) -> bool) -> u32 {
        let Some((last, parents)) = self.0.split_last() else { return 0 };
        let Some(object) = within(event, parents) else { return 0 };
        match last.as_str() {
            "*" => object.values_mut().map(|value| u32::from(change(value))).sum(),
            name => object.get_mut(name).map_or(0, |value| u32::from(change(value))),
        }
    }
}

fn within<'e>(event: &'e mut Map<String, Value>, names: &[String]) -> Option<&'e mut Map<String, Value>> {
    names.iter().try_fold(event, |object, name| object.get_mut(name)?.as_object_mut())
}
