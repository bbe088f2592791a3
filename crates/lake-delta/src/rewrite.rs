//! Reads a promoted column instead of the JSON.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use datafusion::{
    common::{Column, DFSchema, ScalarValue, config::ConfigOptions, tree_node::Transformed},
    error::Result,
    logical_expr::{Expr, Operator, binary_expr, expr_rewriter::FunctionRewrite, lit, when},
};
use onefold_lake::{Promoted, Table, amounts, columns, functions};
use onefold_model::{Value, segment::Test};
use serde_json::value::RawValue;

/// Turns `properties->>'total'` into the column that it was promoted to, for the rows that have it, and
/// `amount(value_at(properties, 'total'))` likewise, and a test of such a value where the columns decide it, or leave little to decide.
/// Of each table: what it has columns for, and for how many of these every row has them.
#[derive(Debug)]
pub struct ReadPromoted(pub BTreeMap<Table, (Promoted, usize)>);

/// What stands instead of an expression, given the columns of the member's text and of its amount.
type Instead = Box<dyn Fn(Expr, Expr) -> Expr>;

impl ReadPromoted {
    fn instead_of(&self, expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        let Some((json, name, instead)) = asked(expr) else { return Ok(None) };
        let is_its = |table: &Table| table.promotes().is_some_and(|(column, _)| column == json.name);
        for (table, (promoted, everywhere)) in self.0.iter().filter(|(table, _)| is_its(table)) {
            let Some(place) = promoted.names().iter().position(|promoted| promoted == name) else { continue };
            let beside = |name: &str| Column::new(json.relation.clone(), name);
            let [text, number] = columns(*table, name);
            let (text, number, promoted) = (beside(&text), beside(&number), beside("promoted"));
            // Beside the JSON of another table stand columns of the same names only if somebody put them there.
            if !schema.has_column(&text) || !schema.has_column(&promoted) {
                continue;
            }
            let by_column = instead(Expr::Column(text), Expr::Column(number));
            if place < *everywhere {
                // The JSON is not even opened.
                return Ok(Some(by_column));
            }
            let is_there = Expr::Column(promoted).gt(lit(place as i32));
            return when(is_there, by_column).otherwise(expr.clone()).map(Some);
        }
        Ok(None)
    }
}

/// The column of JSON that is asked, for which of its members, and how.
fn asked(expr: &Expr) -> Option<(&Column, &str, Instead)> {
    let Expr::ScalarFunction(function) = expr else { return None };
    match (function.name(), function.args.as_slice()) {
        ("json_as_text", [Expr::Column(json), name]) => Some((json, text_of(name)?, Box::new(|text, _| text))),
        ("amount", [value]) => {
            let (json, name) = value_at(value)?;
            Some((json, name, Box::new(|_, number| number)))
        }
        ("passes", [value, test]) => {
            let (json, name) = value_at(value)?;
            let test = serde_json::from_str(text_of(test)?).ok()?;
            if let Some(decided) = by_text(&test) {
                return Some((json, name, decided));
            }
            let (narrowed, opened) = (by_columns(test)?, expr.clone());
            Some((json, name, Box::new(move |text, number| narrowed(text, number).and(opened.clone()))))
        }
        _ => None,
    }
}

/// `value_at(column, 'name')`. The names of promoted members have no dots, so a path of several is none of them.
fn value_at(expr: &Expr) -> Option<(&Column, &str)> {
    let Expr::ScalarFunction(function) = expr else { return None };
    match (function.name(), function.args.as_slice()) {
        ("value_at" | "value_of", [Expr::Column(json), name]) => Some((json, text_of(name)?)),
        _ => None,
    }
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// Values that are compared one by one.
const FEW: usize = 8;

/// A test of the text of a value, where that decides: text that is no JSON is the text of nothing but itself.
fn by_text(test: &Test) -> Option<Instead> {
    let plain = |value: &Value| match value {
        Value::Text(text) if serde_json::from_str::<&RawValue>(text).is_err() => Some(text.clone()),
        _ => None,
    };
    let wanted = match test {
        Test::Exists(true) => return Some(Box::new(|text, _| text.is_not_null())),
        Test::Exists(false) => return Some(Box::new(|text, _| text.is_null())),
        Test::Equals(value) => vec![plain(value)?],
        Test::NotEquals(value) => {
            let other = lit(ScalarValue::Utf8View(Some(plain(value)?)));
            return Some(Box::new(move |text, _| text.clone().is_not_null().and(text.not_eq(other.clone()))));
        }
        Test::In(values) if values.len() <= FEW => values.iter().map(plain).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(Box::new(move |text, _| {
        let same = |wanted: &String| {
            let wanted = lit(ScalarValue::Utf8View(Some(wanted.clone())));
            binary_expr(text.clone(), Operator::IsNotDistinctFrom, wanted)
        };
        wanted.iter().map(same).reduce(Expr::or).unwrap_or_else(|| lit(false))
    }))
}

/// What is so of the columns of every value that passes a test of numbers or truth values. Text may look like these, so the JSON
/// is opened as well, of the few that are left. A number that is no amount has no column of its own.
fn by_columns(test: Test) -> Option<Instead> {
    let compared: fn(Expr, Expr) -> Expr = match &test {
        Test::Equals(_) => Expr::eq,
        // Amounts are rounded, which keeps their order but may make two of them equal.
        Test::Less(_) | Test::AtMost(_) => Expr::lt_eq,
        Test::Greater(_) | Test::AtLeast(_) => Expr::gt_eq,
        Test::Between(least, most) => {
            let (least, most) = (number(least)?, number(most)?);
            return Some(Box::new(move |text, number| {
                may_be(text, &number, number.clone().between(least.clone(), most.clone()))
            }));
        }
        _ => return None,
    };
    match test {
        Test::Equals(Value::Bool(flag)) => {
            let wanted = lit(ScalarValue::Utf8View(Some(flag.to_string())));
            Some(Box::new(move |text, _| compared(text, wanted.clone())))
        }
        Test::Equals(of) | Test::Less(of) | Test::AtMost(of) | Test::Greater(of) | Test::AtLeast(of) => {
            let of = number(&of)?;
            Some(Box::new(move |text, number| may_be(text, &number, compared(number.clone(), of.clone()))))
        }
        _ => None,
    }
}

/// That there is a value, whose amount is such if it has one.
fn may_be(text: Expr, number: &Expr, such: Expr) -> Expr {
    text.is_not_null().and(number.clone().is_null().or(such))
}

/// A number as the column of amounts has it.
fn number(value: &Value) -> Option<Expr> {
    let Value::Number(number) = value else { return None };
    // One that is no amount itself is left to the JSON.
    let units = functions::amount(&number.to_string())?;
    let DataType::Decimal128(digits, places) = amounts() else { return None };
    Some(lit(ScalarValue::Decimal128(Some(units), digits, places)))
}

impl FunctionRewrite for ReadPromoted {
    fn name(&self) -> &str {
        "read_promoted"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(self.instead_of(&expr, schema)?.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}
