//! Files into events.
//!
//! A file is read row by row ([`reader`]), each row is made into events by a declared [`mapping`], and each event gets a
//! message id that is the same whenever the same row of the same file is read again ([`digest`]), so that an import may
//! be stopped, resumed and repeated without counting anything twice. Where there is no mapping yet, [`guess`] proposes
//! one to look at.
//!
//! Nothing here knows the network, a clock or a runtime: what drives it (batches, progress bar, resume) takes
//! [`bind`] and [`Batches`] and posts what comes out. A row costs no JSON tree and, in the text
//! formats, no allocation of its own but its list of members.

pub mod batch;
pub mod digest;
pub mod format;
pub mod guess;
mod json_out;
pub mod mapping;
pub mod reader;
pub mod row;
mod sniff;
mod time;

pub use batch::{Batch, Batches, BindError, SAMPLE_ROWS, bind};
pub use digest::{Digest, RowIds, row_message_id};
pub use format::{Compression, Detected, Format};
pub use guess::Guess;
pub use mapping::{Events, Mapper, Mapping, Shift};
pub use reader::{OpenError, ReadOptions, Rows, Sample, open, sample};
pub use row::{BadRow, Cell, CellKind, Cells, Data, Row, RowError};

/// Bytes of one row: of a record, a line, or an element of a JSON array. The limit on an event is far below it.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a bad row that are kept with the reason.
pub const BAD_ROW_BYTES_MAX: usize = 64 * 1024;

/// Columns of one file, the most that a spreadsheet can have.
pub const COLUMNS_MAX: usize = 16_384;
