//! Excel workbooks (Office Open XML, ECMA-376), one sheet of them.
//!
//! The sheet is read in order, cell by cell, on a thread of its own: the parser borrows from the workbook it belongs to,
//! and so must live where that does. The channel between is bounded; when the reader is dropped, the thread ends with its
//! next row.

use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use calamine::{DataRef, ExcelDateTime, Reader, Xlsx};

use super::{IN_MEMORY_BYTES_MAX, OpenError, Progress, ReadOptions, Rows, column_names, in_memory};
use crate::{
    COLUMNS_MAX, ROW_BYTES_MAX,
    format::Compression,
    row::{BadRow, CellKind, CellsBuf, Data, Row, RowError},
};

/// Rows that wait between the thread that parses and the one that maps.
const ROWS_WAITING_MAX: usize = 256;

/// A row of the sheet that has cells: its number there, from 1, and its cells up to the last that is not empty.
struct SheetRow {
    line: u64,
    /// The last row that the sheet says it has.
    last_line: u64,
    cells: CellsBuf,
}

/// A sheet's row, or why the sheet cannot be read further.
type Message = Result<SheetRow, String>;

/// The rows of a sheet.
pub(super) struct XlsxRows {
    rows: Receiver<Message>,
    columns: Vec<String>,
    ragged: bool,
    current: SheetRow,
    number: u64,
    total_bytes: u64,
    stopped: bool,
}

