//! The linkage from outside: what it finds, what holds for any records, and what it makes of bad ones.

mod bad_input;
mod febrl;
mod laws;
mod people;
