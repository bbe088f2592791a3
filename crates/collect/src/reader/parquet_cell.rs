//! Values of Parquet as cells and JSON: numbers exact, times as ISO 8601, bytes as text where they are UTF-8 and as
//! Base64 where they are not, groups, lists and maps as JSON.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical},
    data_type::Decimal,
    record::Field,
    schema::types::Type,
};

use crate::row::{CellKind, CellsBuf};

/// What a column's schema says that the record reader leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    None,
    TimestampNanos,
    TimeNanos,
    Uuid,
}

impl Hint {
    pub(super) fn of(column: &Type) -> Hint {
        match column.get_basic_info().logical_type_ref() {
            Some(LogicalType::Timestamp(timestamp)) if timestamp.unit == TimeUnit::NANOS => Hint::TimestampNanos,
            Some(LogicalType::Time(time)) if time.unit == TimeUnit::NANOS => Hint::TimeNanos,
            Some(LogicalType::Uuid) => Hint::Uuid,
            _ => Hint::None,
        }
    }
}

/// The name of the first column at or under `node` of a type that the record reader does not know (it would panic).
pub(super) fn unreadable(node: &Type) -> Option<String> {
    if node.is_group() {
        return node.get_fields().iter().find_map(|field| unreadable(field));
    }
    use ConvertedType as C;
    let converted = node.get_basic_info().converted_type();
    let readable = match node.get_physical_type() {
        Physical::INT32 => {
            !matches!(converted, C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS | C::TIME_MICROS | C::INT_64 | C::UINT_64)
        }
        Physical::FIXED_LEN_BYTE_ARRAY => matches!(converted, C::NONE | C::DECIMAL),
        Physical::BYTE_ARRAY => matches!(converted, C::NONE | C::UTF8 | C::ENUM | C::JSON | C::BSON | C::DECIMAL),
        _ => true,
    };
    (!readable).then(|| format!("column {} of type {converted}", node.name()))
}

/// Appends the cell that `field` makes. The error is a sentence.
pub(super) fn push(field: &Field, hint: Hint, out: &mut CellsBuf) -> Result<(), String> {
    let kind = write(field, hint, &mut out.text)?;
    out.end(kind);
    Ok(())
}

/// Writes a value's text: bare, not as JSON, where its kind is text or time.
fn write(field: &Field, hint: Hint, out: &mut String) -> Result<CellKind, String> {
    // Writing to a string does not fail.
    let number = |out: &mut String, n: &dyn std::fmt::Display| {
        let _ = write!(out, "{n}");
        Ok(CellKind::Number)
    };
    let time = |out: &mut String, text: Option<String>| match text {
        Some(text) => {
            out.push_str(&text);
            Ok(CellKind::Time)
        }
        None => Err("holds a time that is out of range".to_owned()),
    };
    match field {
        Field::Null => Ok(CellKind::Empty),
        Field::Bool(value) => {
            out.push_str(if *value { "true" } else { "false" });
            Ok(CellKind::Bool)
        }
        Field::Byte(n) => number(out, n),
        Field::Short(n) => number(out, n),
        Field::Int(n) => number(out, n),
        Field::Long(n) => match hint {
            Hint::TimestampNanos => {
                time(out, jiff::Timestamp::from_nanosecond(i128::from(*n)).ok().map(|at| at.to_string()))
            }
            Hint::TimeNanos => time(out, time_of_day(*n)),
            Hint::Uuid | Hint::None => number(out, n),
        },
        Field::UByte(n) => number(out, n),
        Field::UShort(n) => number(out, n),
        Field::UInt(n) => number(out, n),
        Field::ULong(n) => number(out, n),
        Field::Float16(n) => float(f64::from(n.to_f32()), n, out),
        Field::Float(n) => float(f64::from(*n), n, out),
        Field::Double(n) => float(*n, n, out),
        Field::Decimal(decimal) => match decimal_text(decimal) {
            Some(text) => number(out, &text),
            None => Err("holds a decimal of more than 38 digits".to_owned()),
        },
        Field::Str(text) => {
            out.push_str(text);
            Ok(CellKind::Text)
        }
        Field::Bytes(bytes) => {
            match (hint, std::str::from_utf8(bytes.data())) {
                (Hint::Uuid, _) => write_uuid(bytes.data(), out),
                (_, Ok(text)) => out.push_str(text),
                (_, Err(_)) => STANDARD.encode_string(bytes.data(), out),
            }
            Ok(CellKind::Text)
        }
        Field::Date(days) => time(out, date(*days)),
        Field::TimeMillis(ms) => time(out, time_of_day(i64::from(*ms) * 1_000_000)),
        Field::TimeMicros(us) => time(out, us.checked_mul(1000).and_then(time_of_day)),
        Field::TimestampMillis(ms) => time(out, jiff::Timestamp::from_millisecond(*ms).ok().map(|at| at.to_string())),
        Field::TimestampMicros(us) => time(out, jiff::Timestamp::from_microsecond(*us).ok().map(|at| at.to_string())),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            write_json(field, out)?;
            Ok(CellKind::Json)
        }
    }
}

