//! What stands in a column, and how to take it out again.

use crate::{Error, Type};

/// A value of a column. The order is the scan order of the store's contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// No value; only in columns that say so.
    Null,
    /// See [`Type::Int`].
    Int(i64),
    /// See [`Type::Text`].
    Text(String),
    /// See [`Type::Bytes`].
    Bytes(Vec<u8>),
}

/// One row, or one key: values in the order of the columns.
pub type Row = Vec<Value>;

impl Value {
    /// A count, an offset, an epoch or another number that never comes near 2^63.
    ///
    /// # Panics
    /// At 2^63 and above, which no column can hold.
    pub fn uint(number: u64) -> Value {
        Value::Int(i64::try_from(number).expect("counts, offsets and epochs stay below 2^63"))
    }

    /// What it is; `None` for null.
    pub fn kind(&self) -> Option<Type> {
        match self {
            Value::Null => None,
            Value::Int(_) => Some(Type::Int),
            Value::Text(_) => Some(Type::Text),
            Value::Bytes(_) => Some(Type::Bytes),
        }
    }

    /// Whether it is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Itself, or `None` for null: `row[3].some().map(Value::as_int).transpose()?`.
    pub fn some(&self) -> Option<&Value> {
        (!self.is_null()).then_some(self)
    }

    /// The integer. Fails with [`Error::Shape`] where it is something else.
    pub fn as_int(&self) -> Result<i64, Error> {
        match self {
            Value::Int(number) => Ok(*number),
            other => Err(other.instead_of("an integer")),
        }
    }

    /// The integer, as what [`Value::uint`] took. Fails with [`Error::Shape`] where it is negative or something else.
    pub fn as_uint(&self) -> Result<u64, Error> {
        u64::try_from(self.as_int()?).map_err(|_| Error::Shape {
            table: "value",
            cause: "a negative integer stands where a count belongs".into(),
        })
    }

    /// The text. Fails with [`Error::Shape`] where it is something else.
    pub fn as_text(&self) -> Result<&str, Error> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(other.instead_of("text")),
        }
    }

    /// The bytes. Fails with [`Error::Shape`] where it is something else.
    pub fn as_bytes(&self) -> Result<&[u8], Error> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of("bytes")),
        }
    }

    /// [`as_text`](Self::as_text) without a copy.
    pub fn into_text(self) -> Result<String, Error> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(other.instead_of("text")),
        }
    }

    /// [`as_bytes`](Self::as_bytes) without a copy.
    pub fn into_bytes(self) -> Result<Vec<u8>, Error> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of("bytes")),
        }
    }

    /// Its kind in words; never its content, which may be personal.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind() {
            None => "null",
            Some(Type::Int) => "an integer",
            Some(Type::Text) => "text",
            Some(Type::Bytes) => "bytes",
        }
    }

    /// How many bytes of text or bytes it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Value::Null | Value::Int(_) => 0,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
        }
    }

    fn instead_of(&self, expected: &str) -> Error {
        Error::Shape { table: "value", cause: format!("{} stands where {expected} belongs", self.name()) }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Int(i64::from(number))
    }
}

impl From<bool> for Value {
    /// 1 for true, 0 for false.
    fn from(flag: bool) -> Self {
        Value::Int(i64::from(flag))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    /// Null for `None`.
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        assert_eq!(Value::from(-7_i64).as_int().unwrap(), -7);
        assert_eq!(Value::uint(7).as_uint().unwrap(), 7);
        assert_eq!(Value::from("a").as_text().unwrap(), "a");
        assert_eq!(Value::from(String::from("a")).into_text().unwrap(), "a");
        assert_eq!(Value::from(vec![1_u8]).as_bytes().unwrap(), [1]);
        assert_eq!(Value::from(vec![1_u8]).into_bytes().unwrap(), [1]);
        assert_eq!(Value::from(None::<i64>), Value::Null);
        assert_eq!(Value::from(Some("a")).some().map(Value::as_text).transpose().unwrap(), Some("a"));
        assert_eq!(Value::Null.some().map(Value::as_text).transpose().unwrap(), None);
    }

    #[test]
    fn a_wrong_kind_is_named_and_its_content_is_not() {
        let error = Value::from("secret").as_int().unwrap_err().to_string();
        assert_eq!(error, "value: text stands where an integer belongs");
        assert_eq!(Value::Null.as_bytes().unwrap_err().to_string(), "value: null stands where bytes belongs");
        assert!(Value::Int(-1).as_uint().is_err());
    }

    #[test]
    fn the_order_is_null_then_by_value_then_by_bytes() {
        let ordered: [Value; 8] = [
            Value::Null,
            Value::Int(i64::MIN),
            Value::Int(-1),
            Value::Int(2),
            "".into(),
            "Z".into(),
            "a".into(),
            "ä".into(),
        ];
        assert!(ordered.is_sorted());
    }
}
