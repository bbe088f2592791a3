//! What answers questions about the tables.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures_util::{future::BoxFuture, stream::BoxStream};
use onefold_model::access::Access;

use crate::AsOf;

/// What one query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// From the question to the last row.
    pub time: Duration,
    /// Of memory, in bytes.
    pub memory_bytes: usize,
    /// Of the answer.
    pub rows_max: usize,
}

/// Why a query was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is no SQL, or names what there is not.
    #[error("{message}")]
    Wrong {
        /// What is wrong with it.
        message: String,
        /// Line and column of it, from 1, where it is known.
        place: Option<(u64, u64)>,
        /// What may have been meant, or where to look.
        cure: String,
    },
    /// It may only read.
    #[error("this statement would change something, and queries may only read")]
    Writes,
    /// It took longer than allowed.
    #[error("the query was ended after {} ms", .0.as_millis())]
    Time(Duration),
    /// It took more memory than allowed.
    #[error("the query needs more than {0} bytes of memory")]
    Memory(usize),
    /// Its answer has more rows than allowed.
    #[error("the answer has more than {0} rows")]
    Rows(usize),
    /// Others took all the time that it had.
    #[error("too many queries are under way")]
    Busy,
    /// There are no tables yet.
    #[error("there are no tables yet")]
    Empty,
    /// Something of the engine or the object store, and not of the query.
    #[error("the tables cannot be read: {0}")]
    Engine(String),
}

impl QueryError {
    /// What to do about it, in one sentence.
    pub fn cure(&self) -> String {
        match self {
            QueryError::Wrong { cure, .. } => cure.clone(),
            QueryError::Writes => "ask with SELECT; what is in the tables follows from the log".to_owned(),
            QueryError::Time(_) => {
                "ask for fewer days or fewer columns, or raise [lake] query_seconds_max in the settings".to_owned()
            }
            QueryError::Memory(_) => {
                "group by fewer values or ask for fewer days, or raise [lake] query_bytes_max in the settings"
                    .to_owned()
            }
            QueryError::Rows(_) => {
                "add a LIMIT, count instead, or raise [lake] query_rows_max in the settings".to_owned()
            }
            QueryError::Busy => "ask again when some of them have ended".to_owned(),
            QueryError::Empty => "the first are written seconds after the first events; ask again".to_owned(),
            QueryError::Engine(_) => "look whether the object store named in [lake] url, and the scheduler in [engine], can be reached, then ask again".to_owned(),
        }
    }
}

/// An answer as it comes.
pub struct Answer {
    /// Its columns.
    pub schema: SchemaRef,
    /// What the tables were complete up to.
    pub as_of: AsOf,
    /// Its rows.
    pub rows: BoxStream<'static, Result<RecordBatch, QueryError>>,
}

/// Answers SQL about the published tables of one workspace.
pub trait QueryEngine: Send + Sync {
    /// Asks. The tables are those of `access`'s workspace, and stay as they are to the end of the answer.
    fn query(&self, access: Access, sql: String, budget: Budget) -> BoxFuture<'_, Result<Answer, QueryError>>;
}

/// Says what somebody may see who connects from outside.
pub trait Gate: Send + Sync {
    /// What the password opens of the workspace; else why not. May take its time.
    fn open(&self, user: &str, workspace: &str, password: &str) -> Result<Access, String>;

    /// Takes note that this is asked; else why it is not to be answered.
    fn note(&self, access: &Access, sql: &str) -> Result<(), String>;

    /// What whoever was let in may see now, for the purpose that the access names; else why not any more.
    fn renew(&self, access: &Access) -> Result<Access, String>;
}
