//! Members of JSON that are asked often, as columns of their own.
//!
//! Reading a member out of JSON costs a hundred times what reading a column does. So a member that enough rows have
//! becomes two columns: its value as text (JSON, where it is neither text nor a number nor a truth value), and the same as an
//! amount where it is one. So a value of any type is in its columns, whatever type the member had before; and the JSON
//! stays whole beside them.
//!
//! A table's promoted columns are the pairs after its own columns, in the order in which they were promoted, so its schema
//! says all there is to know. Rows say in `promoted` how many of the pairs were there when they were written: what a later
//! pair has of them is only in the JSON.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, Int32Array, RecordBatch, StringArray,
    builder::{Decimal128Builder, StringBuilder},
    cast::AsArray as _,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use onefold_model::{
    json::{self, Members},
    value::{self, AMOUNT_PLACES},
};
use rustc_hash::FxHashMap;
use serde_json::value::RawValue;

use crate::Table;

/// Members that a table has columns for. A hundred thousand names must not become as many columns.
const NAMES_MAX: usize = 64;
/// Names that are counted to choose among.
const COUNTED_MAX: usize = 4096;
/// Rows looked at to choose.
const SAMPLE: usize = 4096;
/// A member is promoted when so many of the rows looked at have it…
const SHARE: usize = 100;
/// …and at least so many of them.
const ROWS_MIN: usize = 32;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Digits of an amount: 10¹⁵ and its places, and one for 10¹⁵ itself.
const AMOUNT_DIGITS: u8 = 16 + AMOUNT_PLACES as u8;

/// The members that a table has columns for, in the order in which they were promoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted(Vec<String>);

impl Promoted {
    /// What a table with these columns has.
    pub fn of<'a>(table: Table, names: impl Iterator<Item = &'a str>) -> Promoted {
        let Some((_, prefix)) = table.promotes() else { return Promoted::default() };
        let added = names.skip(table.schema().fields().len()).step_by(2);
        Promoted(added.filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect())
    }

    /// The names of the members.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The schema of a table with these columns.
    pub fn schema(&self, table: Table) -> SchemaRef {
        let mut fields: Vec<Arc<Field>> = table.schema().fields().iter().cloned().collect();
        for name in &self.0 {
            let [text, number] = columns(table, name);
            fields.push(Arc::new(Field::new(text, DataType::Utf8, true)));
            fields.push(Arc::new(Field::new(number, amounts(), true)));
        }
        Arc::new(Schema::new(fields))
    }

    /// Adds the members that these rows of a table have most.
    pub fn choose(&mut self, table: Table, rows: &RecordBatch) {
        let Some((column, _)) = table.promotes() else { return };
        let Some(column) = rows.column_by_name(column) else { return };
        let column = column.as_string::<i32>();
        let step = column.len().div_ceil(SAMPLE).max(1);
        let (mut counts, mut looked_at) = (BTreeMap::<String, usize>::new(), 0);
        for row in (0..column.len()).step_by(step) {
            looked_at += 1;
            let Some(Ok(members)) = column.is_valid(row).then(|| serde_json::from_str::<Members>(column.value(row)))
            else {
                continue;
            };
            for (name, value) in &members.0 {
                if json::scalar(value).is_none() {
                    continue;
                }
                if let Some(count) = counts.get_mut(name.as_ref()) {
                    *count += 1;
                } else if counts.len() < COUNTED_MAX {
                    counts.insert(name.to_string(), 1);
                }
            }
        }
        let enough = ROWS_MIN.max(looked_at / SHARE);
        let mut found: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count >= enough).collect();
        found.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then(a.cmp(b)));
        for (name, _) in found {
            if self.0.len() < NAMES_MAX && self.may_add(table, &name) {
                self.0.push(name);
            }
        }
    }

    /// Names of columns must differ by more than case, and not all signs may stand in one.
    fn may_add(&self, table: Table, name: &str) -> bool {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let schema = self.schema(table);
        let taken = |column: &String| schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(column));
        plain && name.len() <= NAME_BYTES_MAX && !columns(table, name).iter().any(taken)
    }

    /// Rows of a table with these columns, whatever promoted columns they had.
    pub fn add_to(&self, table: Table, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Some((json, _)) = table.promotes() else { return Ok(rows.clone()) };
        let own = table.schema();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(own.fields().len() + 2 * self.0.len());
        for field in own.fields() {
            arrays.push(match field.name().as_str() {
                "promoted" => Arc::new(Int32Array::from(vec![self.0.len() as i32; rows.num_rows()])),
                name => rows
                    .column_by_name(name)
                    .ok_or_else(|| ArrowError::SchemaError(format!("rows of {table} without {name}")))?
                    .clone(),
            });
        }
        let json = own.index_of(json)?;
        arrays.extend(self.arrays(&arrays[json].as_string::<i32>().clone())?);
        RecordBatch::try_new(self.schema(table), arrays)
    }

    fn arrays(&self, json: &StringArray) -> Result<Vec<ArrayRef>, ArrowError> {
        let places: FxHashMap<&str, usize> = self.0.iter().enumerate().map(|(place, n)| (n.as_str(), place)).collect();
        let mut texts: Vec<StringBuilder> = self.0.iter().map(|_| StringBuilder::new()).collect();
        let mut numbers = vec![];
        for _ in &self.0 {
            numbers.push(Decimal128Builder::new().with_data_type(amounts()));
        }
        let mut found: Vec<Option<&RawValue>> = vec![None; self.0.len()];
        for row in 0..json.len() {
            found.fill(None);
            if !self.0.is_empty() && json.is_valid(row) {
                let members: Members = serde_json::from_str(json.value(row)).unwrap_or_default();
                // Of a name that stands twice the last counts, as everywhere.
                for (name, value) in members.0 {
                    if let Some(place) = places.get(name.as_ref()) {
                        found[*place] = Some(value);
                    }
                }
            }
            for ((value, texts), numbers) in found.iter().zip(&mut texts).zip(&mut numbers) {
                let value = value.filter(|value| !json::is_null(value));
                texts.append_option(value.map(|raw| json::scalar(raw).unwrap_or(raw.get().into())));
                numbers.append_option(value.and_then(value::amount_of).map(|mut amount| {
                    amount.rescale(AMOUNT_PLACES);
                    amount.mantissa()
                }));
            }
        }
        let pairs = texts.iter_mut().zip(&mut numbers);
        Ok(pairs.flat_map(|(t, n)| [Arc::new(t.finish()) as ArrayRef, Arc::new(n.finish()) as ArrayRef]).collect())
    }
}

