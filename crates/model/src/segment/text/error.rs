//! Errors that point at the place.

use std::fmt;

/// Text that is no condition. Displayed, it shows the line with a caret under the place, and a cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where: bytes from the start.
    pub at: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: String,
    /// The line's text around the place.
    shown: String,
    /// Characters before the place in `shown`, and how many the caret underlines.
    caret: (usize, usize),
}

/// Characters of the line shown on each side of the place.
const AROUND: usize = 60;

impl ParseError {
    /// An error at `at`, underlining `len` bytes of `text`.
    pub(super) fn new(text: &str, at: usize, len: usize, message: String, expected: &str) -> Self {
        let (before, after) = text.split_at(at);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let column = before[line_start..].chars().count() + 1;
        let shown_start = before[line_start..].char_indices().rev().nth(AROUND).map_or(0, |(i, _)| i) + line_start;
        let rest = after.split('\n').next().unwrap_or_default();
        let rest_end = rest.char_indices().nth(AROUND).map_or(rest.len(), |(i, _)| i);
        let lead = &text[shown_start..at];
        let marked = after.get(..len.min(rest_end)).map_or(1, |marked| marked.chars().count().max(1));
        ParseError {
            at,
            line: before.matches('\n').count() + 1,
            column,
            message,
            expected: expected.to_owned(),
            shown: format!("{lead}{}", &rest[..rest_end]).replace(|c: char| c.is_control(), " ").trim_end().to_owned(),
            caret: (lead.chars().count(), marked),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseError { line, column, message, expected, shown, caret: (before, len), .. } = self;
        writeln!(f, "line {line}, column {column}: {message}")?;
        if !shown.is_empty() {
            writeln!(f, "  {shown}\n  {:before$}{:^<len$}", "", "")?;
        }
        write!(f, "  {expected}")
    }
}

impl std::error::Error for ParseError {}
