//! The files of a table as DataFusion reads them.

use std::{fmt, sync::Arc};

use crate::view::{File, View};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::{
    catalog::{Session, TableProvider},
    common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision},
    datasource::{
        TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource, parquet::CachedParquetFileReaderFactory},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    logical_expr::Expr,
    physical_plan::ExecutionPlan,
};

/// A version of a table.
pub struct Scan {
    pub view: Arc<View>,
    pub store: ObjectStoreUrl,
    columns: TableSchema,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at version {}", self.view.table, self.view.version)
    }
}

/// Text is read as views into the decoded pages, which spares copies.
fn as_read(field: &FieldRef) -> FieldRef {
    match field.data_type() {
        DataType::Utf8 => Arc::new(Field::new(field.name(), DataType::Utf8View, field.is_nullable())),
        _ => field.clone(),
    }
}

impl Scan {
    /// Of the files of a view, in this store.
    pub fn new(view: Arc<View>, store: ObjectStoreUrl) -> Scan {
        let schema = view.promoted.schema(view.table);
        let is_partition = |field: &&FieldRef| view.table.partitioned_by() == Some(field.name().as_str());
        let partitions: Vec<FieldRef> = schema.fields().iter().filter(is_partition).cloned().collect();
        let in_files: Vec<FieldRef> =
            schema.fields().iter().filter(|field| !is_partition(field)).map(as_read).collect();
        let columns =
            TableSchema::builder(Arc::new(Schema::new(in_files))).with_table_partition_cols(partitions).build();
        Scan { view, store, columns }
    }

    fn file(&self, file: &File) -> Result<PartitionedFile> {
        let mut read = PartitionedFile::new(String::new(), file.bytes);
        read.object_meta.location = file.path.clone();
        if let Some(day) = &file.day {
            let day = ScalarValue::try_from_string(day.clone(), &DataType::Date32)?;
            read.partition_values = vec![day];
        }
        let columns = self.columns.file_schema().fields().iter().map(|field| of_column(file, field));
        let said = Statistics {
            num_rows: Precision::Exact(file.rows),
            total_byte_size: Precision::Absent,
            column_statistics: columns.collect(),
        };
        Ok(read.with_statistics(Arc::new(said)))
    }
}

fn of_column(file: &File, field: &Field) -> ColumnStatistics {
    let Some((min, max)) = file.ranges.get(field.name()) else { return ColumnStatistics::new_unknown() };
    let value = |value: i64| match field.data_type() {
        DataType::Timestamp(_, zone) => ScalarValue::TimestampMicrosecond(Some(value), zone.clone()),
        DataType::Int32 => ScalarValue::Int32(i32::try_from(value).ok()),
        _ => ScalarValue::Int64(Some(value)),
    };
    ColumnStatistics {
        min_value: Precision::Exact(value(*min)),
        max_value: Precision::Exact(value(*max)),
        null_count: Precision::Exact(0),
        ..ColumnStatistics::new_unknown()
    }
}

#[async_trait::async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        self.columns.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let runtime = state.runtime_env();
        let reader = CachedParquetFileReaderFactory::new(
            runtime.object_store(&self.store)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(self.columns.clone())
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let files: Result<Vec<PartitionedFile>> = self.view.files.iter().map(|file| self.file(file)).collect();
        let groups = FileGroup::new(files?).split_files(state.config().target_partitions());
        let scan = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit);
        Ok(DataSourceExec::from_data_source(scan.build()))
    }
}
