//! Data files: rows sorted, one folder for each day where the table has days, and what is said of each file.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray as _,
    types::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::{concat::concat_batches, take::take_record_batch};
use deltalake_core::kernel::Add;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use onefold_lake::{Promoted, Table};
use onefold_model::Clock;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    schema::types::ColumnPath,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::Cause;

/// Rows that are decoded together.
const GROUP_ROWS: usize = 131_072;

/// The columns whose values repeat little: a dictionary of them would be given up.
const WITHOUT_DICTIONARY: &[&str] =
    &["offset", "time", "received", "sent", "message_id", "context", "traits", "properties", "value", "id"];

/// Where the files of a table are.
pub struct Place {
    pub store: Arc<dyn ObjectStore>,
    /// Of the table.
    pub folder: Path,
    /// The same where it is on this machine.
    pub local: Option<PathBuf>,
    /// Files have at most so many rows.
    pub rows_max: usize,
    /// For what other readers of the table are told; nothing here decides by it.
    pub clock: Arc<dyn Clock>,
}

impl Place {
    /// The local store leaves it to the operating system when a file is on disk.
    pub fn make_durable(&self, name: &str) -> Result<(), Cause> {
        let Some(path) = self.local.as_ref().map(|folder| folder.join(name)) else { return Ok(()) };
        fs::File::open(&path)?.sync_all()?;
        if let Some(folder) = path.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// Rows on their way into files.
pub struct Files<'a> {
    place: &'a Place,
    table: Table,
    name: String,
    promoted: Promoted,
    waiting: Vec<RecordBatch>,
    rows: usize,
    added: Vec<Add>,
}

/// What the name of a file begins with in which no profile has two versions. Its offset follows; no other file of the table
/// has versions up to that one.
pub const BASE: &str = "base-";

impl<'a> Files<'a> {
    /// None yet. `name`: what the files' names begin with. `promoted`: what the table has; it may grow.
    pub fn new(place: &'a Place, table: Table, name: String, promoted: Promoted) -> Self {
        Files { place, table, name, promoted, waiting: vec![], rows: 0, added: vec![] }
    }

    /// Adds rows.
    pub async fn push(&mut self, rows: RecordBatch) -> Result<(), Cause> {
        self.rows += rows.num_rows();
        self.waiting.push(rows);
        if self.rows >= self.place.rows_max { self.flush().await } else { Ok(()) }
    }

    /// Writes what is left; gives the files, and the promoted members of the last of them.
    pub async fn finish(mut self) -> Result<(Vec<Add>, Promoted), Cause> {
        self.flush().await?;
        Ok((self.added, self.promoted))
    }

    async fn flush(&mut self) -> Result<(), Cause> {
        let waiting = std::mem::take(&mut self.waiting);
        self.rows = 0;
        let Some(first) = waiting.first() else { return Ok(()) };
        let rows = concat_batches(&first.schema(), &waiting)?;
        drop(waiting);
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.promoted.choose(self.table, &rows);
        let rows = sorted(self.table, &rows)?;
        // After sorting, which would only carry them along.
        let rows = self.promoted.add_to(self.table, &rows)?;
        for Part { day, rows } in parts(self.table, &rows)? {
            let file = Encoded::of(self.table, &rows.schema(), [Ok(rows)])?;
            let added = file.put(self.place, self.table, &self.name, day.map(day_text)).await?;
            self.added.push(added);
        }
        Ok(())
    }
}

/// A file as it is to be written.
pub struct Encoded {
    bytes: Vec<u8>,
    stats: String,
}

impl Encoded {
    /// Of rows in their order, as they are.
    pub fn of(
        table: Table,
        schema: &SchemaRef,
        batches: impl IntoIterator<Item = Result<RecordBatch, Cause>>,
    ) -> Result<Encoded, Cause> {
        let mut writer = ArrowWriter::try_new(vec![], schema.clone(), Some(properties(table, schema)))?;
        let mut stats = Stats::default();
        for batch in batches {
            let batch = batch?;
            stats.add(table, &batch);
            writer.write(&batch)?;
        }
        Ok(Encoded { bytes: writer.into_inner()?, stats: stats.json() })
    }

