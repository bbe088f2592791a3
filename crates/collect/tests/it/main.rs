//! The crate from outside: files in, rows, events and guesses out. One binary, since each one more is linked anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod formats;
mod guess;
mod mapping;
