//! Delta tables and SQL over them.

mod contract;
mod evaluators;
mod faults;
/// The segment language's own generator of people and conditions.
#[allow(dead_code)]
#[path = "../../../model/tests/segments/world.rs"]
mod raw;
mod s3;
mod sql;
mod support;
