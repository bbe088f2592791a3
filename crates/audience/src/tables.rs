//! What an index begins to keep, read from the tables: by columns, at several times the speed of the log and the state.
//!
//! The tables lag by seconds. They say up to which offset they hold everything, and the log and the state have the rest.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{
    Array as _, Decimal128Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    cast::AsArray as _,
};
use futures_util::StreamExt as _;
use onefold_lake::{
    AsOf, Budget, QueryEngine, QueryError,
    segments::{points, quoted},
};
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value,
    access::Access,
    consent::{Policy, Said},
    segment::{EventFields, Path},
    value::AMOUNT_PLACES,
};
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{Index, Person, Wants, column::Property, people::Use};

/// Tables, and what may be taken to read them.
pub struct Tables {
    engine: Arc<dyn QueryEngine>,
    budget: Budget,
}

/// Why they were not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// There are none yet, or they do not have what is asked.
    #[error("the tables do not have it")]
    NotThere,
    /// They failed.
    #[error(transparent)]
    Failed(#[from] QueryError),
    /// Somebody said to stop.
    #[error("it was stopped")]
    Stopped,
    /// The index would be larger than is allowed.
    #[error("the index would be too large")]
    Full,
}

impl Tables {
    /// Those that `engine` answers about. The budget is of one of them as a whole.
    pub fn new(engine: Arc<dyn QueryEngine>, budget: Budget) -> Tables {
        Tables { engine, budget }
    }

    /// Reads a workspace's, as long as `go_on` says so, and the index takes no more than so many bytes.
    pub fn pass<'a>(&'a self, access: &'a Access, bytes_max: usize, go_on: &'a dyn Fn() -> bool) -> Pass<'a> {
        Pass { tables: self, access, bytes_max, go_on }
    }
}

/// A workspace's tables, being read.
pub struct Pass<'a> {
    tables: &'a Tables,
    access: &'a Access,
    bytes_max: usize,
    go_on: &'a dyn Fn() -> bool,
}

impl Pass<'_> {
    /// Puts all events of a column in; gives the offset up to which that is all.
    pub fn events(&self, index: &mut Index, column: &Option<String>) -> Result<u64, Unread> {
        let wanted = index.wants().events.get(column).ok_or(Unread::NotThere)?.clone();
        let values = || wanted.iter().filter_map(|one| if let Property::Value(path) = one { Some(path) } else { None });
        let amounts =
            || wanted.iter().filter_map(|one| if let Property::Amount(path) = one { Some(path) } else { None });
        let sql = points(column.as_deref(), values(), amounts()).map_err(|_| Unread::NotThere)?;
        let mut words: Vec<Words> = values().map(|_| Words::default()).collect();
        let as_of = self.each(sql, 0, &mut |rows, _| {
            let (nodes, times) = (numbers(rows, 0), micros(rows, 1));
            let texts: Vec<&StringViewArray> =
                (2..2 + words.len()).map(|at| rows.column(at).as_string_view()).collect();
            let numbers: Vec<&Decimal128Array> =
                (2 + words.len()..rows.num_columns()).map(|at| rows.column(at).as_primitive()).collect();
            for row in 0..rows.num_rows() {
                let values = values().zip(&texts).zip(&mut words).map(|((path, texts), words)| {
                    (path, texts.is_valid(row).then(|| words.value(texts.value(row))).flatten())
                });
                let amounts = amounts().zip(&numbers).map(|(path, numbers)| {
                    let amount = |units| Decimal::try_from_i128_with_scale(units, AMOUNT_PLACES).ok();
                    (path, numbers.is_valid(row).then(|| amount(numbers.value(row))).flatten())
                });
                let at = Timestamp(times.value(row).div_euclid(1000));
                let point = Point { at, values: values.collect(), amounts: amounts.collect() };
                index.push(column, NodeId(nodes.value(row)), &point);
            }
            self.fits(index.heap_bytes())
        })?;
        Ok(as_of.offset)
    }

    /// Puts these traits and uses of everybody in, as of the instant of the tables, and `whole`: their nodes as well. Calls
    /// `until` for those whose consent changes by itself. Gives the offset up to which that is all; tables that are complete
    /// up to one before `oldest` only are not read.
    pub fn people(
        &self,
        policy: &Policy,
        index: &mut Index,
        of: &Wants,
        whole: bool,
        oldest: u64,
        until: &mut dyn FnMut(ProfileId, Timestamp),
    ) -> Result<u64, Unread> {
        let names: Vec<&String> = of.traits.iter().collect();
        let traits: String = names.iter().map(|name| format!(", value_of(p.traits, {})", quoted(name))).collect();
        let sql = format!("SELECT p.profile, p.consents{traits} FROM profiles p");
        let mut words: Vec<Words> = names.iter().map(|_| Words::default()).collect();
        let as_of = self.each(sql, oldest, &mut |rows, at| {
            let profiles = numbers(rows, 0);
            let consents = rows.column(1).as_string_view();
            let texts: Vec<&StringViewArray> =
                (2..rows.num_columns()).map(|at| rows.column(at).as_string_view()).collect();
            for row in 0..rows.num_rows() {
                let id = ProfileId(NodeId(profiles.value(row)));
                // What cannot be read denies.
                let said = Said::from_json(consents.is_valid(row).then(|| consents.value(row)));
                let changes = policy.until(said.iter().flat_map(|said| said.rows()), at);
                if changes < Timestamp::MAX {
                    until(id, changes);
                }
                let values = names.iter().zip(&texts).zip(&mut words).map(|((name, texts), words)| {
                    (name.as_str(), texts.is_valid(row).then(|| words.value(texts.value(row))).flatten())
                });
                let allows = |(purpose, channel): &Use| {
                    let decided = said.as_ref().map(|said| said.decide(policy, purpose, channel.as_deref(), at));
                    decided.is_some_and(|decided| decided.allowed)
                };
                let allowed = of.uses.iter().filter(|one| allows(one)).collect();
                index.learn(id, &Known { traits: values.collect(), allowed }, of);
            }
            self.fits(index.heap_bytes())
        })?;
        if !whole {
            return Ok(as_of.offset);
        }
        let mut nodes: FxHashMap<i64, SmallVec<[NodeId; 2]>> = FxHashMap::default();
        let owned = self.each("SELECT profile, node FROM identifiers".to_owned(), oldest, &mut |rows, _| {
            for (profile, node) in numbers(rows, 0).values().iter().zip(numbers(rows, 1).values()) {
                nodes.entry(*profile).or_default().push(NodeId(*node));
            }
            self.fits(index.heap_bytes() + nodes.capacity() * size_of::<(i64, SmallVec<[NodeId; 2]>)>())
        })?;
        nodes.into_iter().for_each(|(profile, nodes)| index.own(ProfileId(NodeId(profile)), &nodes));
        Ok(as_of.offset.min(owned.offset))
    }

    fn fits(&self, bytes: usize) -> Result<(), Unread> {
        if bytes > self.bytes_max { Err(Unread::Full) } else { Ok(()) }
    }

    fn each(
        &self,
        sql: String,
        oldest: u64,
        on: &mut dyn FnMut(&RecordBatch, Timestamp) -> Result<(), Unread>,
    ) -> Result<AsOf, Unread> {
        let Tables { engine, budget } = self.tables;
        pollster::block_on(async {
            let mut answer = match engine.query(self.access.clone(), sql, *budget).await {
                Err(QueryError::Empty) => return Err(Unread::NotThere),
                answer => answer?,
            };
            if answer.as_of.offset < oldest {
                return Err(Unread::NotThere);
            }
            while let Some(rows) = answer.rows.next().await {
                if !(self.go_on)() {
                    return Err(Unread::Stopped);
                }
                let rows = rows?;
                // A table without rows has no columns of ours.
                if rows.num_rows() > 0 {
                    on(&rows, answer.as_of.at)?;
                }
            }
            Ok(answer.as_of)
        })
    }
}

