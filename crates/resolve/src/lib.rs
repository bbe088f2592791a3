//! Record linkage behind the pipeline.
//!
//! A record is a node of the identity graph with what was said of it: its traits, and its own value. Records do not change
//! when people are merged or parted, so what is found does not depend on what was found before. The [`Resolver`] follows
//! what is applied, compares what is new or changed over the keys of the active model, and gives what it finds as commands:
//! the pipeline makes evidence of them (`onefold_pipeline::links`). It holds nothing that is not made anew from the store.
//!
//! A model is made by [`models::train`]: learned from the records there are and from what stewards decided, with the
//! frequencies of values frozen, so that a record that comes tomorrow weighs what it would have weighed today.

mod kept;
pub mod models;
mod record;
mod resolver;

pub use models::{Models, Trained};
pub use resolver::{Doubt, Resolver, Suspect};

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline's state.
    #[error(transparent)]
    State(#[from] onefold_pipeline::Error),
    /// The model does not fit.
    #[error(transparent)]
    Model(#[from] onefold_link::ModelError),
    /// The records are none.
    #[error(transparent)]
    Records(#[from] onefold_link::ReadError),
    /// There is no model of this number.
    #[error("there is no model {0} of record linkage; `onefold linkage models` lists them")]
    NoModel(u32),
    /// The server is about to stop.
    #[error("the server is stopping; ask again when it is back")]
    Stopping,
}

impl From<onefold_state::Error> for Error {
    fn from(error: onefold_state::Error) -> Error {
        Error::State(error.into())
    }
}
