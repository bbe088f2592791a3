//! Delta tables and SQL over them.

mod contract;
mod faults;
mod s3;
mod sql;
mod support;