fn numbers(rows: &RecordBatch, place: usize) -> &Int64Array {
    rows.column(place).as_primitive()
}

fn micros(rows: &RecordBatch, place: usize) -> &TimestampMicrosecondArray {
    rows.column(place).as_primitive()
}

/// Values that came already, by their JSON.
#[derive(Default)]
struct Words(FxHashMap<Box<str>, Option<Value>>);

/// So many different ones are remembered.
const WORDS_MAX: usize = 100_000;

impl Words {
    fn value(&mut self, json: &str) -> Option<Value> {
        if let Some(known) = self.0.get(json) {
            return known.clone();
        }
        let value = serde_json::from_str(json).ok().map(Value::from_json).filter(|value| *value != Value::Null);
        if self.0.len() < WORDS_MAX {
            self.0.insert(json.into(), value.clone());
        }
        value
    }
}

/// An event of the tables.
struct Point<'a> {
    at: Timestamp,
    values: SmallVec<[(&'a Path, Option<Value>); 2]>,
    amounts: SmallVec<[(&'a Path, Option<Decimal>); 2]>,
}

impl EventFields for Point<'_> {
    fn name(&self) -> &str {
        // It goes to one column, and that has a name or takes all.
        ""
    }
    fn at(&self) -> Timestamp {
        self.at
    }
    fn value(&self, path: &Path) -> Option<Value> {
        self.values.iter().find(|(known, _)| *known == path)?.1.clone()
    }
    fn amount(&self, path: &Path) -> Option<Decimal> {
        self.amounts.iter().find(|(known, _)| *known == path)?.1
    }
}

/// A person of the tables.
struct Known<'a> {
    traits: SmallVec<[(&'a str, Option<Value>); 4]>,
    allowed: SmallVec<[&'a Use; 2]>,
}

impl Person for Known<'_> {
    fn nodes(&self) -> &[NodeId] {
        &[]
    }
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.traits.iter().find(|(known, _)| *known == name)?.1.as_ref().map(Cow::Borrowed)
    }
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        self.allowed.iter().any(|(known, by)| known == purpose && by.as_deref() == channel)
    }
}
