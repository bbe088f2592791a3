//! The text form of conditions: for people to write and read.
//!
//! ```text
//! count("Order Completed") >= 3 within 30 days and trait country = "DE"
//! ```
//!
//! [`parse`] and [`print`] are inverse up to [`Condition::normal`]. `docs/segments.md` is the guide to the language.

mod error;
mod lexer;
mod parser;
mod printer;

pub use error::ParseError;
pub use printer::print;
pub(crate) use printer::{print_value, print_window};

use super::ast::Condition;
use crate::profile::computed::ComputedTrait;

/// The longest text that is read, in bytes.
pub const LENGTH_MAX: usize = 64 * 1024;
/// How deep parentheses and `not` may nest.
pub const DEPTH_MAX: usize = 64;

/// Reads a condition.
pub fn parse(text: &str) -> Result<Condition, ParseError> {
    parser::condition(text)
}

/// Reads a computed trait: `total_spent = sum("Order Completed", revenue) within 90 days`.
pub fn parse_computed(text: &str) -> Result<ComputedTrait, ParseError> {
    parser::computed(text)
}

/// A computed trait as [`parse_computed`] reads it.
pub fn print_computed(computed: &ComputedTrait) -> String {
    printer::print_computed(computed)
}

impl Condition {
    /// The same condition without `all` and `any` of just one: the tree that [`parse`] gives for its text.
    pub fn normal(self) -> Condition {
        let list = |list: Vec<Condition>| -> Vec<Condition> { list.into_iter().map(Condition::normal).collect() };
        match self {
            Condition::All(of) | Condition::Any(of) if of.len() == 1 => {
                of.into_iter().next().map_or(Condition::All(Vec::new()), Condition::normal)
            }
            Condition::All(of) => Condition::All(list(of)),
            Condition::Any(of) => Condition::Any(list(of)),
            Condition::Not(of) => Condition::Not(Box::new(of.normal())),
            leaf => leaf,
        }
    }
}

#[cfg(test)]
mod tests;
