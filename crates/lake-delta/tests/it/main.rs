//! Delta tables and SQL over them.

mod contract;
mod support;
