//! The bytes of a series: times as differences in LEB128 varints, amounts as scale and zigzag mantissa, values as a tag
//! and their bytes. A few points of one day take two or three bytes each. The caller puts the version in front.

use std::ops::Range;

use rust_decimal::Decimal;

use super::{Aggregate, Series};
use crate::{Timestamp, Value};

/// Bytes that are no series: the store is damaged, or they are of another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decode series: {0}")]
pub struct DecodeError(pub(super) &'static str);

const AMOUNTS: u8 = 1;
const VALUES: u8 = 2;
const FOLDED: u8 = 4;
const CHUNKED: u8 = 8;

impl Series {
    /// Appends the series, all in one piece.
    pub fn encode(&self, out: &mut Vec<u8>) {
        head(self, None, out);
        points(self, 0..self.times.len(), out);
    }

    /// Reads what [`encode`](Self::encode) wrote and takes it off `input`.
    pub fn decode(input: &mut &[u8]) -> Result<Series, DecodeError> {
        match read_head(input)? {
            (series, None) => Ok(series),
            (_, Some(_)) => Err(DecodeError("its points are in chunks")),
        }
    }
}

/// Appends what comes before the points; `cut` is the number of chunks and the next number, where there are chunks.
pub(super) fn head(series: &Series, cut: Option<(usize, u32)>, out: &mut Vec<u8>) {
    let folded = series.folded != Timestamp::MIN || series.before.is_some();
    out.push(if folded { FOLDED } else { 0 } | if cut.is_some() { CHUNKED } else { 0 });
    if folded {
        put_signed(out, series.folded.0.into());
        put_aggregate(out, series.before());
    }
    if let Some((count, next)) = cut {
        put(out, count as u128);
        put(out, next.into());
    }
}

/// Reads a head, and the points where they follow it.
pub(super) fn read_head(input: &mut &[u8]) -> Result<(Series, Option<(usize, u32)>), DecodeError> {
    let mut series = Series::default();
    let flags = byte(input)?;
    if flags & !(FOLDED | CHUNKED) != 0 {
        return Err(DecodeError("unknown flags"));
    }
    if flags & FOLDED != 0 {
        series.folded = take_time(input)?;
        let before = take_aggregate(input)?;
        series.before = (before.count > 0).then(|| Box::new(before));
    }
    if flags & CHUNKED != 0 {
        let count = take_len(input)?;
        let next = u32::try_from(take(input)?).map_err(|_| DecodeError("too many chunks"))?;
        return Ok((series, Some((count, next))));
    }
    read_points(&mut series, input)?;
    validate(&series)?;
    Ok((series, None))
}

/// Appends the points of `range`.
pub(super) fn points(series: &Series, range: Range<usize>, out: &mut Vec<u8>) {
    let kind = if series.amounts.is_empty() { 0 } else { AMOUNTS } | if series.values.is_empty() { 0 } else { VALUES };
    out.push(kind);
    put(out, range.len() as u128);
    let mut last = None;
    for at in &series.times[range.clone()] {
        match last {
            None => put_signed(out, at.0.into()),
            Some(Timestamp(last)) => put(out, at.0.abs_diff(last).into()),
        }
        last = Some(*at);
    }
    for amount in series.amounts.get(range.clone()).unwrap_or_default() {
        put_decimal(out, *amount);
    }
    for value in series.values.get(range).unwrap_or_default() {
        put_value(out, value);
    }
}

/// Reads points to the end of the series.
pub(super) fn read_points(series: &mut Series, input: &mut &[u8]) -> Result<(), DecodeError> {
    let kind = byte(input)?;
    if kind & !(AMOUNTS | VALUES) != 0 {
        return Err(DecodeError("unknown kind of points"));
    }
    let count = take_len(input)?;
    // Every point takes a byte or more of each column, so no length makes us reserve more than the input's own.
    if count > input.len() {
        return Err(DecodeError("it ends early"));
    }
    series.times.reserve_exact(count);
    for i in 0..count {
        let at = match series.times.last() {
            Some(last) if i > 0 => later(*last, take(input)?)?,
            _ => take_time(input)?,
        };
        series.times.push(at);
    }
    if kind & AMOUNTS != 0 {
        series.amounts.reserve_exact(count.min(input.len()));
        for _ in 0..count {
            series.amounts.push(take_decimal(input)?);
        }
    }
    if kind & VALUES != 0 {
        series.values.reserve_exact(count.min(input.len()));
        for _ in 0..count {
            series.values.push(take_value(input)?);
        }
    }
    Ok(())
}

/// Whether the columns are as long as each other and in order: everything that reads a series relies on it.
pub(super) fn validate(series: &Series) -> Result<(), DecodeError> {
    let len = series.times.len();
    let column = |n: usize| n == 0 || n == len;
    if !column(series.amounts.len()) || !column(series.values.len()) {
        return Err(DecodeError("its columns differ in length"));
    }
    let point = |i: usize| (series.times[i], series.amounts.get(i), series.values.get(i));
    if (1..len).any(|i| series.times[i - 1] >= series.times[i] && point(i - 1) > point(i)) {
        return Err(DecodeError("its points are out of order"));
    }
    if series.times.first().is_some_and(|first| *first < series.folded) {
        return Err(DecodeError("a point is older than what was folded"));
    }
    Ok(())
}

fn put_aggregate(out: &mut Vec<u8>, before: &Aggregate) {
    put(out, before.count.into());
    let Some((first, last)) = before.span else { return };
    put_signed(out, first.0.into());
    put(out, last.0.abs_diff(first.0).into());
    let kind = if before.range.is_some() { AMOUNTS } else { 0 } | if before.edges.is_some() { VALUES } else { 0 };
    out.push(kind);
    if let Some((least, greatest)) = before.range {
        [before.sum, least, greatest].into_iter().for_each(|n| put_decimal(out, n));
    }
    if let Some(edges) = &before.edges {
        put_value(out, &edges.0);
        put_value(out, &edges.1);
    }
}

fn take_aggregate(input: &mut &[u8]) -> Result<Aggregate, DecodeError> {
    let count = u64::try_from(take(input)?).map_err(|_| DecodeError("a count is out of range"))?;
    if count == 0 {
        return Ok(Aggregate::default());
    }
    let first = take_time(input)?;
    let last = later(first, take(input)?)?;
    let kind = byte(input)?;
    let mut before = Aggregate { count, span: Some((first, last)), ..Aggregate::default() };
    if kind & AMOUNTS != 0 {
        before.sum = take_decimal(input)?;
        before.range = Some((take_decimal(input)?, take_decimal(input)?));
    }
    if kind & VALUES != 0 {
        before.edges = Some(Box::new((take_value(input)?, take_value(input)?)));
    }
    Ok(before)
}

fn put(out: &mut Vec<u8>, mut n: u128) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take(input: &mut &[u8]) -> Result<u128, DecodeError> {
    let mut n = 0u128;
    // 17 × 7 = 119 bits hold every mantissa (96 bits and its sign) and every time.
    for shift in (0..119).step_by(7) {
        let byte = byte(input)?;
        n |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(n);
        }
    }
    Err(DecodeError("a number is too long"))
}

