//! Exact counts of any audience while one waits.
//!
//! A live segment knows its members at any instant, and costs work at every event. While a marketer tries thresholds,
//! every condition is a new one: the [`Index`] keeps what conditions read in columns, in memory, and answers a new one
//! over a million people in milliseconds. What it keeps is discovered as it is asked ([`Wants`]).
//!
//! It is exact: the same answer as the live segments and as a loop over the raw events, at the same instant.

mod column;
mod dictionary;
mod evaluate;
mod fill;
mod index;
mod keeper;
mod people;
mod set;
mod tables;
mod wants;

pub use column::Property;
pub use index::{Index, Missing};
pub use keeper::{AskError, Asked, Keeper};
pub use people::{Person, Use};
pub use set::Set;
pub use tables::Tables;
pub use wants::Wants;
