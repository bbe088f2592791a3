//! What is known of a person: what is folded at each identity node, and the profile that is their join.
//!
//! Nothing is ever copied from one node to another. An event belongs to one node and is folded there, once; a profile is
//! read as the join over its nodes. So merging and unmerging move no data, and counters count once.

pub mod computed;
pub mod partial;
pub mod series;
pub mod survivorship;
pub mod traits;

pub use partial::Partial;
pub use series::{Aggregate, Series};
pub use survivorship::{Survivor, Survivorship};
pub use traits::{Observed, Traits};
