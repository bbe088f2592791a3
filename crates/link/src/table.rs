//! A file of records, column by column, as it was written.
//!
//! Reading and numbering share the work: while one thread parses a batch of rows, the others number the values of the
//! batch before, a column each. What is odd in a file is noted by row and read as well as it can be; a file is refused
//! only where nothing sensible could be read.

use std::io::{BufRead, BufReader, Read};

use encoding_rs::WINDOWS_1252;
use rayon::prelude::*;

use crate::dictionary::{Dictionary, hash};

/// Rows parsed at a time.
const BATCH_ROWS: usize = 16_384;
/// Rows named in a note; the others are counted.
const NOTED_ROWS_MAX: usize = 5;

/// Why a file cannot be read. A retry does not help; the cure is said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed.
    #[error("Reading the records failed: {0}. Check that the file is whole and can be read.")]
    Io(#[from] std::io::Error),
    /// Not a CSV file, or a broken one.
    #[error("The records are no valid CSV: {0}. Check quotes near that place.")]
    Csv(csv::Error),
    /// There is no header, or no row.
    #[error("The file has no rows of records. Give a CSV file whose first line names the columns.")]
    Empty,
    /// The file is in UTF-16.
    #[error("The file is in UTF-16. Save it as UTF-8.")]
    Utf16,
    /// Two columns have one name.
    #[error("The column {0:?} is there twice. Rename one of the two.")]
    DuplicateColumn(String),
}

impl From<csv::Error> for ReadError {
    fn from(error: csv::Error) -> Self {
        if !error.is_io_error() {
            return ReadError::Csv(error);
        }
        match error.into_kind() {
            csv::ErrorKind::Io(error) => ReadError::Io(error),
            kind => ReadError::Io(std::io::Error::other(format!("{kind:?}"))),
        }
    }
}

/// Something odd that was met and dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What was met, and what was made of it.
    pub text: String,
    /// How many rows it concerns.
    pub rows: usize,
    /// The first few of them; the first row after the header is 1.
    pub first_rows: Vec<usize>,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: Vec<String> = self.first_rows.iter().map(usize::to_string).collect();
        let more = if self.rows > rows.len() { ", …" } else { "" };
        write!(f, "{} ({} rows: {}{more})", self.text, self.rows, rows.join(", "))
    }
}

/// A column: a code for each row.
#[derive(Debug, Clone)]
pub struct Column {
    /// As the header has it, without spaces around it.
    pub name: String,
    /// A code of `values` for each row.
    pub codes: Vec<u32>,
    /// The distinct values, without spaces around them.
    pub values: Dictionary,
}

/// Records as they were read.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
    id_name: String,
    id_bytes: Vec<u8>,
    id_ends: Vec<usize>,
    notes: Vec<Note>,
}

/// The cells of one column in one batch.
#[derive(Default)]
struct Cells {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

#[derive(Default)]
struct Batch {
    columns: Vec<Cells>,
    rows: usize,
}

#[derive(Default)]
struct Oddities {
    not_utf8: Rows,
    short: Rows,
    long: Rows,
}

#[derive(Default)]
struct Rows {
    count: usize,
    first: Vec<usize>,
}

impl Rows {
    fn add(&mut self, row: usize) {
        self.count += 1;
        if self.first.len() < NOTED_ROWS_MAX {
            self.first.push(row);
        }
    }

    fn note(self, text: &str) -> Option<Note> {
        (self.count > 0).then(|| Note { text: text.to_owned(), rows: self.count, first_rows: self.first })
    }
}

impl Table {
    /// Reads a CSV file whose first line names the columns; it may be compressed with gzip, and separated by commas,
    /// semicolons or tabs. The ids of the records stand in the column `unique_id`, or else in the first one.
    ///
    /// Values that are not UTF-8 are read as Windows-1252, missing cells as empty, and noted by row.
    pub fn read_csv(reader: impl Read + Send) -> Result<Table, ReadError> {
        let mut reader = BufReader::with_capacity(1 << 18, reader);
        if reader.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            let unpacked = flate2::bufread::MultiGzDecoder::new(reader);
            return Self::read_plain(BufReader::with_capacity(1 << 18, unpacked));
        }
        Self::read_plain(reader)
    }

