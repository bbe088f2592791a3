//! The ingest contract over the router: every route, each place of a write key, each answer.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it where they cannot go on")]

#[path = "ingest/support.rs"]
mod support;

#[path = "ingest/answers.rs"]
mod answers;
#[path = "ingest/documents.rs"]
mod documents;
#[path = "ingest/faults.rs"]
mod faults;
#[path = "ingest/landing.rs"]
mod landing;
#[path = "ingest/webhooks.rs"]
mod webhooks;
