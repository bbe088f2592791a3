//! SQLite's errors in the store's words.

use rusqlite::{ErrorCode, ffi};

use crate::Error;

/// Tells what failed while `operation` was done. SQLite's messages name tables and columns, never values.
pub(super) fn failed(operation: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| {
        let unavailable = |cause| Error::Unavailable { operation, cause };
        let unusable = |cause| Error::Unusable { operation, cause };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full { operation },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                unavailable("another process holds the state. Try again when it is done".into())
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                unusable(format!("the state is damaged ({error}). Restore it from a backup"))
            }
            Some(ErrorCode::NotADatabase) => {
                unusable("the file is no SQLite database. Restore it from a backup, or name another file".into())
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                unusable(format!("the state may not be written ({error}). Give this user the right to its folder"))
            }
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed,
            ) => unavailable(format!("{error}. Look at the disk and its folder")),
            _ => unusable(format!("SQLite refused a statement ({error}). Report this as a fault of the program")),
        }
    }
}

/// The error of a value that no declared column can hold.
pub(super) fn foreign_value() -> rusqlite::Error {
    let cause = Some("a value of a kind that is not declared".to_owned());
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), cause)
}
