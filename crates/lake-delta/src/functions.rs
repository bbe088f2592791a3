//! The functions of [`onefold_lake::functions`], for SQL.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, StringViewArray,
    cast::AsArray as _,
    types::{Decimal128Type, Int64Type},
};
use arrow_schema::DataType;
use datafusion::{
    common::{ScalarValue, exec_datafusion_err},
    error::Result,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
};
use onefold_lake::{
    amounts, functions,
    segments::{METRICS, SUM_DIGITS},
};
use onefold_model::{Timestamp, value::AMOUNT_PLACES};

/// All of them.
pub fn all() -> Vec<ScalarUDF> {
    let (text, number, flag) = (DataType::Utf8View, DataType::Int64, DataType::Boolean);
    let sum = DataType::Decimal128(SUM_DIGITS, AMOUNT_PLACES as i8);
    let of_points: Vec<&DataType> = std::iter::repeat_n(&text, METRICS + 1).collect();
    vec![
        function("value_of", &[&text, &text], &text, |asked| {
            let (object, name) = (asked.texts(0)?, asked.texts(1)?);
            Ok(asked.texts_of(|row| functions::member(object.at(row)?, name.at(row)?)))
        }),
        function("value_at", &[&text, &text], &text, |asked| {
            let (object, path) = (asked.texts(0)?, asked.texts(1)?);
            Ok(asked.texts_of(|row| functions::at_path(object.at(row)?, path.at(row)?)))
        }),
        function("canonical", &[&text], &text, |asked| {
            let value = asked.texts(0)?;
            Ok(asked.texts_of(|row| functions::canonical(value.at(row)?)))
        }),
        function("amount", &[&text], &amounts(), |asked| {
            let value = asked.texts(0)?;
            let found: Decimal128Array = (0..asked.rows).map(|row| value.at(row).and_then(functions::amount)).collect();
            Ok(Arc::new(found.with_data_type(amounts())))
        }),
        function("total", &[&sum], &text, |asked| {
            let sum = asked.column(0)?;
            let sum = sum.as_primitive::<Decimal128Type>();
            Ok(asked.texts_of(|row| sum.is_valid(row).then(|| functions::total(sum.value(row)))))
        }),
        function("mean", &[&sum, &number], &text, |asked| {
            let (sum, count) = (asked.column(0)?, asked.column(1)?);
            let (sum, count) = (sum.as_primitive::<Decimal128Type>(), count.as_primitive::<Int64Type>());
            let there = |row| sum.is_valid(row) && count.is_valid(row);
            Ok(asked.texts_of(|row| there(row).then(|| functions::mean(sum.value(row), count.value(row))).flatten()))
        }),
        function("passes", &[&text, &text], &flag, |asked| asked.passing(Timestamp(0), "UTC")),
        function("passes_at", &[&text, &text, &number, &text], &flag, |asked| {
            asked.passing(Timestamp(asked.literal_number(2)?), &asked.literal(3)?)
        }),
        function("reachable", &[&text, &text, &text, &text, &number], &flag, |asked| {
            let (consents, purpose, channel) = (asked.texts(0)?, asked.texts(1)?, asked.texts(2)?);
            let (policy, now) = (functions::policy(&asked.literal(3)?), asked.column(4)?);
            let now = now.as_primitive::<Int64Type>();
            Ok(asked.flags_of(|row| {
                let at = if now.is_valid(row) { Timestamp(now.value(row)) } else { Timestamp::MIN };
                purpose.at(row).is_some_and(|purpose| {
                    functions::reachable(consents.at(row), purpose, channel.at(row), &policy, at)
                })
            }))
        }),
        function("holds", &of_points, &flag, |asked| {
            let condition = functions::Holds::read(&asked.literal(0)?).map_err(failed)?;
            let points = (1..=METRICS).map(|place| asked.texts(place)).collect::<Result<Vec<_>>>()?;
            let holds = |row| condition.holds(points.iter().map(|points| points.at(row))).map_err(failed);
            let found: BooleanArray = (0..asked.rows).map(|row| holds(row).map(Some)).collect::<Result<_>>()?;
            Ok(Arc::new(found))
        }),
    ]
}

fn failed(error: functions::Unreadable) -> datafusion::common::DataFusionError {
    exec_datafusion_err!("{error}")
}

fn function(
    name: &str,
    takes: &[&DataType],
    gives: &DataType,
    of: impl Fn(&Asked<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
) -> ScalarUDF {
    let takes = takes.iter().map(|of| (*of).clone()).collect();
    let invoke = move |args: &[ColumnarValue]| {
        let rows = args.iter().find_map(|arg| match arg {
            ColumnarValue::Array(array) => Some(array.len()),
            ColumnarValue::Scalar(_) => None,
        });
        let found = of(&Asked { args, rows: rows.unwrap_or(1) })?;
        Ok(match rows {
            Some(_) => ColumnarValue::Array(found),
            None => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
        })
    };
    create_udf(name, takes, gives.clone(), Volatility::Immutable, Arc::new(invoke))
}

/// What a function is asked, of many rows at once.
struct Asked<'a> {
    args: &'a [ColumnarValue],
    rows: usize,
}

/// One text for all rows, or one for each.
enum Texts {
    One(Option<String>),
    Each(StringViewArray),
}

impl Texts {
    fn at(&self, row: usize) -> Option<&str> {
        match self {
            Texts::One(text) => text.as_deref(),
            Texts::Each(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }
}

impl Asked<'_> {
    fn texts(&self, place: usize) -> Result<Texts> {
        match &self.args[place] {
            ColumnarValue::Scalar(value) => match value.try_as_str() {
                Some(text) => Ok(Texts::One(text.map(str::to_owned))),
                None if value.is_null() => Ok(Texts::One(None)),
                None => Err(exec_datafusion_err!("{value} is not text")),
            },
            ColumnarValue::Array(array) => Ok(Texts::Each(array.as_string_view().clone())),
        }
    }

    fn column(&self, place: usize) -> Result<ArrayRef> {
        self.args[place].to_array(self.rows)
    }

    /// A text that must be the same for all rows.
    fn literal(&self, place: usize) -> Result<String> {
        match self.texts(place)? {
            Texts::One(Some(text)) => Ok(text),
            _ => Err(exec_datafusion_err!("argument {} must be written as a literal", place + 1)),
        }
    }

    fn literal_number(&self, place: usize) -> Result<i64> {
        let column: ArrayRef = self.column(place)?;
        let numbers: &Int64Array = column.as_primitive();
        match &self.args[place] {
            ColumnarValue::Scalar(_) if numbers.is_valid(0) => Ok(numbers.value(0)),
            _ => Err(exec_datafusion_err!("argument {} must be written as a literal", place + 1)),
        }
    }

    /// Whether the values of the first argument pass the test of the second.
    fn passing(&self, now: Timestamp, zone: &str) -> Result<ArrayRef> {
        let test = functions::Passes::read(&self.literal(1)?, now, zone).map_err(failed)?;
        let values = self.texts(0)?;
        Ok(self.flags_of(|row| test.passes(values.at(row))))
    }

    fn texts_of<T: AsRef<str>>(&self, of: impl Fn(usize) -> Option<T>) -> ArrayRef {
        Arc::new((0..self.rows).map(of).collect::<StringViewArray>())
    }

    fn flags_of(&self, of: impl Fn(usize) -> bool) -> ArrayRef {
        Arc::new((0..self.rows).map(|row| Some(of(row))).collect::<BooleanArray>())
    }
}
