//! Identity: who is one person.
//!
//! A **node** is an identifier, `(kind, normalised value)`. A **statement** says that nodes named together are one person
//! ([`Statement::Together`]) or that two are not ([`Statement::Apart`]). A **cluster** is what the statements of a
//! region, taken in log order under the workspace's [`Rules`], join: a pure function ([`cluster::recluster`]), so that
//! taking a statement away and running it again gives exactly what the rest gives. The pipeline runs the same function
//! one statement at a time ([`cluster::decide`]).

pub mod cluster;
pub mod extract;
pub mod links;
pub mod normalise;
pub mod rules;

pub use cluster::{Origin, Statement};
pub use extract::{Extracted, Identifier, extract};
pub use links::{Decision, StatementRef};
pub use rules::{KindRule, Limit, Rules};
