//! The binary, as people and programs use it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod audit;
mod backup;
mod cli;
#[cfg(feature = "cluster")]
mod cluster;
mod consent;
mod console;
mod egress;
mod faults;
mod governance;
mod licences;
mod link;
mod linkage;
mod people;
mod preferences;
mod privacy;
mod requests;
mod sdk;
mod signals;
mod sql;
mod steward;
mod support;
mod tls;
mod uploads;
