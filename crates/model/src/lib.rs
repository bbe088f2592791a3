//! The pure vocabulary and decisions of Onefold.
//!
//! Here stand the nouns of the platform (event, identifier, profile, trait, segment, consent) and every decision about
//! them: what an event says, whom it belongs to, who is one person, who is in a segment, what may be used. All of it
//! takes facts and gives decisions. Nothing here reads a clock, opens a file or knows a runtime, so that the same
//! code decides live, in a rebuild, in a test and in the simulation, and gives the same answer.

pub mod access;
pub mod clock;
pub mod command;
pub mod consent;
pub mod event;
pub mod id;
pub mod identity;
pub mod json;
pub mod object;
pub mod opendsr;
pub mod profile;
pub mod rng;
pub mod segment;
pub mod value;

pub use clock::{Clock, Timestamp};
pub use id::{EntityType, NodeId, ProfileId, WorkspaceId};
pub use rng::Rng;
pub use value::Value;
