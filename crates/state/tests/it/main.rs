//! The stores against the contract, against each other, and each against its own dangers.

mod contract;
mod equal;
mod postgres;
mod sqlite;
