//! What the libraries below say, in our words.

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use onefold_lake::{Error, Table};
use onefold_model::WorkspaceId;

/// What went wrong below.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The Delta log.
    #[error(transparent)]
    Delta(#[from] DeltaTableError),
    /// The object store.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// A file.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] DataFusionError),
    /// Rows.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    /// A local file that was written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Makes an error of what went wrong while `doing` something with a table.
pub fn failed<E: Into<Cause>>(doing: &'static str, workspace: WorkspaceId, table: Table) -> impl Fn(E) -> Error {
    move |error| {
        let cause = error.into();
        let retryable = matches!(
            cause,
            Cause::Store(_)
                | Cause::Io(_)
                | Cause::Delta(DeltaTableError::ObjectStore { .. } | DeltaTableError::Transaction { .. })
        );
        Error::Store { doing, table, workspace, cause: cause.to_string(), retryable }
    }
}
