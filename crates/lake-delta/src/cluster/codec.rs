//! Tables on their way to a scheduler: which files they are.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::SchemaRef;
use ballista_core::serde::BallistaLogicalExtensionCodec;
use datafusion::{
    catalog::TableProvider,
    common::{TableReference, exec_datafusion_err},
    datasource::{empty::EmptyTable, file_format::FileFormatFactory},
    error::Result,
    execution::{TaskContext, object_store::ObjectStoreUrl},
    logical_expr::{Extension, LogicalPlan},
};
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use object_store::path::Path;
use onefold_lake::{Promoted, Table};
use serde::{Deserialize, Serialize};

use crate::{
    scan::Scan,
    view::{File, View},
};

/// A version of a table: which files it is.
#[derive(Serialize, Deserialize)]
struct Sent {
    table: String,
    version: u64,
    columns: Vec<String>,
    files: Vec<SentFile>,
    store: String,
}

#[derive(Serialize, Deserialize)]
struct SentFile {
    path: String,
    name: String,
    bytes: u64,
    rows: usize,
    day: Option<String>,
    ranges: HashMap<String, (i64, i64)>,
}

impl Sent {
    fn of(scan: &Scan) -> Sent {
        let View { table, version, promoted, files } = &*scan.view;
        let file = |file: &File| {
            let File { path, name, bytes, rows, day, ranges } = file.clone();
            SentFile { path: path.into(), name, bytes, rows, day, ranges }
        };
        Sent {
            table: table.name().to_owned(),
            version: *version,
            columns: promoted.schema(*table).fields().iter().map(|field| field.name().clone()).collect(),
            files: files.iter().map(file).collect(),
            store: scan.store.as_str().to_owned(),
        }
    }

    fn read(self) -> Result<Scan> {
        let Sent { table, version, columns, files, store } = self;
        let known = Table::ALL.into_iter().find(|known| known.name() == table);
        let table = known.ok_or_else(|| exec_datafusion_err!("another version of Onefold asks for {table}"))?;
        let promoted = Promoted::of(table, columns.iter().map(String::as_str));
        let file = |file: SentFile| {
            let SentFile { path, name, bytes, rows, day, ranges } = file;
            let path = Path::parse(path).map_err(|error| exec_datafusion_err!("{error}"))?;
            Ok(File { path, name, bytes, rows, day, ranges })
        };
        let files = files.into_iter().map(file).collect::<Result<_>>()?;
        Ok(Scan::new(Arc::new(View { table, version, promoted, files }), ObjectStoreUrl::parse(store)?))
    }
}

/// Ballista's own codec, which knows our tables as well. A table without rows is sent as nothing.
#[derive(Debug, Default)]
pub struct Tables(BallistaLogicalExtensionCodec);

impl LogicalExtensionCodec for Tables {
    fn try_encode_table_provider(
        &self,
        name: &TableReference,
        table: Arc<dyn TableProvider>,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        if table.downcast_ref::<EmptyTable>().is_some() {
            return Ok(());
        }
        let scan = table.downcast_ref::<Scan>();
        let scan = scan.ok_or_else(|| exec_datafusion_err!("{name} is no table of the lake"))?;
        serde_json::to_writer(buffer, &Sent::of(scan)).map_err(|error| exec_datafusion_err!("{name}: {error}"))
    }

    fn try_decode_table_provider(
        &self,
        bytes: &[u8],
        name: &TableReference,
        schema: SchemaRef,
        _: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        if bytes.is_empty() {
            return Ok(Arc::new(EmptyTable::new(schema)));
        }
        let sent: Sent = serde_json::from_slice(bytes).map_err(|error| exec_datafusion_err!("{name}: {error}"))?;
        Ok(Arc::new(sent.read()?))
    }

    fn try_decode(&self, bytes: &[u8], inputs: &[LogicalPlan], context: &TaskContext) -> Result<Extension> {
        self.0.try_decode(bytes, inputs, context)
    }

    fn try_encode(&self, node: &Extension, buffer: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode(node, buffer)
    }

    fn try_decode_file_format(&self, bytes: &[u8], context: &TaskContext) -> Result<Arc<dyn FileFormatFactory>> {
        self.0.try_decode_file_format(bytes, context)
    }

    fn try_encode_file_format(&self, buffer: &mut Vec<u8>, format: Arc<dyn FileFormatFactory>) -> Result<()> {
        self.0.try_encode_file_format(buffer, format)
    }
}
