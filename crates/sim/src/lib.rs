//! A small world around the pipeline, in one thread and on a clock that stands where it is put, so that what happens is a
//! function of a seed.
//!
//! * [`world`]: a log, a store and a worker, driven step by step; what is sent and what is seen, as short text.
//! * [`oracle`]: what state must be, computed from the raw records of the log by plain loops.
//! * [`dump`]: derived tables in a form in which two stores can be compared.
//! * [`faulty`]: a log and a store that fail and die where they are told to.
//! * [`plan`] and [`run`]: a seed's story: sources, commands, clocks, crashes; and what must hold during it.
//!
//! The pipeline's own tests use the first three; `cargo run -p onefold-sim -- --seeds 200` runs the last.

pub mod call;
pub mod dump;
pub mod faulty;
mod followers;
pub mod oracle;
pub mod plan;
pub mod run;
pub mod world;

pub use call::{Call, alias, group, identify, object, page, track};
pub use world::World;
