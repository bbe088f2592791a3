//! Where what a target answers enters: a look-up sends a key out and brings facts back.

use futures_util::future::BoxFuture;
use onefold_model::WorkspaceId;

/// Takes events in.
///
/// # Contract
///
/// 1. When [`land`](Self::land) gives `Ok`, the event is durable: in the log, or, where it was refused for its content, among
///    the dead letters.
/// 2. The same message id of the same source again, within the window of deduplication, changes nothing.
pub trait Arrivals: Send + Sync {
    /// Whether the workspace has a source of this name that takes events now.
    fn is_open(&self, workspace: WorkspaceId, source: &str) -> bool;

    /// Takes one event, JSON in the form that the ingest API takes it, as if `source` had sent it.
    fn land<'a>(&'a self, workspace: WorkspaceId, source: &'a str, event: String)
    -> BoxFuture<'a, Result<(), Refused>>;
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such source, or it takes no events now.
    #[error("the source that takes the answers is not there, or is switched off")]
    NoSource,
    /// Not now; it may be tried again.
    #[error("the log takes no events now")]
    Busy,
    /// The event's content is wrong, and stands among the source's dead letters.
    #[error("what came of the answer was refused ({0}): see the source's dead letters")]
    Content(&'static str),
}
