//! Columns whose values are sealed before a store sees them: credentials of destinations, keys, second factors.
//!
//! A sealed value is ChaCha20-Poly1305 (RFC 8439) under a key that is kept apart from the store, with the place where it stands as
//! additional data: a value that is moved to another row does not open. Which columns are sealed is declared
//! ([`Column::sealed`](crate::Column::sealed)); nobody who reads or writes rows sees the difference.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use crate::{
    Epoch, Error, Generation, Partition, Reader, Row, Scan, StateStore, Table, Txn, Value, table::check_declarations,
};

/// What a sealed value begins with; the number is the format's version.
const MARK: &[u8] = b"sealed:1:";

/// A key that values are sealed with: 32 random bytes.
#[derive(Clone)]
pub struct SealKey(Arc<LessSafeKey>);

impl SealKey {
    /// How many bytes a key has.
    pub const BYTES: usize = 32;

    /// A key of these bytes; `None` where it is not [`Self::BYTES`] long.
    pub fn new(bytes: &[u8]) -> Option<SealKey> {
        UnboundKey::new(&CHACHA20_POLY1305, bytes).ok().map(|key| SealKey(Arc::new(LessSafeKey::new(key))))
    }

    fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Unusable { operation: "seal a value", cause: "there is no randomness".into() };
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = plain.to_vec();
        let aad = Aad::from(place);
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).map_err(failed)?;
        Ok([&nonce[..], &text].concat())
    }

    fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.0.open_in_place(nonce, Aad::from(place), &mut text).ok().map(|plain| plain.to_vec())
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

/// Where a value stands: its table, column and key.
fn place(table: &Table, column: usize, row: &[Value]) -> Vec<u8> {
    let mut place = format!("{}\0{}\0", table.name, table.columns[column].name).into_bytes();
    for value in &row[..table.key] {
        match value {
            Value::Null => place.push(0),
            Value::Int(number) => place.extend(number.to_be_bytes()),
            Value::Text(text) => place.extend([&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat()),
            Value::Bytes(bytes) => place.extend([&(bytes.len() as u64).to_be_bytes(), &bytes[..]].concat()),
        }
    }
    place
}

fn sealed_columns(table: &Table) -> impl Iterator<Item = usize> + '_ {
    table.columns.iter().enumerate().filter(|(_, column)| column.sealed).map(|(at, _)| at)
}

fn is_sealed(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.as_bytes().starts_with(MARK),
        Value::Bytes(bytes) => bytes.starts_with(MARK),
        Value::Null | Value::Int(_) => true,
    }
}

impl SealKey {
    fn seal_row(&self, table: &Table, mut row: Row) -> Result<Row, Error> {
        for column in sealed_columns(table) {
            let place = place(table, column, &row);
            row[column] = match &row[column] {
                Value::Text(text) => {
                    let sealed = STANDARD.encode(self.seal(&place, text.as_bytes())?);
                    Value::Text(format!("{}{sealed}", String::from_utf8_lossy(MARK)))
                }
                Value::Bytes(bytes) => Value::Bytes([MARK, &self.seal(&place, bytes)?].concat()),
                other => other.clone(),
            };
        }
        Ok(row)
    }

    fn open_row(&self, table: &Table, mut row: Row) -> Result<Row, Error> {
        for column in sealed_columns(table) {
            if row[column].is_null() {
                continue;
            }
            let place = place(table, column, &row);
            let opened = match &row[column] {
                Value::Text(text) => text.as_bytes().strip_prefix(MARK).and_then(|sealed| {
                    let plain = self.open(&place, &STANDARD.decode(sealed).ok()?)?;
                    String::from_utf8(plain).ok().map(Value::Text)
                }),
                Value::Bytes(bytes) => {
                    bytes.strip_prefix(MARK).and_then(|sealed| self.open(&place, sealed)).map(Value::Bytes)
                }
                _ => None,
            };
            row[column] = opened.ok_or_else(|| Error::Unusable {
                operation: "open a sealed value",
                cause: format!(
                    "{}.{} was sealed with another key, or changed; put back the seal.key it was written with",
                    table.name, table.columns[column].name
                ),
            })?;
        }
        Ok(row)
    }
}

/// A store whose declared columns are sealed.
pub struct SealedStore {
    inner: Box<dyn StateStore>,
    key: SealKey,
}

impl SealedStore {
    /// Seals what stands in `inner` and is not sealed yet, and everything that is written from now on. `tables` are those that the
    /// store was opened with.
    ///
    /// # Errors
    /// [`Error::Unusable`] where something was sealed with another key.
    pub fn new(inner: Box<dyn StateStore>, key: SealKey, tables: &[&'static Table]) -> Result<SealedStore, Error> {
        check_declarations(tables)?;
        let mut txn = inner.begin_shared()?;
        for table in tables.iter().filter(|table| sealed_columns(table).next().is_some()) {
            let mut open = vec![];
            for row in txn.scan(&Scan::prefix(table, vec![], usize::MAX))? {
                match sealed_columns(table).all(|column| is_sealed(&row[column])) {
                    true => drop(key.open_row(table, row)?),
                    false => open.push(key.seal_row(table, row)?),
                }
            }
            txn.put(table, open)?;
        }
        txn.commit()?;
        Ok(SealedStore { inner, key })
    }
}

struct SealedReader<'a> {
    inner: Box<dyn Reader + Send + 'a>,
    key: &'a SealKey,
}

struct SealedTxn<'a> {
    inner: Box<dyn Txn + 'a>,
    key: &'a SealKey,
}

