//! PostgreSQL's errors in the store's words.

use ::postgres::error::SqlState;

use crate::Error;

/// Tells what failed while `operation` was done. Only the server's main message is told: its details quote values.
pub(super) fn failed(operation: &'static str) -> impl Fn(::postgres::Error) -> Error {
    move |error| {
        let Some(told) = error.as_db_error() else {
            // No answer of the server: it, or the way to it, is lost. The address may be in the words, a value is not.
            let cause = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            return Error::Unavailable { operation, cause };
        };
        let (code, message) = (told.code(), told.message());
        let class = code.code().get(..2).unwrap_or_default();
        match class {
            _ if *code == SqlState::DISK_FULL => Error::Full { operation },
            // Connection, transaction rolled back, resources, lock not available, operator's intervention, system.
            "08" | "25" | "40" | "53" | "55" | "57" | "58" => {
                Error::Unavailable { operation, cause: format!("{message} ({})", code.code()) }
            }
            "28" | "3D" | "42" if matches!(class, "28" | "3D") || *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                let cause =
                    format!("{message} ({}). Look at the address of PostgreSQL and the user's rights", code.code());
                Error::Unusable { operation, cause }
            }
            "XX" => Error::Unusable {
                operation,
                cause: format!("the database is damaged: {message} ({}). Restore it from a backup", code.code()),
            },
            _ => Error::Unusable {
                operation,
                cause: format!(
                    "PostgreSQL refused a statement: {message} ({}). Report this as a fault of the program",
                    code.code()
                ),
            },
        }
    }
}