    fn read_plain(mut reader: impl BufRead + Send) -> Result<Table, ReadError> {
        let start = reader.fill_buf()?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(ReadError::Utf16);
        }
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let occurs = |separator: u8| line.iter().filter(|byte| **byte == separator).count();
        let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| occurs(*d)).unwrap_or(b',');
        // The parser takes a mark of byte order off by itself.
        let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
        let names: Vec<String> = csv.byte_headers()?.iter().map(|name| decode(name).0.trim().to_owned()).collect();
        if names.iter().all(String::is_empty) {
            return Err(ReadError::Empty);
        }
        if let Some(twice) = (1..names.len()).find(|i| !names[*i].is_empty() && names[..*i].contains(&names[*i])) {
            return Err(ReadError::DuplicateColumn(names[twice].clone()));
        }
        let id = names.iter().position(|name| name.eq_ignore_ascii_case("unique_id")).unwrap_or(0);
        let mut table = Table { id_name: names[id].clone(), ..Table::default() };
        table.columns = names
            .iter()
            .map(|name| Column { name: name.clone(), codes: Vec::new(), values: Dictionary::default() })
            .collect();

        let mut oddities = Oddities::default();
        let mut rows_read = 0;
        let mut parse = |mut batch: Batch| -> Result<Batch, csv::Error> {
            batch.fill(&mut csv, names.len(), &mut rows_read, &mut oddities)?;
            Ok(batch)
        };
        let mut ready = parse(Batch::default())?;
        let mut spare = Batch::default();
        while ready.rows > 0 {
            let (next, ()) = rayon::join(|| parse(std::mem::take(&mut spare)), || table.take(&ready, id));
            spare = std::mem::replace(&mut ready, next?);
        }
        if table.rows == 0 {
            return Err(ReadError::Empty);
        }
        table.columns.remove(id);
        for column in &mut table.columns {
            column.values.shrink();
            column.codes.shrink_to_fit();
        }
        table.notes.extend(oddities.not_utf8.note("Values are not UTF-8 and were read as Windows-1252"));
        table
            .notes
            .extend(oddities.short.note("Rows have fewer cells than the header; the missing ones count as empty"));
        table.notes.extend(oddities.long.note("Rows have more cells than the header; the surplus was left out"));
        let repeated = table.repeated_ids();
        table.notes.extend(repeated.note("Ids stand there more than once; each row counts as a record of its own"));
        Ok(table)
    }

    fn take(&mut self, batch: &Batch, id: usize) {
        let cells = &batch.columns[id];
        let start = self.id_bytes.len();
        self.id_bytes.extend_from_slice(&cells.bytes);
        self.id_ends.extend(cells.ends.iter().map(|end| start + *end as usize));
        self.columns.par_iter_mut().zip(&batch.columns).enumerate().with_max_len(1).for_each(|(i, (column, cells))| {
            if i != id {
                column.codes.reserve(cells.ends.len());
                let mut from = 0;
                for &end in &cells.ends {
                    let code = column.values.intern(&cells.bytes[from..end as usize]);
                    column.codes.push(code);
                    from = end as usize;
                }
            }
        });
        self.rows += batch.rows;
    }

    fn repeated_ids(&self) -> Rows {
        let mut hashes: Vec<(u64, u32)> = (0..self.rows).map(|row| (hash(self.id(row)), row as u32)).collect();
        hashes.par_sort_unstable();
        let mut repeated: Vec<u32> = hashes.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| w[1].1).collect();
        repeated.sort_unstable();
        let mut rows = Rows::default();
        repeated.into_iter().for_each(|row| rows.add(row as usize + 1));
        rows
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// All columns but the one of ids, in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column with this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// What the file calls its ids.
    pub fn id_name(&self) -> &str {
        &self.id_name
    }

    /// The id of the record in `row`, counted from 0.
    pub fn id(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.id_ends[row - 1] };
        &self.id_bytes[start..self.id_ends[row]]
    }

    /// The first row with this id.
    pub fn row(&self, id: &str) -> Option<usize> {
        (0..self.rows).find(|row| self.id(*row) == id.as_bytes())
    }

    /// What was odd in the file.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl Batch {
    fn fill<R: Read>(
        &mut self,
        csv: &mut csv::Reader<R>,
        width: usize,
        rows_read: &mut usize,
        oddities: &mut Oddities,
    ) -> Result<(), csv::Error> {
        self.columns.resize_with(width, Cells::default);
        self.rows = 0;
        for column in &mut self.columns {
            column.bytes.clear();
            column.ends.clear();
        }
        let mut record = csv::ByteRecord::new();
        while self.rows < BATCH_ROWS && csv.read_byte_record(&mut record)? {
            *rows_read += 1;
            if record.len() < width {
                oddities.short.add(*rows_read);
            } else if record.len() > width {
                oddities.long.add(*rows_read);
            }
            let utf8 = record.as_slice().is_ascii() || std::str::from_utf8(record.as_slice()).is_ok();
            if !utf8 {
                oddities.not_utf8.add(*rows_read);
            }
            for (i, column) in self.columns.iter_mut().enumerate() {
                let cell = record.get(i).unwrap_or_default().trim_ascii();
                if utf8 {
                    column.bytes.extend_from_slice(cell);
                } else {
                    column.bytes.extend_from_slice(decode(cell).0.as_bytes());
                }
                column.ends.push(column.bytes.len() as u32);
            }
            self.rows += 1;
        }
        Ok(())
    }
}

