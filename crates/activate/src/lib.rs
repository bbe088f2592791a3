//! Activation: takes what the pipeline decided from the outbox and hands it to the destinations.
//!
//! The pipeline writes an outbox row in the transaction that decided it. Here one task per active destination claims
//! such rows, deciding consent again in the claiming transaction, hands them over, and writes receipts. Everything
//! that is alike for all destinations stands in the loop around them ([`delivery`]): order per profile, retries,
//! rate, circuit breaker, dead letters. A connector ([`destination::Connector`]) only knows how its target takes a
//! batch.
//!
//! Delivery is at least once: a crash between the hand-off and the receipt hands the same row over again, with the
//! same idempotency key.

pub mod arrivals;
pub mod backoff;
pub mod breaker;
pub mod config;
#[cfg(test)]
mod conformance;
pub mod connectors;
pub mod delivery;
pub mod destination;
pub mod egress;
pub mod rate;
pub mod replay;
mod rows;
#[cfg(test)]
mod testing;

pub use arrivals::Arrivals;
pub use config::{Common, ConfigError};
pub use delivery::{Deliverer, Handle, Permission, Permit, Settings, Status};
pub use destination::{Connector, Context, Delivery, Destination, Fault, Kind, Limits, Outcome, Registry};
pub use egress::Egress;
