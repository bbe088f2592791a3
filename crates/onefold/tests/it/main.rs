//! The binary, as people and programs use it.

mod api;
mod cli;
mod faults;
mod licences;
mod sdk;
mod support;
