//! Words, numbers, dates, quoted text and signs.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ParseError;

/// One token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    /// A keyword or a bare name.
    Word(&'a str),
    /// Quoted text, decoded.
    Text(Cow<'a, str>),
    Number(&'a str),
    /// A date or date-time.
    Date(&'a str),
    /// A sign: `(`, `>=`.
    Sign(&'a str),
    End,
}

/// Where the lexer stands.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// Whether a name may stand without quotes.
pub(super) fn is_bare(name: &str) -> bool {
    name.starts_with(is_word_start) && name.chars().all(is_word)
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '-')
}

impl<'a> Lexer<'a> {
    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>, ParseError> {
        self.skip();
        let text = self.text;
        let start = self.at;
        let rest = &text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok(Token { kind: Kind::End, start, end: start });
        };
        let length = |accept: fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
        let (kind, len) = match first {
            '"' => self.quoted(start)?,
            c if is_word_start(c) => {
                let len = length(is_word);
                (Kind::Word(&rest[..len]), len)
            }
            '0'..='9' | '-' | '.' => {
                let len = length(|c| c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '+'));
                self.number_or_date(start, &rest[..len])?
            }
            '(' | ')' | ',' | '[' | '{' => (Kind::Sign(&rest[..1]), 1),
            '=' | '<' | '>' | '!' => {
                let len = length(|c| matches!(c, '=' | '<' | '>' | '!'));
                (Kind::Sign(&rest[..len]), len)
            }
            '“' | '”' | '„' | '\'' | '‘' | '’' => {
                return Err(self.error(
                    start,
                    first.len_utf8(),
                    "this is not the quote that text needs",
                    "use straight double quotes: \"…\"",
                ));
            }
            _ => {
                return Err(self.error(
                    start,
                    first.len_utf8(),
                    "this sign means nothing here",
                    "put names that have it in double quotes: \"…\"",
                ));
            }
        };
        self.at = start + len;
        Ok(Token { kind, start, end: self.at })
    }

    /// The JSON array or object that starts at `start`, as it is written.
    pub(super) fn json(&mut self, start: usize) -> Result<&'a RawValue, ParseError> {
        let mut values = serde_json::Deserializer::from_str(&self.text[start..]).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(raw)) => {
                self.at = start + values.byte_offset();
                Ok(raw)
            }
            _ => Err(self.error(
                start,
                1,
                "this is no JSON value",
                "write a JSON array or object that ends, as in: [\"a\", \"b\"]",
            )),
        }
    }

    /// Blanks and comments.
    fn skip(&mut self) {
        let rest = &self.text[self.at..];
        let mut chars = rest.char_indices();
        self.at += loop {
            match chars.next() {
                Some((_, c)) if c.is_whitespace() => {}
                Some((_, '#')) => {
                    chars.by_ref().find(|(_, c)| *c == '\n');
                }
                Some((i, _)) => break i,
                None => break rest.len(),
            }
        };
    }

    fn quoted(&self, start: usize) -> Result<(Kind<'a>, usize), ParseError> {
        let rest = &self.text[start..];
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                '"' if !escaped => {
                    let json = &rest[..=i];
                    let plain = &rest[1..i];
                    if !plain.contains(|c: char| c == '\\' || c.is_control()) {
                        return Ok((Kind::Text(Cow::Borrowed(plain)), i + 1));
                    }
                    return match serde_json::from_str(json) {
                        Ok(text) => Ok((Kind::Text(Cow::Owned(text)), i + 1)),
                        Err(_) => Err(self.error(
                            start,
                            i + 1,
                            "this text is not written as JSON has it",
                            "write \\\" for a quote, \\\\ for a backslash, \\n for a new line",
                        )),
                    };
                }
                c => escaped = c == '\\' && !escaped,
            }
        }
        Err(self.error(start, 1, "this text does not end", "close it with a double quote: \"…\""))
    }

    fn number_or_date(&self, start: usize, token: &'a str) -> Result<(Kind<'a>, usize), ParseError> {
        let b = token.as_bytes();
        if b.len() >= 10 && b[..4].iter().all(u8::is_ascii_digit) && b[4] == b'-' {
            return match crate::Timestamp::parse(token) {
                Some(_) => Ok((Kind::Date(token), token.len())),
                None => Err(self.error(
                    start,
                    token.len(),
                    "this is no date",
                    "write it as 2026-01-31 or 2026-01-31T09:30:00Z",
                )),
            };
        }
        if crate::value::decimal(token).is_some() || serde_json::from_str::<&RawValue>(token).is_ok() {
            return Ok((Kind::Number(token), token.len()));
        }
        Err(self.error(
            start,
            token.len(),
            "this is no number",
            "write digits, with a point for decimals, and a blank before what follows: 30 days",
        ))
    }

    pub(super) fn error(&self, start: usize, len: usize, message: &str, expected: &str) -> ParseError {
        ParseError::new(self.text, start, len, message.to_owned(), expected)
    }
}