fn get(inner: &mut dyn Reader, key: &SealKey, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
    let rows = inner.get(table, keys)?;
    rows.into_iter().map(|row| row.map(|row| key.open_row(table, row)).transpose()).collect()
}

fn scan(inner: &mut dyn Reader, key: &SealKey, scan: &Scan) -> Result<Vec<Row>, Error> {
    inner.scan(scan)?.into_iter().map(|row| key.open_row(scan.table, row)).collect()
}

impl Reader for SealedReader<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        get(&mut *self.inner, self.key, table, keys)
    }

    fn scan(&mut self, asked: &Scan) -> Result<Vec<Row>, Error> {
        scan(&mut *self.inner, self.key, asked)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.inner.count(table, prefix)
    }
}

impl Reader for SealedTxn<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        get(&mut *self.inner, self.key, table, keys)
    }

    fn scan(&mut self, asked: &Scan) -> Result<Vec<Row>, Error> {
        scan(&mut *self.inner, self.key, asked)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.inner.count(table, prefix)
    }
}

impl Txn for SealedTxn<'_> {
    fn put(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
        if sealed_columns(table).next().is_none() {
            return self.inner.put(table, rows);
        }
        rows.iter().try_for_each(|row| table.check_row(row))?;
        let rows = rows.into_iter().map(|row| self.key.seal_row(table, row)).collect::<Result<_, _>>()?;
        self.inner.put(table, rows)
    }

    fn delete(&mut self, table: &'static Table, keys: &[Row]) -> Result<(), Error> {
        self.inner.delete(table, keys)
    }

    fn delete_prefix(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.inner.delete_prefix(table, prefix)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.inner.commit()
    }
}

impl StateStore for SealedStore {
    fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        self.inner.take_over(partition)
    }

    fn begin(
        &self,
        partition: Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error> {
        let inner = self.inner.begin(partition, epoch, generation)?;
        Ok(Box::new(SealedTxn { inner, key: &self.key }))
    }

    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error> {
        Ok(Box::new(SealedTxn { inner: self.inner.begin_shared()?, key: &self.key }))
    }

    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error> {
        Ok(Box::new(SealedReader { inner: self.inner.reader()?, key: &self.key }))
    }

    fn reader_at_once(&self) -> Result<Option<Box<dyn Reader + Send + '_>>, Error> {
        let inner = self.inner.reader_at_once()?;
        Ok(inner.map(|inner| Box::new(SealedReader { inner, key: &self.key }) as Box<dyn Reader + Send>))
    }

    fn new_generation(&self) -> Result<Generation, Error> {
        self.inner.new_generation()
    }

    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // What is sealed is kept, and a swap is about what is derived.
        self.inner.swap(generation, last)
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.inner.checkpoint()
    }

    fn copy_to(&self, path: &std::path::Path) -> Result<(), Error> {
        self.inner.copy_to(path)
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Part, SqliteSettings, SqliteStore, conformance};

    static VAULT: Table = Table {
        name: "vault",
        part: Part::Kept,
        key: 1,
        columns: &[Column::text("name"), Column::text("config").sealed(), Column::bytes("secret").or_null().sealed()],
        indexes: &[],
    };

    const TABLES: &[&Table] = &[&VAULT];

    fn key(byte: u8) -> SealKey {
        SealKey::new(&[byte; SealKey::BYTES]).unwrap()
    }

    fn row(name: &str) -> Row {
        vec![name.into(), "hunter2".into(), Value::Bytes(b"hunter3".to_vec())]
    }

    fn put(store: &dyn StateStore, rows: Vec<Row>) {
        let mut txn = store.begin_shared().unwrap();
        txn.put(&VAULT, rows).unwrap();
        txn.commit().unwrap();
    }

    #[test]
    fn a_sealed_store_keeps_the_contract() {
        conformance::run(|_| {
            let inner = Box::new(crate::MemoryStore::new(conformance::TABLES));
            Box::new(SealedStore::new(inner, key(1), conformance::TABLES).unwrap())
        });
    }

    #[test]
    fn what_is_sealed_stands_in_no_file_and_opens_in_its_place_with_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let open = || Box::new(SqliteStore::open(&path, TABLES, SqliteSettings::default()).unwrap());
        // What an earlier build wrote is sealed when it is opened.
        let plain = open();
        put(&*plain, vec![row("old")]);
        drop(plain);
        let store = SealedStore::new(open(), key(1), TABLES).unwrap();
        put(&store, vec![row("new")]);
        let rows = store.reader().unwrap().scan(&Scan::prefix(&VAULT, vec![], usize::MAX)).unwrap();
        assert_eq!(rows, [row("new"), row("old")]);
        let again = store.reader().unwrap().get(&VAULT, &[vec!["new".into()]]).unwrap();
        assert_eq!(again, [Some(row("new"))]);
        store.checkpoint().unwrap();
        drop(store);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"hunter"), "a secret stands in a file");
        }
        // Another key does not open it, and says what to do.
        let error = SealedStore::new(open(), key(2), TABLES).err().unwrap().to_string();
        assert!(error.contains("seal.key"), "{error}");
        // Nor does a value open in another row.
        let raw = open();
        let mut moved = raw.reader().unwrap().get(&VAULT, &[vec!["new".into()]]).unwrap().pop().flatten().unwrap();
        moved[0] = "old".into();
        put(&*raw, vec![moved]);
        drop(raw);
        assert!(SealedStore::new(open(), key(1), TABLES).is_err());
    }
}