impl XlsxRows {
    pub(super) fn open(path: &Path, compression: Compression, options: &ReadOptions) -> Result<XlsxRows, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        match compression {
            Compression::None => {
                let file = File::open(path).map_err(io)?;
                let bytes = file.metadata().map_err(io)?.len();
                if bytes > IN_MEMORY_BYTES_MAX {
                    let (path, cure) = (path.to_owned(), "save it as CSV");
                    return Err(OpenError::TooLarge { path, limit_bytes: IN_MEMORY_BYTES_MAX, cure });
                }
                Self::start(path, BufReader::new(file), bytes, options)
            }
            Compression::Gzip | Compression::Zstd => {
                let bytes = in_memory(path, compression)?;
                let total = bytes.len() as u64;
                Self::start(path, Cursor::new(bytes), total, options)
            }
        }
    }

    fn start<R: Read + Seek + Send + 'static>(
        path: &Path,
        file: R,
        total_bytes: u64,
        options: &ReadOptions,
    ) -> Result<XlsxRows, OpenError> {
        let damaged = |cause: String| OpenError::Damaged { path: path.to_owned(), format: "an Excel workbook", cause };
        let workbook = Xlsx::new(file).map_err(|error| damaged(error.to_string()))?;
        let sheets = workbook.sheet_names();
        let sheet = match &options.sheet {
            Some(sheet) if !sheets.contains(sheet) => {
                let (path, sheet, found) = (path.to_owned(), sheet.clone(), sheets.join(", "));
                return Err(OpenError::NoSheet { path, sheet, found });
            }
            Some(sheet) => sheet.clone(),
            None => sheets.first().cloned().ok_or_else(|| damaged("it has no sheet".to_owned()))?,
        };
        let (sender, rows) = sync_channel(ROWS_WAITING_MAX);
        thread::Builder::new()
            .name("xlsx".to_owned())
            .spawn(move || {
                if let Err(cause) = send_rows(workbook, &sheet, &sender) {
                    // Where nobody listens any more, nobody needs the cause.
                    let _ = sender.send(Err(cause));
                }
            })
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let mut columns = options.columns.clone();
        if columns.is_empty() {
            let header = match rows.recv() {
                Ok(Ok(header)) => header,
                Ok(Err(cause)) => return Err(damaged(cause)),
                Err(_) => return Err(OpenError::Empty { path: path.to_owned() }),
            };
            let cells = header.cells.cells();
            let names: Vec<String> =
                (0..cells.len()).map(|i| cells.get(i).scalar().unwrap_or_default().to_owned()).collect();
            columns = column_names(names.iter().map(String::as_str));
        }
        let current = SheetRow { line: 0, last_line: 0, cells: CellsBuf::default() };
        Ok(XlsxRows { rows, columns, ragged: options.ragged, current, number: 0, total_bytes, stopped: false })
    }

    /// Makes the current row as wide as the header.
    fn fit(&mut self) -> Result<(), String> {
        let cells = &mut self.current.cells;
        if cells.len() > self.columns.len() && !self.ragged {
            return Err(format!("has a cell in column {}, which has no name in the header", cells.len()));
        }
        while cells.len() < self.columns.len() {
            cells.end(CellKind::Empty);
        }
        if cells.text.len() > ROW_BYTES_MAX {
            return Err(format!("has more than {ROW_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// The row for people to find it by: its cells with tabs between.
    fn raw(&self) -> Vec<u8> {
        let cells = self.current.cells.cells();
        let texts: Vec<String> =
            (0..cells.len()).map(|i| cells.get(i).scalar().unwrap_or_default().to_owned()).collect();
        texts.join("\t").into_bytes()
    }
}

/// Sends every row of `sheet` that has cells. Ends early, without an error, when nobody listens.
fn send_rows<R: Read + Seek>(mut workbook: Xlsx<R>, sheet: &str, sender: &SyncSender<Message>) -> Result<(), String> {
    let mut reader = workbook.worksheet_cells_reader(sheet).map_err(|error| error.to_string())?;
    let last_line = u64::from(reader.dimensions().end.0) + 1;
    let mut row = SheetRow { line: 0, last_line, cells: CellsBuf::default() };
    while let Some(cell) = reader.next_cell().map_err(|error| error.to_string())? {
        let (line, column) = cell.get_position();
        let (line, column) = (u64::from(line) + 1, column as usize);
        if matches!(cell.get_value(), DataRef::Empty) {
            continue;
        }
        if line != row.line {
            let full = std::mem::replace(&mut row, SheetRow { line, last_line, cells: CellsBuf::default() });
            if full.cells.len() > 0 && sender.send(Ok(full)).is_err() {
                return Ok(());
            }
        }
        if column < row.cells.len() || column >= COLUMNS_MAX {
            return Err(format!("row {line}: its cells are not in order"));
        }
        while row.cells.len() < column {
            row.cells.end(CellKind::Empty);
        }
        push(cell.get_value(), &mut row.cells);
    }
    if row.cells.len() > 0 {
        // As above.
        let _ = sender.send(Ok(row));
    }
    Ok(())
}

fn push(value: &DataRef<'_>, out: &mut CellsBuf) {
    match value {
        DataRef::Int(n) => out.push(CellKind::Number, &n.to_string()),
        DataRef::Float(n) if n.is_finite() => out.push(CellKind::Number, &n.to_string()),
        DataRef::String(text) => out.push(CellKind::Text, text),
        DataRef::SharedString(text) => out.push(CellKind::Text, text),
        DataRef::Bool(value) => out.push(CellKind::Bool, if *value { "true" } else { "false" }),
        DataRef::DateTime(at) => out.push(CellKind::Time, &date_time(at)),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => out.push(CellKind::Time, text),
        DataRef::Float(_) | DataRef::Error(_) | DataRef::Empty => out.end(CellKind::Empty),
    }
}

/// A date, a date-time or a time of day, without a zone, since a workbook knows none. A duration is `H:MM:SS`.
fn date_time(at: &ExcelDateTime) -> String {
    if at.is_duration() {
        let seconds = (at.as_f64() * 86_400.0).round() as i64;
        return format!("{}:{:02}:{:02}", seconds / 3600, (seconds / 60 % 60).abs(), (seconds % 60).abs());
    }
    let (year, month, day, hour, minute, second, ms) = at.to_ymd_hms_milli();
    let part = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    match (at.as_f64() < 1.0, hour, minute, second, ms) {
        // Below one there is a time and no day.
        (true, ..) => format!("{hour:02}:{minute:02}:{second:02}{part}"),
        (false, 0, 0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
        (false, ..) => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{part}"),
    }
}

impl Rows for XlsxRows {
    fn columns(&self) -> Option<&[String]> {
        Some(&self.columns)
    }

    fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        if self.stopped {
            return None;
        }
        match self.rows.recv() {
            Ok(Ok(row)) => {
                self.current = row;
                self.number += 1;
                let (number, line) = (self.number, self.current.line);
                if let Err(reason) = self.fit() {
                    return Some(Err(BadRow::new(number, line, reason, &self.raw()).into()));
                }
                Some(Ok(Row { number, line, raw: &[], data: Data::Cells(self.current.cells.cells()) }))
            }
            Ok(Err(cause)) => {
                self.stopped = true;
                Some(Err(RowError::Stopped { rows: self.number, cause }))
            }
            Err(_) => {
                self.stopped = true;
                None
            }
        }
    }

    fn progress(&self) -> Progress {
        let (line, last) = if self.stopped { (1, 1) } else { (self.current.line, self.current.last_line.max(1)) };
        let part = u128::from(self.total_bytes) * u128::from(line.min(last)) / u128::from(last);
        Progress { read_bytes: u64::try_from(part).unwrap_or(self.total_bytes), total_bytes: self.total_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, sync::mpsc, time::Duration};

    /// Says when it is dropped.
    struct Watched(Cursor<Vec<u8>>, mpsc::Sender<()>);

    impl Read for Watched {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Seek for Watched {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            let _ = self.1.send(());
        }
    }

    #[test]
    fn a_workbook_that_is_left_unread_is_let_go() {
        let mut workbook = rust_xlsxwriter::Workbook::new();
        let sheet = workbook.add_worksheet();
        for row in 0..10 * ROWS_WAITING_MAX as u32 {
            sheet.write(row, 0, row).unwrap();
        }
        let (sender, dropped) = mpsc::channel();
        let file = Watched(Cursor::new(workbook.save_to_buffer().unwrap()), sender);
        let mut rows = XlsxRows::start(Path::new("a.xlsx"), file, 1, &ReadOptions::default()).unwrap();
        assert!(rows.next().unwrap().is_ok());
        // The thread waits for room in the channel and holds the file as long as there is a reader.
        assert!(dropped.try_recv().is_err());
        drop(rows);
        assert!(dropped.recv_timeout(Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn dates_times_and_durations_are_told_apart() {
        use calamine::ExcelDateTimeType::{DateTime, TimeDelta};
        let check =
            |value: f64, kind, expect: &str| assert_eq!(date_time(&ExcelDateTime::new(value, kind, false)), expect);
        check(45_351.0, DateTime, "2024-02-29");
        check(45_351.25, DateTime, "2024-02-29T06:00:00");
        check(0.75, DateTime, "18:00:00");
        check(1.5, TimeDelta, "36:00:00");
    }
}