/// `text` is how the number's own type writes it: the shortest form that reads back as the same.
fn float(value: f64, text: &dyn std::fmt::Display, out: &mut String) -> Result<CellKind, String> {
    if !value.is_finite() {
        return Ok(CellKind::Empty);
    }
    let _ = write!(out, "{text}");
    Ok(CellKind::Number)
}

fn date(days: i32) -> Option<String> {
    let at = jiff::Timestamp::from_second(i64::from(days) * 86_400).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
}

fn time_of_day(ns: i64) -> Option<String> {
    let midnight = jiff::civil::Time::midnight();
    (0..86_400_000_000_000).contains(&ns).then(|| (midnight + jiff::SignedDuration::from_nanos(ns)).to_string())
}

fn write_uuid(bytes: &[u8], out: &mut String) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
}

/// The decimal's digits, exactly.
fn decimal_text(decimal: &Decimal) -> Option<String> {
    let bytes = decimal.data();
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let skip = bytes.len().saturating_sub(16);
    if bytes[..skip].iter().any(|b| *b != fill) {
        return None;
    }
    let mut wide = [fill; 16];
    let kept = &bytes[skip..];
    wide[16 - kept.len()..].copy_from_slice(kept);
    let unscaled = i128::from_be_bytes(wide);
    let scale = usize::try_from(decimal.scale()).ok()?;
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") })
}

fn write_json(field: &Field, out: &mut String) -> Result<(), String> {
    match field {
        Field::Group(group) => {
            out.push('{');
            for (i, (name, value)) in group.get_column_iter().enumerate() {
                write_member(i, name, value, out)?;
            }
            out.push('}');
        }
        Field::ListInternal(list) => {
            out.push('[');
            for (i, element) in list.elements().iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(element, out)?;
            }
            out.push(']');
        }
        Field::MapInternal(map) => {
            out.push('{');
            for (i, (key, value)) in map.entries().iter().enumerate() {
                let mut name = String::new();
                write(key, Hint::None, &mut name)?;
                write_member(i, &name, value, out)?;
            }
            out.push('}');
        }
        scalar => {
            let mut text = String::new();
            match write(scalar, Hint::None, &mut text)? {
                CellKind::Empty => out.push_str("null"),
                CellKind::Text | CellKind::Time => out.push_str(&json_string(&text)),
                CellKind::Number | CellKind::Bool | CellKind::Json => out.push_str(&text),
            }
        }
    }
    Ok(())
}

fn write_member(place: usize, name: &str, value: &Field, out: &mut String) -> Result<(), String> {
    if place > 0 {
        out.push(',');
    }
    out.push_str(&json_string(name));
    out.push(':');
    write_json(value, out)
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::data_type::ByteArray;

    #[test]
    fn decimals_are_exact() {
        let check = |unscaled: i128, scale: i32, expect: &str| {
            let bytes = ByteArray::from(unscaled.to_be_bytes().to_vec());
            assert_eq!(decimal_text(&Decimal::from_bytes(bytes, 38, scale)).as_deref(), Some(expect));
        };
        check(2933, 2, "29.33");
        check(-5, 2, "-0.05");
        check(0, 0, "0");
        check(1234, 4, "0.1234");
        check(i128::MAX, 0, "170141183460469231731687303715884105727");
        assert_eq!(decimal_text(&Decimal::from_i32(-1, 9, 1)).as_deref(), Some("-0.1"));
        let wide = ByteArray::from([[0xff; 16], (-7i128).to_be_bytes()].concat());
        assert_eq!(decimal_text(&Decimal::from_bytes(wide, 60, 0)).as_deref(), Some("-7"));
        assert_eq!(decimal_text(&Decimal::from_bytes(ByteArray::from(vec![1; 17]), 60, 0)), None);
    }

    #[test]
    fn times_are_iso() {
        assert_eq!(date(-1).as_deref(), Some("1969-12-31"));
        assert_eq!(date(i32::MAX), None);
        assert_eq!(time_of_day(3_723_000_000_000).as_deref(), Some("01:02:03"));
        assert_eq!(time_of_day(-1), None);
    }
}
