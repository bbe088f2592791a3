//! Models of record linkage: made of the records there are, and kept by number.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use onefold_link::{Frozen, Linker, Model, Table, Weights};
use onefold_model::{NodeId, Timestamp, access::Access, identity::Decision};
use onefold_pipeline::{definitions::Workspace, feed, links};
use onefold_state::{Reader, Row, Scan, StateStore, Value, schema};
use rustc_hash::FxHashMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, record};

const VERSION: u8 = 1;

/// Links that are read at a time.
const PAGE: usize = 10_000;

/// A column is looked at where so many of the records have it.
const COLUMN_SHARE_MIN: f64 = 0.01;

/// Columns that are looked at, those that most records have first.
const COLUMNS_MAX: usize = 40;

/// The column of the records' ids.
const ID: &str = "unique_id";

/// What draws at random in training begin with: the same records give the same model.
const SEED: u64 = 1;

/// The models of all workspaces.
pub struct Models {
    store: Arc<dyn StateStore>,
}

/// A model as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelView {
    /// Its number.
    pub version: u32,
    /// When it was made.
    pub created: String,
    /// By whom.
    pub caller: String,
    /// The records it was trained on.
    pub records: u64,
    /// Whether it proposes who is one person.
    pub active: bool,
}

/// A trained model, and what it would do.
#[derive(Debug)]
pub struct Trained {
    /// With its weights.
    pub model: Model,
    /// How often values occur.
    pub frozen: Frozen,
    /// What it finds in the records it was trained on.
    pub would: Would,
}

/// What a model finds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Would {
    /// Records there are.
    pub records: usize,
    /// Pairs that stewards had decided, which it learned from.
    pub labels: usize,
    /// People they are, by the model alone.
    pub people: usize,
    /// Records that are another one's person.
    pub joined: usize,
    /// Pairs that somebody should look at.
    pub doubtful: usize,
    /// The records of the largest person.
    pub largest: usize,
}

impl Models {
    /// Those in a store.
    pub fn new(store: Arc<dyn StateStore>) -> Models {
        Models { store }
    }

    /// All of the workspace, the newest first.
    pub fn list(&self, access: &Access, definitions: &Workspace) -> Result<Vec<ModelView>, Error> {
        let prefix = vec![Value::Int(access.workspace.0.into())];
        let rows = self
            .store
            .reader()?
            .scan(&Scan { reverse: true, ..Scan::prefix(&schema::LINK_MODEL, prefix, usize::MAX) })?;
        let view = |row: Row| {
            let version = row[1].as_int()? as u32;
            Ok(ModelView {
                version,
                created: Timestamp(row[2].as_int()?).to_string(),
                caller: row[3].as_text()?.to_owned(),
                records: row[4].as_int()? as u64,
                active: definitions.link_model == Some(version),
            })
        };
        rows.into_iter().map(view).collect()
    }

    /// A model with its weights, and the frequencies.
    pub fn load(&self, access: &Access, version: u32) -> Result<(Model, Weights, Frozen), Error> {
        let key = vec![Value::Int(access.workspace.0.into()), Value::Int(version.into())];
        let row = self.store.reader()?.get(&schema::LINK_MODEL, &[key])?.pop().flatten();
        let row = row.ok_or(Error::NoModel(version))?;
        let unreadable = |cause: String| onefold_pipeline::Error::unreadable("a model of record linkage", cause);
        let model = Model::from_toml(row[5].as_text()?)?;
        let frozen: Frozen = match row[6].as_bytes()?.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|error| unreadable(error.to_string()))?,
            _ => return Err(unreadable("a newer Onefold wrote it; upgrade this one".to_owned()).into()),
        };
        let weights = model.weights.clone().ok_or_else(|| unreadable("it has no weights; train it anew".to_owned()))?;
        if !frozen.fits(&model) {
            return Err(unreadable("its frequencies are of another model; train it anew".to_owned()).into());
        }
        Ok((model, weights, frozen))
    }

    /// Keeps a model; gives its number.
    pub fn save(&self, access: &Access, at: Timestamp, trained: &Trained) -> Result<u32, Error> {
        let mut txn = self.store.begin_shared()?;
        let own = vec![Value::Int(access.workspace.0.into())];
        let last = txn.scan(&Scan { reverse: true, ..Scan::prefix(&schema::LINK_MODEL, own, 1) })?;
        let version = last.first().map_or(Ok(0), |row| row[1].as_int())? + 1;
        let frozen = postcard::to_extend(&trained.frozen, vec![VERSION]);
        let row = vec![
            Value::Int(access.workspace.0.into()),
            Value::Int(version),
            Value::Int(at.0),
            Value::Text(access.caller.name().into_owned()),
            Value::Int(trained.would.records as i64),
            Value::Text(trained.model.to_toml()),
            Value::Bytes(frozen.expect("a vector takes all that is written to it")),
        ];
        txn.put(&schema::LINK_MODEL, vec![row])?;
        txn.commit()?;
        Ok(version as u32)
    }
}

/// What a model is made of.
pub struct Records {
    table: Table,
    labels: Vec<(u32, u32, bool)>,
    model: Option<Model>,
}

