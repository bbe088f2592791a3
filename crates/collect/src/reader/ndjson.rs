//! One JSON object a line (<https://github.com/ndjson/ndjson-spec>).

use onefold_model::json::Members;

use super::{
    Progress, Rows,
    lines::{Line, Lines},
    not_utf8,
    source::Buffer,
};
use crate::{
    ROW_BYTES_MAX,
    row::{BadRow, Data, Row, RowError},
};

/// The rows of a file of JSON lines.
pub(super) struct NdjsonRows {
    lines: Lines,
    number: u64,
    stopped: bool,
}

impl NdjsonRows {
    pub(super) fn new(buffer: Buffer) -> NdjsonRows {
        NdjsonRows { lines: Lines::new(buffer), number: 0, stopped: false }
    }
}

impl Rows for NdjsonRows {
    fn columns(&self) -> Option<&[String]> {
        None
    }

    fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        if self.stopped {
            return None;
        }
        match self.lines.advance() {
            Ok(Line::Whole) => {
                self.number += 1;
                Some(object_row(self.number, self.lines.line, self.lines.current()).map_err(RowError::Bad))
            }
            Ok(Line::TooLong(first)) => {
                self.number += 1;
                let reason = format!("has more than {ROW_BYTES_MAX} bytes");
                Some(Err(BadRow::new(self.number, self.lines.line, reason, &first).into()))
            }
            Ok(Line::End) => {
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
        self.lines.progress()
    }
}

/// The row that the bytes of one JSON object make.
pub(super) fn object_row(number: u64, line: u64, raw: &[u8]) -> Result<Row<'_>, BadRow> {
    let bad = |reason: String| BadRow::new(number, line, reason, raw);
    let text = std::str::from_utf8(raw).map_err(|_| bad(not_utf8(raw)))?;
    if !text.trim_start().starts_with('{') {
        return Err(bad("is not a JSON object".to_owned()));
    }
    match serde_json::from_str::<Members<'_>>(text) {
        Ok(members) => Ok(Row { number, line, raw, data: Data::Json(members) }),
        Err(error) => {
            // Its own line number counts within the row.
            let message = error.to_string();
            let cause = message.split(" at line ").next().unwrap_or(&message);
            Err(bad(format!("is not JSON: {cause} (character {})", error.column())))
        }
    }
}
