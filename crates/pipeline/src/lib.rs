//! The pipeline: from the log to the state.
//!
//! One thread per partition ([`worker`]) takes records from the log, a micro-batch at a time, loads what they touch,
//! decides in memory ([`partition`] and its parts) and writes what changed in one transaction, the applied offset
//! included. What it gives is a function of the log alone: engine time is the time of the last record, timers that are
//! due before it fire first, and whatever the pipeline itself decides that later depends on (a definition going live,
//! a page of work over all profiles) it appends to the log as a command. So [`rebuild`] gives the same state.

pub mod admission;
mod ahead;
mod cache;
pub mod changes;
pub mod dedupe;
pub mod definitions;
mod effects;
pub mod erase;
mod evaluate;
pub mod evidence;
pub mod feed;
mod fold;
pub mod golden;
pub mod groups;
pub mod held;
mod identity;
mod jobs;
pub mod ledger;
pub mod links;
mod objects;
mod outbox;
pub mod partition;
pub mod preparations;
mod prepare;
pub mod preview;
mod profile;
pub mod rebuild;
mod registry;
pub mod seen;
pub mod suppression;
mod timers;
pub mod verdict;
pub mod views;
pub mod worker;

pub use partition::Settings;
pub use worker::{Applied, Pipeline};

/// Why the pipeline stopped or could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state store.
    #[error(transparent)]
    State(#[from] onefold_state::Error),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] onefold_log::ReadError),
    /// The log would not take the pipeline's own command or tick.
    #[error("the log does not take the pipeline's own record: {0}")]
    Append(String),
    /// A stored row or record cannot be read.
    #[error("{what} cannot be read: {cause}; `onefold rebuild` makes derived state anew from the log")]
    Unreadable {
        /// Which.
        what: &'static str,
        /// Why.
        cause: String,
    },
}

impl Error {
    /// Something that is stored and cannot be read.
    pub fn unreadable(what: &'static str, cause: impl ToString) -> Error {
        Error::Unreadable { what, cause: cause.to_string() }
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::State(error) => error.is_retryable(),
            Error::Append(_) => true,
            Error::Log(onefold_log::ReadError::Store { .. }) => true,
            Error::Log(_) | Error::Unreadable { .. } => false,
        }
    }
}
