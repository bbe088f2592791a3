//! Probabilistic record linkage without labels: which records are the same person, and why.

mod blocking;
mod cluster;
mod compare;
mod components;
mod dictionary;
mod distance;
mod doubts;
mod explain;
mod guess;
mod index;
mod judge;
mod linker;
mod model;
mod output;
mod prepare;
mod records;
mod report;
mod table;
mod train;
mod weights;

pub use blocking::RuleCounts;
pub use doubts::Doubts;
pub use explain::{Step as WaterfallStep, Waterfall};
pub use index::{Index, Inserted};
pub use judge::Pair;
pub use linker::{HISTOGRAM_FROM, HISTOGRAM_TO, Linked, Linker, Progress, Step};
pub use model::{Comparison, DateOrder, Kind, Model, ModelError, Part, Rule, Shared, Thresholds};
pub use report::report;
pub use table::{Column, Note, ReadError, Table};
pub use weights::{Class, Probabilities, Weights};
