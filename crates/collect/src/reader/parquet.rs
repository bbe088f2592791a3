//! Apache Parquet (<https://parquet.apache.org/docs/file-format/>), by its record interface: rows, not columns, are what
//! becomes events.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use parquet::{
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    record::{Row as Record, reader::RowIter},
};

use super::{
    OpenError, Progress, Rows, in_memory,
    parquet_cell::{Hint, push, unreadable},
};
use crate::{
    COLUMNS_MAX,
    format::Compression,
    row::{BadRow, CellsBuf, Data, Row, RowError},
};

/// The rows of a Parquet file.
pub(super) struct ParquetRows {
    records: RowIter<'static>,
    columns: Vec<String>,
    hints: Vec<Hint>,
    cells: CellsBuf,
    number: u64,
    rows_total: u64,
    total_bytes: u64,
    stopped: bool,
}

impl ParquetRows {
    pub(super) fn open(path: &Path, compression: Compression) -> Result<ParquetRows, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let damaged = |cause: String| OpenError::Damaged { path: path.to_owned(), format: "Parquet", cause };
        let (reader, total_bytes): (Result<Box<dyn FileReader>, ParquetError>, u64) = match compression {
            Compression::None => {
                let file = File::open(path).map_err(io)?;
                let bytes = file.metadata().map_err(io)?.len();
                (guarded(|| Ok(Box::new(SerializedFileReader::new(file)?) as _)), bytes)
            }
            Compression::Gzip | Compression::Zstd => {
                let bytes = bytes::Bytes::from(in_memory(path, compression)?);
                let total = bytes.len() as u64;
                (guarded(|| Ok(Box::new(SerializedFileReader::new(bytes)?) as _)), total)
            }
        };
        let reader = reader.map_err(|error| damaged(error.to_string()))?;
        let metadata = reader.metadata().file_metadata();
        let fields = metadata.schema().get_fields();
        if let Some(column) = fields.iter().find_map(|field| unreadable(field)) {
            return Err(damaged(format!("{column} is not supported; leave it out")));
        }
        if fields.len() > COLUMNS_MAX {
            return Err(damaged(format!("it has more than {COLUMNS_MAX} columns")));
        }
        Ok(ParquetRows {
            columns: fields.iter().map(|field| field.name().to_owned()).collect(),
            hints: fields.iter().map(|field| Hint::of(field)).collect(),
            cells: CellsBuf::default(),
            number: 0,
            rows_total: u64::try_from(metadata.num_rows()).unwrap_or(0),
            total_bytes,
            stopped: false,
            records: RowIter::from_file_into(reader),
        })
    }

    fn take(&mut self, record: &Record) -> Result<(), String> {
        self.cells.clear();
        for (i, (name, field)) in record.get_column_iter().enumerate() {
            let hint = self.hints.get(i).copied().unwrap_or(Hint::None);
            push(field, hint, &mut self.cells).map_err(|problem| format!("column {name} {problem}"))?;
        }
        Ok(())
    }
}

/// The record reader asserts where a file contradicts itself; that must not end the program.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ParquetError::General("the file contradicts itself".to_owned())))
}

impl Rows for ParquetRows {
    fn columns(&self) -> Option<&[String]> {
        Some(&self.columns)
    }

    fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        if self.stopped {
            return None;
        }
        let records = &mut self.records;
        match guarded(|| records.next().transpose()) {
            Ok(Some(record)) => {
                self.number += 1;
                let (number, line) = (self.number, self.number);
                if let Err(reason) = self.take(&record) {
                    // Its `Display` would panic over what could not be taken.
                    return Some(Err(BadRow::new(number, line, reason, format!("{record:?}").as_bytes()).into()));
                }
                Some(Ok(Row { number, line, raw: &[], data: Data::Cells(self.cells.cells()) }))
            }
            Ok(None) => {
                self.stopped = true;
                None
            }
            Err(error) => {
                self.stopped = true;
                Some(Err(RowError::Stopped { rows: self.number, cause: error.to_string() }))
            }
        }
    }

    fn progress(&self) -> Progress {
        let part = u128::from(self.total_bytes) * u128::from(self.number) / u128::from(self.rows_total.max(1));
        Progress {
            read_bytes: u64::try_from(part).unwrap_or(u64::MAX).min(self.total_bytes),
            total_bytes: self.total_bytes,
        }
    }
}