/// As UTF-8, or else as Windows-1252, in which every byte means something; and whether it was UTF-8.
fn decode(cell: &[u8]) -> (std::borrow::Cow<'_, str>, bool) {
    match std::str::from_utf8(cell) {
        Ok(text) => (text.into(), true),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(cell).0, false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn cells(table: &Table, name: &str) -> Vec<String> {
        let column = table.column(name).unwrap();
        column.codes.iter().map(|code| column.values.text(*code).into_owned()).collect()
    }

    #[test]
    fn reads_what_people_save() {
        let plain = "rec_id, name ,town\n1,Ann,York\n2, Bob ,\n";
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(plain.as_bytes()).unwrap();
        for bytes in
            [plain.into(), packed.finish().unwrap(), format!("\u{feff}{plain}").into(), plain.replace(',', ";").into()]
        {
            let table = Table::read_csv(bytes.as_slice()).unwrap();
            assert_eq!((table.len(), table.id_name(), table.id(1)), (2, "rec_id", b"2".as_slice()));
            assert_eq!(cells(&table, "name"), ["Ann", "Bob"]);
            assert_eq!(cells(&table, "town"), ["York", ""]);
            assert!(table.notes().is_empty());
        }
    }

    #[test]
    fn takes_unique_id_wherever_it_stands() {
        let table = Table::read_csv("name,unique_id\nAnn,7\n".as_bytes()).unwrap();
        assert_eq!((table.id(0), table.columns().len()), (b"7".as_slice(), 1));
    }

    #[test]
    fn notes_what_is_odd() {
        let table = Table::read_csv(b"id,name,town\n1,Andr\xe9,K\n2\n2,a,b,c\n".as_slice()).unwrap();
        assert_eq!(cells(&table, "name"), ["André", "", "a"]);
        let notes: Vec<String> = table.notes().iter().map(Note::to_string).collect();
        assert_eq!(
            notes,
            [
                "Values are not UTF-8 and were read as Windows-1252 (1 rows: 1)",
                "Rows have fewer cells than the header; the missing ones count as empty (1 rows: 2)",
                "Rows have more cells than the header; the surplus was left out (1 rows: 3)",
                "Ids stand there more than once; each row counts as a record of its own (1 rows: 3)",
            ]
        );
    }

    #[test]
    fn refuses_what_is_no_table() {
        let error = |bytes: &[u8]| Table::read_csv(bytes).unwrap_err().to_string();
        assert!(error(b"").contains("no rows"));
        assert!(error(b"id,name\n").contains("no rows"));
        assert!(error(b"\xff\xfei\0d\0").contains("UTF-16"));
        assert!(error(b"id,a,a\n1,2,3\n").contains("twice"));
        assert!(error(b"\x1f\x8b\x08\0\0\0\0\0\0\0\x01").contains("Check that the file is whole"));
    }
}
