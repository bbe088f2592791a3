//! Probabilistic record linkage without labels: which records are the same person, and why.
//!
//! A [`Table`] of records is read, a [`Model`] guessed from its columns or read from a file, what agreement weighs is
//! learned from the records themselves, all pairs worth comparing are scored, and the records clustered:
//!
//! ```
//! use onefold_link::{Linker, Model, Table};
//!
//! let csv = "id,first_name,last_name,birth_date,email\n\
//!            1,Ann,Lee,1980-02-01,ann.lee@example.org\n\
//!            2,Anne,Lee,01.02.1980,ANN.LEE@example.org\n\
//!            3,Bob,Lee,1981-07-30,\n";
//! let table = Table::read_csv(csv.as_bytes())?;
//! let mut model = Model::guess(&table)?;
//! let linker = Linker::new(&table, &model, &|_step| {})?;
//! let weights = linker.train(1, &|_step| {});
//! let linked = linker.link(&weights, &|_step| {});
//! assert_eq!(linked.clusters, [0, 0, 2]);
//! println!("{}", linker.explain(&weights, 0, 1));
//!
//! // With its weights in it, the file gives the same answer tomorrow.
//! drop(linker);
//! model.weights = Some(weights);
//! assert_eq!(Model::from_toml(&model.to_toml())?, model);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An [`Index`] takes one record more and says whose cluster it is; it gives what a run over all records would give.
//! Nothing here depends on the clock, on chance that is not handed in as a seed, or on the order of records.
//!
//! The way of a record: `table` reads it, `prepare` and `records` make its values alike and number them, `blocking` finds
//! whom it is compared with, `compare` and `weights` score it (`distance` tells strings apart), `train` learned how,
//! `components`, `cluster` and `judge` make people of pairs. `explain`, `doubts`, `report` and `output` tell of it.

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
mod rules;
mod table;
mod train;
mod weights;

pub use blocking::RuleCounts;
pub use dictionary::Dictionary;
pub use doubts::Doubts;
pub use explain::{Step as WaterfallStep, Waterfall};
pub use index::{Index, Inserted, Link};
pub use judge::Pair;
pub use linker::{HISTOGRAM_FROM, HISTOGRAM_TO, Linked, Linker, Progress, Step};
pub use model::{Comparison, DateOrder, Kind, Model, ModelError, Part, Rule, Shared, Thresholds};
pub use records::Frozen;
pub use report::report;
pub use table::{Column, Note, ReadError, Table};
pub use weights::{Class, Probabilities, Weights};
