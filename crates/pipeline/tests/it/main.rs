//! The pipeline on a log and a store, driven step by step on a clock that stands where it is put.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activation;
mod bounds;
mod consent;
mod dedupe;
mod definitions;
mod erasure;
mod golden;
mod identity;
mod laws;
mod links;
mod objects;
mod preparations;
mod profile;
mod rebuild;
mod segments;
