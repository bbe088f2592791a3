//! A value by an expression of the Common Expression Language (CEL, <https://cel.dev>).
//!
//! The event's `properties`, `traits` and `context` stand for themselves, and `event` for all of it. Where the expression fails,
//! as where something it asks is not there, nothing is put. What it costs is bounded by the event's size.

use cel::{
    Context, ExecutionError, Program,
    common::ast::{EntryExpr, Expr, IdedExpr},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Apply, Compile};
use crate::Place;

/// Items of a list of an event that an expression goes through; of a longer one nothing is put.
const LIST_MAX: usize = 1000;

/// Characters of an expression.
const EXPRESSION_MAX: usize = 2000;

/// An expression, and where its value goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derive {
    /// The expression.
    pub cel: String,
    /// Where its value goes.
    pub into: Place,
}

impl Compile for Derive {
    fn compile(&self) -> Result<Apply, String> {
        if self.cel.len() > EXPRESSION_MAX {
            return Err(format!("cel has at most {EXPRESSION_MAX} characters"));
        }
        if !self.into.is_one() {
            return Err("into names one place".to_owned());
        }
        let program = Program::compile(&self.cel).map_err(|error| format!("cel: {error}"))?;
        if let Err(ExecutionError::UndeclaredReference(name)) = execute(&program, &Map::new()) {
            return Err(format!("cel: {name} is none of event, properties, traits, context"));
        }
        let ranges = ranges(program.expression()).map_err(|error| format!("cel: {error}"))?;
        let into = self.into.clone();
        Ok(Box::new(move |event, found| {
            if !ranges.iter().all(|path| is_short_list(event, path)) {
                return;
            }
            if let Some(value) = execute(&program, event).ok().flatten() {
                found.changed += u32::from(into.put(event, value));
            }
        }))
    }
}

/// The places of the lists that `all`, `exists`, `map` and `filter` go through.
///
/// A list of an event is as long as its sender likes, so there is one going through a list at a time, and not one within
/// another; and the members of an object stand in no order, so what is made of them in turn would be different each time.
fn ranges(expression: &IdedExpr) -> Result<Vec<Vec<String>>, String> {
    let mut found = vec![];
    look(&expression.expr, false, &mut found)?;
    Ok(found)
}

fn look(expr: &Expr, inside: bool, found: &mut Vec<Vec<String>>) -> Result<(), String> {
    match expr {
        Expr::Comprehension(of) => {
            if inside {
                return Err("all, exists, map and filter may not stand within each other".to_owned());
            }
            match &of.iter_range.expr {
                // What it gives is a list, and no longer than what it goes through.
                Expr::Comprehension(_) => look(&of.iter_range.expr, false, found)?,
                Expr::List(list) => list.elements.iter().try_for_each(|one| look(&one.expr, true, found))?,
                range => found.push(path_of(range).ok_or(
                    "all, exists, map and filter go through a list at a place of the event, as properties.items, or one written out",
                )?),
            }
            [&of.accu_init, &of.loop_cond, &of.loop_step, &of.result]
                .into_iter()
                .try_for_each(|e| look(&e.expr, true, found))
        }
        Expr::Call(call) => {
            let target = call.target.iter().map(|target| &**target);
            target.chain(&call.args).try_for_each(|e| look(&e.expr, inside, found))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|e| look(&e.expr, inside, found)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| look_entry(&entry.expr, inside, found)),
        Expr::Struct(of) => of.entries.iter().try_for_each(|entry| look_entry(&entry.expr, inside, found)),
        Expr::Select(select) => look(&select.operand.expr, inside, found),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
    }
}

fn look_entry(entry: &EntryExpr, inside: bool, found: &mut Vec<Vec<String>>) -> Result<(), String> {
    match entry {
        EntryExpr::StructField(field) => look(&field.value.expr, inside, found),
        EntryExpr::MapEntry(entry) => {
            look(&entry.key.expr, inside, found)?;
            look(&entry.value.expr, inside, found)
        }
    }
}

/// The place that an expression names: `properties.items`.
fn path_of(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Ident(name) => Some(if name == "event" { vec![] } else { vec![name.clone()] }),
        Expr::Select(select) if !select.test => {
            let mut path = path_of(&select.operand.expr)?;
            path.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}

/// Whether there is nothing at a path, or a list that may be gone through.
fn is_short_list(event: &Map<String, Value>, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let there = event.get(first).and_then(|value| rest.iter().try_fold(value, |value, name| value.get(name)));
    there.is_none_or(|value| value.as_array().is_some_and(|list| list.len() <= LIST_MAX))
}

/// The expression's value over an event, where it has one that JSON can hold.
fn execute(program: &Program, event: &Map<String, Value>) -> Result<Option<Value>, ExecutionError> {
    let mut context = Context::default();
    let member = |name: &str| event.get(name).cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let all = Value::Object(event.clone());
    let [properties, traits, around] = ["properties", "traits", "context"].map(member);
    for (name, value) in [("event", all), ("properties", properties), ("traits", traits), ("context", around)] {
        if context.add_variable(name, value).is_err() {
            return Ok(None);
        }
    }
    Ok(program.execute(&context)?.json().ok().filter(|value| !value.is_null()))
}
