//! The tables of a workspace as SQL sees them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use datafusion::{
    catalog::{MemorySchemaProvider, SchemaProvider as _, TableProvider},
    common::ScalarValue,
    datasource::empty::EmptyTable,
    error::Result,
    execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv},
};
use futures_util::{StreamExt as _, stream::BoxStream};
use onefold_lake::{Promoted, Table, Versions};
use url::Url;

use crate::{DeltaLake, Published, engine, error::Cause, scan::Scan, view::View};

/// The name under which all versions of a table can be asked for; none where each of its rows counts.
fn history(table: Table) -> Option<String> {
    let has_one = table.versions() == Versions::OfProfile || table == Table::SegmentMembers;
    has_one.then(|| format!("{table}_history"))
}

/// All tables and what is made of them: a schema to be put into a session.
pub async fn schema(lake: &DeltaLake, published: &Published) -> Result<Arc<MemorySchemaProvider>> {
    let schema = Arc::new(MemorySchemaProvider::new());
    let store = store_url(&lake.settings.url);
    for table in Table::ALL {
        let name = history(table).unwrap_or_else(|| table.name().to_owned());
        let files: Arc<dyn TableProvider> = match published.tables.get(&table) {
            Some(view) => Arc::new(Scan::new(view.clone(), store.clone())),
            None => Arc::new(EmptyTable::new(Promoted::default().schema(table))),
        };
        schema.register_table(name, files)?;
    }
    let context = engine::session(lake.settings.threads, Arc::new(RuntimeEnv::default()), schema.clone(), None)?;
    for table in Table::ALL {
        let view = published.tables.get(&table).map(Arc::as_ref);
        let profiles = published.tables.get(&Table::Profiles).map(Arc::as_ref);
        if let Some(sql) = made_of_history(table, view, profiles, &["gone"]) {
            schema.register_table(table.name().to_owned(), context.sql(&sql).await?.into_view())?;
        }
    }
    Ok(schema)
}

/// Where files are, for DataFusion.
pub fn store_url(url: &Url) -> ObjectStoreUrl {
    let text = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    ObjectStoreUrl::parse(text).unwrap_or_else(|_| ObjectStoreUrl::local_filesystem())
}

/// The query behind a table of which not every row counts; `but` these columns.
fn made_of_history(table: Table, view: Option<&View>, profiles: Option<&View>, but: &[&str]) -> Option<String> {
    let history = history(table)?;
    if table == Table::SegmentMembers {
        return Some(format!(
            "SELECT segment, profile, max(time) AS since FROM {history} \
             GROUP BY segment, profile HAVING last_value(entered ORDER BY \"offset\")"
        ));
    }
    let promoted = view.map(|view| view.promoted.clone()).unwrap_or_default();
    let schema = promoted.schema(table);
    let names = schema.fields().iter().map(|field| field.name()).filter(|name| !but.contains(&name.as_str()));
    let columns = names.map(|name| format!("h.\"{name}\"")).collect::<Vec<_>>().join(", ");
    let there = if table == Table::Profiles { "NOT h.gone" } else { "true" };
    let base = view.map_or(0, View::base);
    let is_newest = profiles.is_none_or(|profiles| profiles.files.iter().all(|file| file.is_within(base)));
    if is_newest && view.is_none_or(View::is_base) {
        return Some(format!("SELECT {columns} FROM {history} h WHERE {there}"));
    }
    // Of profiles without newer versions what is in base files, and of the others the newest version.
    let newest = format!(
        "SELECT profile, max(\"offset\") AS \"offset\" FROM profiles_history WHERE \"offset\" > {base} GROUP BY profile"
    );
    Some(format!(
        "WITH newest AS ({newest}) \
         SELECT {columns} FROM {history} h LEFT ANTI JOIN newest n ON h.profile = n.profile \
         WHERE h.\"offset\" <= {base} AND {there} \
         UNION ALL \
         SELECT {columns} FROM {history} h JOIN newest n ON h.profile = n.profile AND h.\"offset\" = n.\"offset\" \
         WHERE {there}"
    ))
}

/// The rows of a table that count, with all of its columns.
pub async fn rows_that_count(
    lake: &DeltaLake,
    published: &Published,
    table: Table,
) -> std::result::Result<BoxStream<'static, Result<RecordBatch>>, Cause> {
    let runtime = RuntimeEnv::default();
    runtime.register_object_store(store_url(&lake.settings.url).as_ref(), lake.store.clone());
    let schema = schema(lake, published).await?;
    let context = engine::session(lake.settings.threads, Arc::new(runtime), schema, None)?;
    let view = |table: Table| published.tables.get(&table).map(Arc::as_ref);
    let versions = (table.versions() == Versions::OfProfile)
        .then(|| made_of_history(table, view(table), view(Table::Profiles), &[]))
        .flatten();
    let all = history(table).unwrap_or_else(|| table.name().to_owned());
    let sql = versions.unwrap_or_else(|| format!("SELECT * FROM {all}"));
    Ok(context.sql(&sql).await?.execute_stream().await?.boxed())
}

/// Rows as they are written: a table's own columns, text as text.
pub fn own_columns(table: Table, rows: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| {
        let there = rows.column_by_name(field.name());
        let there =
            there.ok_or_else(|| ArrowError::SchemaError(format!("rows of {table} without {}", field.name())))?;
        arrow_cast::cast(there, field.data_type())
    };
    let columns = table.schema().fields().iter().map(column).collect::<std::result::Result<_, _>>()?;
    RecordBatch::try_new(table.schema().clone(), columns)
}

/// Rows of a file as they were before they were put under their day.
pub fn with_day(table: Table, day: Option<&str>, rows: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let (Some(column), Some(day)) = (table.partitioned_by(), day) else { return own_columns(table, rows) };
    let day = ScalarValue::try_from_string(day.to_owned(), &DataType::Date32)?.to_array_of_size(rows.num_rows())?;
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(column, DataType::Date32, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(day);
    own_columns(table, &RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