/// The columns of a promoted member: its text, and its amount.
pub fn columns(table: Table, name: &str) -> [String; 2] {
    let prefix = table.promotes().map_or("", |(_, prefix)| prefix);
    [format!("{prefix}{name}"), format!("{prefix}{name}_number")]
}

/// The type of amounts.
pub fn amounts() -> DataType {
    DataType::Decimal128(AMOUNT_DIGITS, AMOUNT_PLACES as i8)
}

#[cfg(test)]
mod tests {
    use arrow_array::{TimestampMicrosecondArray, types::Decimal128Type};

    use super::*;

    fn profiles(traits: &[Option<&str>]) -> RecordBatch {
        let rows = traits.len();
        let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from_iter_values(0..rows as i64));
        let columns: Vec<ArrayRef> = vec![
            numbers.clone(),
            numbers,
            Arc::new(TimestampMicrosecondArray::from(vec![0; rows]).with_timezone("UTC")),
            Arc::new(arrow_array::BooleanArray::from(vec![false; rows])),
            Arc::new(StringArray::from(vec!["p"; rows])),
            Arc::new(StringArray::from(traits.to_vec())),
            Arc::new(StringArray::from(vec![None::<&str>; rows])),
            Arc::new(Int32Array::from(vec![0; rows])),
        ];
        RecordBatch::try_new(Table::Profiles.schema().clone(), columns).expect("rows of profiles")
    }

    fn chosen(traits: &[Option<&str>]) -> Promoted {
        let mut promoted = Promoted::default();
        promoted.choose(Table::Profiles, &profiles(traits));
        promoted
    }

    #[test]
    fn what_many_rows_have_is_promoted() {
        let mut rows = vec![Some(r#"{"plan":"pro","age":41,"tags":["a"],"no good":1}"#); 40];
        assert_eq!(chosen(&rows).names(), ["age", "plan"]);
        rows.extend([None; 4000]);
        assert_eq!(chosen(&rows[..4000]).names(), ["age", "plan"]);
        assert!(chosen(&rows[9..]).names().is_empty(), "too few of so many");
    }

    #[test]
    fn columns_have_the_value_as_text_and_as_an_amount_and_their_order_never_changes() {
        let rows = [
            Some(r#"{"age":41,"plan":"pro"}"#),
            Some(r#"{"age":"41.50","age2":1}"#),
            Some(r#"{"age":"none","plan":true}"#),
            Some(r#"{"age":1,"age":{"years":4}}"#),
            None,
        ];
        let promoted = Promoted(vec!["age".to_owned(), "plan".to_owned()]);
        let with = promoted.add_to(Table::Profiles, &profiles(&rows)).unwrap();
        let text = |name: &str| {
            let column = with.column_by_name(name).unwrap().as_string::<i32>().clone();
            column.iter().map(|v| v.map(str::to_owned)).collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(text("trait_age"), [some("41"), some("41.50"), some("none"), some("{\"years\":4}"), None]);
        assert_eq!(text("trait_plan"), [some("pro"), None, some("true"), None, None]);
        let numbers = with.column_by_name("trait_age_number").unwrap().as_primitive::<Decimal128Type>();
        let one = 10_i128.pow(AMOUNT_PLACES);
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [Some(41 * one), Some(83 * one / 2), None, None, None]);
        let names = with.schema();
        assert_eq!(Promoted::of(Table::Profiles, names.fields().iter().map(|f| f.name().as_str())), promoted);
        // Rows with other promoted columns are brought to these.
        let again = Promoted(vec!["plan".to_owned()]).add_to(Table::Profiles, &with).unwrap();
        assert_eq!(again.num_columns(), Table::Profiles.schema().fields().len() + 2);
    }

    #[test]
    fn names_are_bounded_and_never_taken_twice() {
        let many = (0..200).map(|n| format!("\"name{n}\":1")).collect::<Vec<_>>().join(",");
        let row = format!("{{{many}}}");
        assert_eq!(chosen(&vec![Some(row.as_str()); 50]).names().len(), NAMES_MAX);
        let alike = chosen(&[Some(r#"{"a":1,"A":2,"a_number":3,"b_number":1,"b":2}"#); 50]);
        assert_eq!(alike.names(), ["A", "b"]);
    }
}
