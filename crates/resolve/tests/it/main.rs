//! Record linkage behind a pipeline that is driven step by step.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod laws;
mod stewards;
mod world;
