//! The connectors, a folder each. A new one is a folder, a line here and a rig in the conformance suite's tests.

pub mod file;
mod http;
pub mod lookup;
pub mod postgres;
pub mod webhook;

use crate::destination::Connector;

/// Every connector.
pub fn all() -> Vec<Box<dyn Connector>> {
    vec![Box::new(webhook::Webhook), Box::new(file::File), Box::new(postgres::Postgres), Box::new(lookup::Lookup)]
}
