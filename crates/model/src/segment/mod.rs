//! Segments: who is in, at which instant, and why.
//!
//! A definition is a tree of conditions ([`ast`]) with an equal [`text`] form. It is checked ([`check`]) and compiled
//! to a [`Program`] that reads only what the pipeline keeps: traits, consent, and per metric one series of points per
//! node. A program answers for an instant and says until when its answer stays, so that members leave on time without
//! a new event. [`reference`](mod@reference) gives the same answers from raw events, slowly, for tests.

pub mod ast;
pub mod check;
pub mod definition;
pub mod evaluate;
pub mod explain;
pub(crate) mod join;
pub mod matcher;
pub(crate) mod measure;
pub mod metric;
mod plain;
pub mod program;
#[doc(hidden)]
pub mod reference;
mod sequence;
mod test;
pub mod text;
mod window;

use plain::list as plain_list;

pub use ast::{Condition, EventMatch, Events, Measure, Path, PropertyTest, Sequence, Test, Window};
pub use check::{CompileError, Lookup, Problem};
pub use definition::Definition;
pub use evaluate::{Answer, Facts, Gathered};
pub use explain::Explanation;
pub use matcher::{EventFields, Matcher};
pub use metric::{Horizon, Keeps, Metric, MetricId};
pub use program::{Inputs, Program};
pub use text::ParseError;
