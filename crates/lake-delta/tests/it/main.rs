//! Delta tables and SQL over them.

mod contract;
mod faults;
mod sql;
mod support;
