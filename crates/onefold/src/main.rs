//! Onefold, a customer data platform in one binary.
//!
//! `settings` are values; [`wiring`] makes components of them, in one function; every command speaks to the API, of a
//! server that runs on the data folder or of one in this process ([`client`]).

mod bench;
mod cli;
mod client;
mod commands;
mod demo;
mod output;
mod serve;
mod settings;
mod tls;
mod wiring;

use clap::Parser;

/// The work is many short-lived strings and rows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("onefold: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// What a person at the shell sees: one sentence of cause, one of cure.
#[derive(Debug)]
pub struct Failure {
    cause: String,
    cure: String,
}

impl Failure {
    /// A failure.
    pub fn new(cause: impl Into<String>, cure: impl Into<String>) -> Failure {
        Failure { cause: cause.into(), cure: cure.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sentence = |text: &str| {
            let mut chars = text.trim().trim_end_matches('.').chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
        };
        write!(f, "{}.", self.cause.trim().trim_end_matches('.'))?;
        if self.cure.is_empty() { Ok(()) } else { write!(f, "\n  {}.", sentence(&self.cure)) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::new(error.to_string(), "check that the path is there and may be read and written")
    }
}
