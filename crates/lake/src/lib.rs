//! The tables that everything can be asked of.
//!
//! Accepted events, people, their identifiers, memberships of segments and the consent ledger stand in tables on an
//! object store, in a format that other engines read as well. This crate says what the tables are ([`Table`]), makes
//! their rows of what the pipeline keeps ([`Writer`]), and names what is asked of who stores them ([`Lake`]) and of who
//! answers ([`QueryEngine`]). It compiles in seconds; the store and the engine do not, and have a crate of their own.
//!
//! * An event is keyed by its node and never rewritten when people are merged: whose it is, the table of identifiers says.
//! * Of what changes, each change adds a version with the log offset as of which it was made. The last of them counts.
//! * Every table says up to which log offset it is complete, in the same commit as its rows, so that a crash or a second
//!   writer neither doubles nor loses one.

pub mod conformance;
mod events;
pub mod functions;
mod memory;
mod people;
mod promote;
mod query;
pub mod segments;
mod store;
mod table;
mod writer;

pub use memory::MemoryLake;
pub use promote::{Promoted, amounts, columns};
pub use query::{Answer, Budget, Gate, QueryEngine, QueryError};
pub use store::{AsOf, Error, Lake, Rows, Write};
pub use table::{Table, Versions};
pub use writer::{Settings, Step, Writer};