    /// Writes it; `name`: what its name begins with.
    pub async fn put(self, place: &Place, table: Table, name: &str, day: Option<String>) -> Result<Add, Cause> {
        let name = format!("{name}{}.parquet", Uuid::new_v4());
        let path = day.as_ref().map_or_else(|| name.clone(), |day| format!("day={day}/{name}"));
        let size = self.bytes.len() as i64;
        let whole = path.split('/').fold(place.folder.clone(), |path, part| path.join(part));
        place.store.put(&whole, PutPayload::from(self.bytes)).await?;
        place.make_durable(&path)?;
        let partition_values = match table.partitioned_by() {
            Some(column) => HashMap::from([(column.to_owned(), day)]),
            None => HashMap::new(),
        };
        Ok(Add {
            path,
            partition_values,
            size,
            modification_time: place.clock.now().0,
            data_change: true,
            stats: Some(self.stats),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }
}

fn sorted(table: Table, rows: &RecordBatch) -> Result<RecordBatch, Cause> {
    let by = table.partitioned_by().into_iter().chain(table.sorted_by().iter().copied());
    let columns: Vec<SortColumn> = by
        .filter_map(|name| rows.column_by_name(name))
        .map(|column| SortColumn { values: column.clone(), options: None })
        .collect();
    let order = lexsort_to_indices(&columns, None)?;
    Ok(take_record_batch(rows, &order)?)
}

struct Part {
    day: Option<i32>,
    rows: RecordBatch,
}

/// The rows of each folder, without the column that its name says.
fn parts(table: Table, rows: &RecordBatch) -> Result<Vec<Part>, Cause> {
    let Some(column) = table.partitioned_by() else { return Ok(vec![Part { day: None, rows: rows.clone() }]) };
    let place = rows.schema().index_of(column)?;
    let days = rows.column(place).as_primitive::<Date32Type>().clone();
    let mut rest = rows.clone();
    rest.remove_column(place);
    let mut found = vec![];
    let mut start = 0;
    while start < days.len() {
        let day = days.value(start);
        let count = days.values()[start..].iter().take_while(|other| **other == day).count();
        found.push(Part { day: Some(day), rows: rest.slice(start, count) });
        start += count;
    }
    Ok(found)
}

fn properties(table: Table, schema: &SchemaRef) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties: WriterPropertiesBuilder = WriterProperties::builder()
        .set_created_by(concat!("onefold ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        // What a person is called has no place in the description of a file.
        .set_statistics_enabled(EnabledStatistics::None);
    for name in table.described_by() {
        properties = properties.set_column_statistics_enabled(column(name), EnabledStatistics::Page);
    }
    for name in WITHOUT_DICTIONARY {
        properties = properties.set_column_dictionary_enabled(column(name), false);
    }
    for field in schema.fields() {
        if matches!(field.data_type(), DataType::Int64 | DataType::Timestamp(..)) {
            properties = properties
                .set_column_dictionary_enabled(column(field.name()), false)
                .set_column_encoding(column(field.name()), Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

/// What Delta calls the statistics of a file: <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics>.
#[derive(Default)]
struct Stats {
    rows: usize,
    /// By column: whether it holds times, the least and the greatest value, and how many there are none of.
    columns: BTreeMap<&'static str, (bool, i64, i64, usize)>,
}

impl Stats {
    fn add(&mut self, table: Table, rows: &RecordBatch) {
        self.rows += rows.num_rows();
        for name in table.described_by() {
            let Some(column) = rows.column_by_name(name) else { continue };
            let Some((least, greatest)) = range(column) else { continue };
            let is_time = matches!(column.data_type(), DataType::Timestamp(..));
            let known = self.columns.entry(name).or_insert((is_time, least, greatest, 0));
            *known = (is_time, known.1.min(least), known.2.max(greatest), known.3 + column.null_count());
        }
    }

    fn json(&self) -> String {
        let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (name, (is_time, min, max, none)) in &self.columns {
            let text = |value, up| if *is_time { Value::from(time_text(value, up)) } else { Value::from(value) };
            least.insert((*name).to_owned(), text(*min, false));
            greatest.insert((*name).to_owned(), text(*max, true));
            nulls.insert((*name).to_owned(), Value::from(*none));
        }
        json!({ "numRecords": self.rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
    }
}

fn range(column: &ArrayRef) -> Option<(i64, i64)> {
    let values: Arc<[i64]> = match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().values().as_ref().into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().values().iter().copied().map(i64::from).collect(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().values().as_ref().into(),
        _ => return None,
    };
    Some((values.iter().copied().min()?, values.iter().copied().max()?))
}

/// A date as Delta writes the value of a partition.
pub fn day_text(day: i32) -> String {
    onefold_model::Timestamp(i64::from(day) * onefold_model::clock::DAY_MS).to_string()[..10].to_owned()
}

/// A time in whole milliseconds, rounded down or up: Delta's statistics have no more places.
fn time_text(micros: i64, up: bool) -> String {
    let ms =
        if up { micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) > 0) } else { micros.div_euclid(1000) };
    onefold_model::Timestamp(ms).to_string()
}
