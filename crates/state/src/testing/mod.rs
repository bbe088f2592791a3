//! What tests need of the world outside: a PostgreSQL server of their own.

mod server;

pub use server::Postgres;
