//! Keys of programs: `onefold_key_NUMBER_SECRET`.

use onefold_model::{Timestamp, clock::DAY_MS, rng};
use onefold_state::{Reader, Row, Scan, Value, schema};

use super::{Grant, Holder, hash, number};
use crate::{ApiError, App, app::check_name};

const PREFIX: &str = "onefold_key_";
/// A key's last use is noted so often.
const NOTED_MS: i64 = 60_000;

/// A key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub number: u32,
    pub name: String,
    pub hint: String,
    pub caller: String,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub used: Option<Timestamp>,
    pub revoked: Option<Timestamp>,
    hash: Vec<u8>,
}

/// A key that is to be made.
pub(crate) struct NewKey<'a> {
    pub name: &'a str,
    pub days: Option<u32>,
    pub grant: Grant,
    pub caller: String,
}

fn time(value: &Value) -> Result<Option<Timestamp>, ApiError> {
    Ok(if value.is_null() { None } else { Some(Timestamp(value.as_int()?)) })
}

impl Key {
    fn of(row: &Row) -> Result<Key, ApiError> {
        Ok(Key {
            number: number(&row[0])?,
            name: row[1].as_text()?.to_owned(),
            hash: row[2].as_bytes()?.to_vec(),
            hint: row[3].as_text()?.to_owned(),
            caller: row[4].as_text()?.to_owned(),
            created: Timestamp(row[5].as_int()?),
            expires: time(&row[6])?,
            used: time(&row[7])?,
            revoked: time(&row[8])?,
        })
    }

    fn row(&self) -> Row {
        let time = |at: Option<Timestamp>| at.map_or(Value::Null, |at| Value::Int(at.0));
        vec![
            Value::Int(self.number.into()),
            Value::Text(self.name.clone()),
            Value::Bytes(self.hash.clone()),
            Value::Text(self.hint.clone()),
            Value::Text(self.caller.clone()),
            Value::Int(self.created.0),
            time(self.expires),
            time(self.used),
            time(self.revoked),
        ]
    }

    /// All of them.
    pub fn all(reader: &mut dyn Reader) -> Result<Vec<Key>, ApiError> {
        reader.scan(&Scan::prefix(&schema::API_KEY, vec![], usize::MAX))?.iter().map(Key::of).collect()
    }

    /// Whether it is neither revoked nor expired.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|until| until > now)
    }

    /// By its number.
    pub fn numbered(reader: &mut dyn Reader, number: u32) -> Result<Option<Key>, ApiError> {
        let row = reader.get(&schema::API_KEY, &[vec![Value::Int(number.into())]])?.pop().flatten();
        row.as_ref().map(Key::of).transpose()
    }
}

impl App {
    /// Makes a key with one role. Gives it whole, this once. Blocks.
    pub(crate) fn add_key(&self, new: NewKey<'_>) -> Result<(Key, String), ApiError> {
        check_name("key", new.name)?;
        let now = self.clock.now();
        let mut txn = self.store.begin_shared()?;
        let number = App::next_number(&mut *txn, &schema::API_KEY)?;
        let secret = format!("{PREFIX}{number}_{}", rng::hex(&*self.rng, 24));
        let key = Key {
            number,
            name: new.name.to_owned(),
            hash: hash(&secret),
            hint: secret[secret.len() - 4..].to_owned(),
            caller: new.caller,
            created: now,
            expires: new.days.map(|days| now.plus(i64::from(days) * DAY_MS)),
            used: None,
            revoked: None,
        };
        txn.put(&schema::API_KEY, vec![key.row()])?;
        Grant { holder: Holder::Key(number), ..new.grant }.put(&mut *txn, now)?;
        txn.commit()?;
        Ok((key, secret))
    }

    /// The key that was given, if it is good. Blocks.
    pub(crate) fn key(&self, reader: &mut dyn Reader, given: &str) -> Result<Option<Key>, ApiError> {
        let number = given
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .and_then(|(number, _)| number.parse().ok());
        let Some(mut key) = number.map(|number| Key::numbered(reader, number)).transpose()?.flatten() else {
            return Ok(None);
        };
        let now = self.clock.now();
        // Hashes are compared, so that the time it takes says nothing about the key.
        if key.hash != hash(given) || !key.is_good(now) {
            return Ok(None);
        }
        if key.used.is_none_or(|used| now.0 - used.0 >= NOTED_MS) {
            key.used = Some(now);
            let mut txn = self.store.begin_shared()?;
            if Key::numbered(&mut *txn, key.number)?.is_some_and(|known| known.revoked.is_none()) {
                txn.put(&schema::API_KEY, vec![key.row()])?;
                txn.commit()?;
            }
        }
        Ok(Some(key))
    }

    /// Revokes a key, for good. Blocks.
    pub(crate) fn revoke_key(&self, number: u32) -> Result<Key, ApiError> {
        let mut txn = self.store.begin_shared()?;
        let key = Key::numbered(&mut *txn, number)?;
        let Some(mut key) = key else {
            return Err(ApiError::not_found("key", &number.to_string(), "list them with `onefold key list`"));
        };
        key.revoked = key.revoked.or(Some(self.clock.now()));
        txn.put(&schema::API_KEY, vec![key.row()])?;
        txn.commit()?;
        Ok(key)
    }
}
