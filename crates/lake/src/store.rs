//! What stores the tables.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use onefold_model::{Timestamp, WorkspaceId};

use crate::Table;

/// What went wrong with the tables.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object store or a table in it.
    #[error("{doing} {table} of workspace {workspace}: {cause}", workspace = .workspace.0)]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Of which table.
        table: Table,
        /// Whose.
        workspace: WorkspaceId,
        /// What was said.
        cause: String,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// Another writer has moved the table on. Nothing was written.
    #[error("{table} is at offset {found}, not {expected}: another writer is at work")]
    Moved {
        /// Which.
        table: Table,
        /// Where this writer thought that it was.
        expected: u64,
        /// Where it is.
        found: u64,
    },
    /// What the rows are made of.
    #[error(transparent)]
    Pipeline(#[from] onefold_pipeline::Error),
    /// The store that they are made of.
    #[error(transparent)]
    State(#[from] onefold_state::Error),
    /// Rows that do not fit their table.
    #[error("rows that do not fit: {0}")]
    Rows(#[from] arrow_schema::ArrowError),
}

/// Rows to write, some thousands at a time.
pub type Rows<'a> = &'a mut dyn Iterator<Item = Result<RecordBatch, Error>>;

/// A commit to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Which table.
    pub table: Table,
    /// The offset (of [`Table::Deliveries`] the sequence) at which it must be.
    pub from: u64,
    /// The offset at which it is afterwards.
    pub to: u64,
    /// Whether the rows take the place of all that were there.
    pub replace: bool,
}

/// What tables are complete up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AsOf {
    /// The log offset after the last one that is in them.
    pub offset: u64,
    /// The engine time that goes with it.
    pub at: Timestamp,
    /// The sequence of the last receipt that is in them: deliveries do not follow from the log alone.
    pub receipt: u64,
}

/// Tables on an object store.
///
/// * [`write`](Self::write) is atomic: its rows and the new offset are there together or not at all, and what a crash
///   leaves behind is nobody's row.
/// * It is exact: a table that is not at `from` is left as it is, and [`Error::Moved`] says where it is. So of two writers
///   of the same offsets one succeeds, and who writes again after an error that left the outcome unknown doubles nothing.
/// * Rows come with the table's own columns. Members of their JSON that are frequent get columns as well
///   ([`Promoted`](crate::Promoted)), from then on.
/// * Readers see what was last published, all tables as of one offset, and keep seeing it to the end of their question.
///
/// Every call blocks the thread until it is done.
pub trait Lake: Send + Sync {
    /// Up to which offset a table is complete; zero where there is none yet.
    fn offset(&self, workspace: WorkspaceId, table: Table) -> Result<u64, Error>;

    /// Writes rows, and moves the offset.
    fn write(&self, workspace: WorkspaceId, write: Write, rows: Rows<'_>) -> Result<(), Error>;

    /// Lets readers see the tables as they are now.
    fn publish(&self, workspace: WorkspaceId, as_of: AsOf) -> Result<(), Error>;

    /// What readers see.
    fn published(&self, workspace: WorkspaceId) -> Option<AsOf>;

    /// Calls `on` with all published rows of a table that count, in no order, some thousands at a time.
    fn read(
        &self,
        workspace: WorkspaceId,
        table: Table,
        on: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Takes the people of these nodes out of what is published, for good: their events, and every version of a person that
    /// does not count; what is left names none of them, as far as what is published knows that they have gone. The files that
    /// had them are deleted, so a question at work may fail. Gives how many events went. Nothing else may write meanwhile.
    fn erase(&self, workspace: WorkspaceId, nodes: &BTreeSet<i64>) -> Result<u64, Error>;

    /// Merges small files and drops versions that no longer count, where it is worth it; deletes files that no table has
    /// named for long. What readers see stays the same.
    fn maintain(&self, workspace: WorkspaceId) -> Result<(), Error>;
}