impl Records {
    /// Reads the records there are, in the columns of `model` or else in all that enough of them have, and what stewards decided.
    pub fn read(
        store: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
        model: Option<Model>,
    ) -> Result<Records, Error> {
        let (table, rows) = table(store, access, definitions, model.as_ref())?;
        Ok(Records { table, labels: labels(store, access, &rows)?, model })
    }

    /// Makes a model of them: the one given, or else one guessed from their columns. Weights that it has stay as they are.
    pub fn train(self) -> Result<Trained, Error> {
        let Records { table, mut labels, model } = self;
        let mut model = model.map_or_else(|| Model::guess(&table), Ok)?;
        let linker = Linker::new(&table, &model, &|_| {})?;
        let weights = match &model.weights {
            Some(weights) => {
                labels.clear();
                weights.clone()
            }
            None => linker.train_with(&labels, SEED, &|_| {}),
        };
        let linked = linker.link(&weights, &|_| {});
        let frozen = linker.frozen();
        let mut sizes: FxHashMap<u32, usize> = FxHashMap::default();
        linked.clusters.iter().for_each(|first| *sizes.entry(*first).or_default() += 1);
        let doubt = |pair: &&onefold_link::Pair| {
            f64::from(pair.score) > model.thresholds.review
                && linked.clusters[pair.a as usize] != linked.clusters[pair.b as usize]
        };
        let would = Would {
            records: table.len(),
            labels: labels.len(),
            people: sizes.len(),
            joined: table.len() - sizes.len(),
            doubtful: linked.pairs.iter().filter(doubt).count(),
            largest: sizes.values().copied().max().unwrap_or(0),
        };
        drop(linker);
        model.weights = Some(weights);
        Ok(Trained { model, frozen, would })
    }
}

/// The records, and each one's row.
fn table(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    model: Option<&Model>,
) -> Result<(Table, FxHashMap<NodeId, u32>), Error> {
    let columns = match model {
        Some(model) => model.comparisons.iter().map(|comparison| comparison.column.clone()).collect(),
        None => columns(store, access, definitions)?,
    };
    let mut rows = FxHashMap::default();
    let mut csv = csv::Writer::from_writer(vec![]);
    let write = |csv: &mut csv::Writer<Vec<u8>>, id: &str, values: &[String]| {
        let cells = std::iter::once(id).chain(values.iter().map(String::as_str));
        csv.write_record(cells).expect("a vector takes all that is written to it");
    };
    write(&mut csv, ID, &columns);
    for_each_record(store, access, definitions, &mut |node, kind, value, traits| {
        if let Some(values) = record::values(&columns, kind, value, traits) {
            write(&mut csv, &node.0.to_string(), &values);
            rows.insert(node, rows.len() as u32);
        }
    })?;
    let bytes = csv.into_inner().expect("a vector takes all that is written to it");
    Ok((Table::read_csv(bytes.as_slice())?, rows))
}

/// The columns that enough records have, by name.
fn columns(store: &mut dyn Reader, access: &Access, definitions: &Workspace) -> Result<Vec<String>, Error> {
    let (mut counts, mut records) = (BTreeMap::<String, usize>::new(), 0);
    for_each_record(store, access, definitions, &mut |_, kind, value, traits| {
        let columns = record::all(kind, value, traits);
        records += usize::from(!columns.is_empty());
        columns.into_keys().for_each(|column| *counts.entry(column).or_default() += 1);
    })?;
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.retain(|(column, count)| *count as f64 >= COLUMN_SHARE_MIN * records as f64 && is_plain(column));
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(COLUMNS_MAX);
    Ok(counts.into_iter().map(|(column, _)| column).collect::<BTreeSet<_>>().into_iter().collect())
}

/// Whether a trait's name comes through a header as it is.
fn is_plain(column: &str) -> bool {
    let odd = |c: char| matches!(c, ',' | ';' | '"') || c.is_control();
    column.trim() == column && !column.eq_ignore_ascii_case(ID) && !column.contains(odd)
}

/// What stewards decided about pairs of records.
fn labels(
    store: &mut dyn Reader,
    access: &Access,
    rows: &FxHashMap<NodeId, u32>,
) -> Result<Vec<(u32, u32, bool)>, Error> {
    let (mut labels, mut after) = (vec![], None);
    loop {
        let page = links::page(store, access, after, PAGE)?;
        for link in &page {
            if let (Some(decided), Some(a), Some(b)) = (&link.decided, rows.get(&link.a), rows.get(&link.b)) {
                labels.push((*a, *b, decided.decision == Decision::Accept));
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some((last.a, last.b)),
            _ => return Ok(labels),
        }
    }
}

/// Calls `on` for each node: with its kind, its value and its traits.
pub(crate) fn for_each_record(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    on: &mut dyn FnMut(NodeId, &str, &str, &onefold_model::profile::Traits),
) -> Result<(), Error> {
    let mut after = None;
    loop {
        after = feed::next_people(store, access, definitions, after, access.at, &mut |person| {
            person.records().for_each(|(node, kind, value, traits)| on(node, kind, value, &traits));
        })?;
        if after.is_none() {
            return Ok(());
        }
    }
}