fn put_signed(out: &mut Vec<u8>, n: i128) {
    put(out, ((n << 1) ^ (n >> 127)) as u128);
}

fn take_signed(input: &mut &[u8]) -> Result<i128, DecodeError> {
    let n = take(input)?;
    Ok((n >> 1) as i128 ^ -((n & 1) as i128))
}

fn take_time(input: &mut &[u8]) -> Result<Timestamp, DecodeError> {
    i64::try_from(take_signed(input)?).map(Timestamp).map_err(|_| DecodeError("a time is out of range"))
}

fn later(at: Timestamp, by: u128) -> Result<Timestamp, DecodeError> {
    let at = u64::try_from(by).ok().and_then(|by| at.0.checked_add_unsigned(by));
    at.map(Timestamp).ok_or(DecodeError("a time is out of range"))
}

fn take_len(input: &mut &[u8]) -> Result<usize, DecodeError> {
    usize::try_from(take(input)?).map_err(|_| DecodeError("a length is out of range"))
}

fn put_decimal(out: &mut Vec<u8>, n: Decimal) {
    let n = n.normalize();
    out.push(n.scale() as u8);
    put_signed(out, n.mantissa());
}

fn take_decimal(input: &mut &[u8]) -> Result<Decimal, DecodeError> {
    let scale = byte(input)?;
    Decimal::try_from_i128_with_scale(take_signed(input)?, scale.into()).map_err(|_| DecodeError("no decimal"))
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let text = |out: &mut Vec<u8>, tag, text: &str| {
        out.push(tag);
        put(out, text.len() as u128);
        out.extend_from_slice(text.as_bytes());
    };
    match value {
        Value::Null => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Bool(true) => out.push(2),
        Value::Number(n) => {
            out.push(3);
            put_decimal(out, *n);
        }
        Value::Text(t) => text(out, 4, t),
        Value::Json(t) => text(out, 5, t),
    }
}

fn take_value(input: &mut &[u8]) -> Result<Value, DecodeError> {
    Ok(match byte(input)? {
        0 => Value::Null,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Number(take_decimal(input)?),
        tag @ (4 | 5) => {
            let len = take_len(input)?;
            let (text, rest) = input.split_at_checked(len).ok_or(DecodeError("it ends early"))?;
            *input = rest;
            let text = std::str::from_utf8(text).map_err(|_| DecodeError("text is not UTF-8"))?.to_owned();
            if tag == 4 { Value::Text(text) } else { Value::Json(text) }
        }
        _ => return Err(DecodeError("unknown value")),
    })
}

fn byte(input: &mut &[u8]) -> Result<u8, DecodeError> {
    let (first, rest) = input.split_first().ok_or(DecodeError("it ends early"))?;
    *input = rest;
    Ok(*first)
}
