//! The stores against the contract, against each other, and each against its own dangers.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing")]

mod contract;
mod equal;
mod postgres;
mod sqlite;
