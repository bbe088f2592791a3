//! From text to tree: recursive descent, one token ahead.

use std::borrow::Cow;

use super::{
    DEPTH_MAX, LENGTH_MAX, ParseError,
    lexer::{Kind, Lexer, Token},
};
use crate::{
    Timestamp, Value,
    profile::computed::{ComputedMeasure, ComputedTrait},
    segment::ast::{Condition, EventMatch, Events, Measure, Path, PropertyTest, Sequence, Test, Window},
    value::decimal,
};

/// Reads a whole text as a condition.
pub(super) fn condition(text: &str) -> Result<Condition, ParseError> {
    let mut parser = Parser::new(text)?;
    let condition = parser.any_of()?;
    parser.end("`and`, `or`, or the end")?;
    Ok(condition)
}

/// Reads a whole text as a computed trait.
pub(super) fn computed(text: &str) -> Result<ComputedTrait, ParseError> {
    let mut parser = Parser::new(text)?;
    let name = parser.name("the computed trait's name, as in: total_spent = sum(\"Order Completed\", revenue)")?;
    if !parser.take_sign("=")? {
        return Err(parser.unexpected("`=` and a measure, as in: total_spent = sum(\"Order Completed\", revenue)"));
    }
    let (measure, event) = parser.computed_measure()?;
    let window = parser.window()?.unwrap_or_default();
    parser.end("the end")?;
    Ok(ComputedTrait { name, measure, event, window })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    depth: usize,
}

type Parsed<T> = Result<T, ParseError>;

const CONDITION: &str =
    "a condition, as in: count(\"Order Completed\") >= 3 within 30 days, or: trait country = \"DE\"";
const TEST: &str = "a test: = != < <= > >= in (…) between … and … contains, starts with, ends with, exists, does not exist, is a date …";
const DURATION: &str = "a time, as in: 30 days (or minutes, hours, weeks)";
const WINDOW: &str = "a window: within 30 days, more than 60 days ago, in the last 30 calendar days, today, between 2026-01-01 and 2026-02-01";
const CALENDAR: &str = "`within 30 days`, or `in the last 30 calendar days`";

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        if text.len() > LENGTH_MAX {
            let message = format!("the text has {} bytes; {LENGTH_MAX} are allowed", text.len());
            return Err(ParseError::new(
                text,
                0,
                0,
                message,
                "put lists into a trait, or parts into segments of their own",
            ));
        }
        let mut lexer = Lexer { text, at: 0 };
        let token = lexer.next()?;
        Ok(Parser { lexer, token, depth: 0 })
    }

    fn any_of(&mut self) -> Parsed<Condition> {
        self.list("or", Self::all_of, Condition::Any)
    }

    fn all_of(&mut self) -> Parsed<Condition> {
        self.list("and", Self::one, Condition::All)
    }

    fn list(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Parsed<Condition>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Parsed<Condition> {
        let first = part(self)?;
        if !self.is_word(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word(word)? {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    /// One condition, with the bound on depth.
    fn one(&mut self) -> Parsed<Condition> {
        if self.depth == DEPTH_MAX {
            let Token { start, end, .. } = self.token;
            let cure = "put parts into segments of their own";
            return Err(self.lexer.error(start, end - start, "this is nested too deep", cure));
        }
        self.depth += 1;
        let condition = self.primary();
        self.depth -= 1;
        condition
    }

    fn primary(&mut self) -> Parsed<Condition> {
        if self.take_sign("(")? {
            let inner = self.any_of()?;
            self.close()?;
            return Ok(inner);
        }
        let word = match &self.token.kind {
            Kind::Text(_) => return self.sequence(),
            Kind::Word(word) => word.to_ascii_lowercase(),
            _ => return Err(self.unexpected(CONDITION)),
        };
        if let "any" | "event" = word.as_str() {
            return self.sequence();
        }
        let start = self.token.clone();
        self.advance()?;
        Ok(match word.as_str() {
            "not" => Condition::Not(Box::new(self.one()?)),
            "everyone" => Condition::All(Vec::new()),
            "nobody" => Condition::Any(Vec::new()),
            "trait" => Condition::Trait {
                name: self.name("the trait's name, as in: trait country = \"DE\"")?,
                is: self.test()?,
            },
            "computed" => Condition::Computed {
                name: self.name("the computed trait's name, as in: computed total_spent > 100")?,
                is: self.test()?,
            },
            "in" => {
                self.words(&["segment"], "`segment` and its name, as in: in segment \"vip\"")?;
                Condition::Segment(self.name("the segment's name, as in: in segment \"vip\"")?)
            }
            "may" => {
                self.words(
                    &["be", "reached", "for"],
                    "`be reached for` and a purpose, as in: may be reached for marketing by email",
                )?;
                let purpose = self.name("the purpose, as in: may be reached for marketing")?;
                let by = self.take_word("by")?;
                let channel = by.then(|| self.name("the channel, as in: by email")).transpose()?;
                Condition::Consent { purpose, channel }
            }
            "first" => self.edge(Measure::First)?,
            "last" => self.edge(Measure::Last)?,
            "count" => {
                let event = self.counted()?;
                self.measured(Measure::Count, event)?
            }
            "sum" => self.measured_property(Measure::Sum)?,
            "average" | "avg" => self.measured_property(Measure::Average)?,
            "min" | "minimum" => self.measured_property(Measure::Min)?,
            "max" | "maximum" => self.measured_property(Measure::Max)?,
            "distinct" => self.measured_property(Measure::Distinct)?,
            _ => {
                self.token = start;
                return Err(self.unexpected(CONDITION));
            }
        })
    }

    fn measured_property(&mut self, measure: fn(Path) -> Measure) -> Parsed<Condition> {
        let (event, path) = self.counted_property()?;
        self.measured(measure(path), event)
    }

    fn measured(&mut self, measure: Measure, event: EventMatch) -> Parsed<Condition> {
        let is = self.test()?;
        let window = self.window()?.unwrap_or_default();
        Ok(Condition::Events(Events { measure, event, window, is }))
    }

    /// `first(event) [not] window` or `first(event) never`.
    fn edge(&mut self, measure: Measure) -> Parsed<Condition> {
        let event = self.counted()?;
        let (wanted, window) = if self.take_word("never")? {
            (false, Window::Ever)
        } else {
            let not = self.take_word("not")?;
            let window = self.window()?;
            if not && window.is_none() {
                return Err(self.unexpected(WINDOW));
            }
            (!not, window.unwrap_or_default())
        };
        Ok(Condition::Events(Events { measure, event, window, is: Test::Exists(wanted) }))
    }

    fn sequence(&mut self) -> Parsed<Condition> {
        let first = self.event_of_sequence()?;
        let window = self.window()?.unwrap_or_default();
        if !self.take_word("then")? {
            return Err(self.unexpected(
                "`then` and another event, as in: \"A\" within 7 days then \"B\" within 24 hours; or count(\"A\") >= 1",
            ));
        }
        let follows = !self.take_word("no")?;
        let then = self.event_of_sequence()?;
        let within_ms = if self.take_word("within")? { Some(self.duration()?) } else { None };
        Ok(Condition::Sequence(Sequence { first, window, then, follows, within_ms }))
    }

    /// `"A"`, `any event`, or `event("A" where …)`.
    fn event_of_sequence(&mut self) -> Parsed<EventMatch> {
        if self.take_word("event")? {
            return self.counted();
        }
        if self.take_word("any")? {
            self.words(&["event"], "`event`, as in: any event")?;
            return Ok(EventMatch::default());
        }
        let Kind::Text(name) = &self.token.kind else {
            return Err(self.unexpected("an event: \"Its Name\", any event, or event(\"Its Name\" where …)"));
        };
        let event = Some(name.clone().into_owned());
        self.advance()?;
        if self.is_word("where") {
            return Err(self.unexpected(
                "parentheses around an event with `where`, as in: event(\"A\" where category = \"x\") then \"B\"",
            ));
        }
        Ok(EventMatch { event, filter: Vec::new() })
    }

    /// `(event where …)`.
    fn counted(&mut self) -> Parsed<EventMatch> {
        let event = self.open_event()?;
        self.close()?;
        Ok(event)
    }

    /// `(event where …, property)`.
    fn counted_property(&mut self) -> Parsed<(EventMatch, Path)> {
        let event = self.open_event()?;
        if !self.take_sign(",")? {
            return Err(self.unexpected("a comma and a property, as in: sum(\"Order Completed\", revenue)"));
        }
        let path = Path(self.name("a property, as in: sum(\"Order Completed\", revenue)")?);
        self.close()?;
        Ok((event, path))
    }

    fn open_event(&mut self) -> Parsed<EventMatch> {
        if !self.take_sign("(")? {
            return Err(self.unexpected("an event in parentheses, as in: count(\"Order Completed\")"));
        }
        let event = if self.is_word("any") {
            self.advance()?;
            self.words(&["event"], "`event`, as in: count(any event)")?;
            None
        } else {
            Some(self.name("an event, as in: count(\"Order Completed\"), or: count(any event)")?)
        };
        let mut filter = Vec::new();
        if self.take_word("where")? {
            loop {
                let property = Path(self.name("a property, as in: where category = \"shoes\"")?);
                filter.push(PropertyTest { property, is: self.test()? });
                if !self.take_word("and")? {
                    break;
                }
            }
        }
        Ok(EventMatch { event, filter })
    }

    fn computed_measure(&mut self) -> Parsed<(ComputedMeasure, EventMatch)> {
        const MEASURE: &str = "a measure: count, sum, average, min, max, first, last, most frequent, distinct or list";
        let Kind::Word(word) = self.token.kind else { return Err(self.unexpected(MEASURE)) };
        let start = self.token.clone();
        self.advance()?;
        let measure: fn(Path) -> ComputedMeasure = match word.to_ascii_lowercase().as_str() {
            "count" => return Ok((ComputedMeasure::Count, self.counted()?)),
            edge @ ("first" | "last") => {
                let event = self.open_event()?;
                let path = if self.take_sign(",")? { Some(Path(self.name("a property")?)) } else { None };
                self.close()?;
                let measure = match (edge, path) {
                    ("first", None) => ComputedMeasure::FirstTime,
                    ("first", Some(path)) => ComputedMeasure::First(path),
                    (_, None) => ComputedMeasure::LastTime,
                    (_, Some(path)) => ComputedMeasure::Last(path),
                };
                return Ok((measure, event));
            }
            "sum" => ComputedMeasure::Sum,
            "average" | "avg" => ComputedMeasure::Average,
            "min" | "minimum" => ComputedMeasure::Min,
            "max" | "maximum" => ComputedMeasure::Max,
            "distinct" => ComputedMeasure::Distinct,
            "list" => ComputedMeasure::List,
            "most" => {
                self.words(&["frequent"], "`frequent`, as in: most frequent(\"Product Viewed\", category)")?;
                ComputedMeasure::MostFrequent
            }
            _ => {
                self.token = start;
                return Err(self.unexpected(MEASURE));
            }
        };
        let (event, path) = self.counted_property()?;
        Ok((measure(path), event))
    }

    fn test(&mut self) -> Parsed<Test> {
        let sign = match self.token.kind {
            Kind::Sign(sign) => sign,
            Kind::Word(_) => return self.worded_test(),
            _ => return Err(self.unexpected(TEST)),
        };
        let test = match sign {
            "=" | "==" => Test::Equals,
            "!=" | "<>" => Test::NotEquals,
            "<" => Test::Less,
            "<=" => Test::AtMost,
            ">" => Test::Greater,
            ">=" => Test::AtLeast,
            _ => return Err(self.unexpected(TEST)),
        };
        self.advance()?;
        Ok(test(self.value()?))
    }

    fn worded_test(&mut self) -> Parsed<Test> {
        if self.take_word("in")? {
            if !self.take_sign("(")? {
                return Err(self.unexpected("values in parentheses, as in: in (\"pro\", \"enterprise\")"));
            }
            let mut list = Vec::new();
            while !self.take_sign(")")? {
                if !list.is_empty() && !self.take_sign(",")? {
                    return Err(self.unexpected("a comma or `)`"));
                }
                list.push(self.value()?);
            }
            return Ok(Test::In(list));
        }
        if self.take_word("between")? {
            let least = self.value()?;
            self.words(&["and"], "`and` and the greatest value, as in: between 25 and 40")?;
            return Ok(Test::Between(least, self.value()?));
        }
        if self.take_word("contains")? {
            return self.text("text in double quotes, as in: contains \"sale\"").map(Test::Contains);
        }
        if self.take_word("starts")? {
            self.words(&["with"], "`with`, as in: starts with \"A\"")?;
            return self.text("text in double quotes, as in: starts with \"A\"").map(Test::StartsWith);
        }
        if self.take_word("ends")? {
            self.words(&["with"], "`with`, as in: ends with \".org\"")?;
            return self.text("text in double quotes, as in: ends with \".org\"").map(Test::EndsWith);
        }
        if self.take_word("exists")? {
            return Ok(Test::Exists(true));
        }
        if self.take_word("does")? {
            self.words(&["not", "exist"], "`not exist`")?;
            return Ok(Test::Exists(false));
        }
        if self.take_word("at")? {
            let test = if self.take_word("least")? {
                Test::AtLeast
            } else {
                self.words(&["most"], "`least` or `most`, as in: at least 3")?;
                Test::AtMost
            };
            return Ok(test(self.value()?));
        }
        if self.take_word("is")? {
            if self.take_word("a")? {
                self.words(&["date"], "`date`, as in: is a date within 30 days")?;
                return self.date_test();
            }
            let not = self.take_word("not")?;
            let value = self.value()?;
            return Ok(if not { Test::NotEquals(value) } else { Test::Equals(value) });
        }
        if self.is_word("not") {
            return Err(
                self.unexpected("`not` before the whole condition, as in: not trait plan in (\"pro\", \"free\")")
            );
        }
        Err(self.unexpected(TEST))
    }

    /// What follows `is a date`.
    fn date_test(&mut self) -> Parsed<Test> {
        if self.is_word("in") {
            self.words(&["in", "the"], "`in the past`, `in the next 30 days` or `in the last 30 calendar days`")?;
            if self.take_word("past")? {
                return Ok(Test::Date(Window::Ever));
            }
            if self.take_word("next")? {
                return Ok(Test::DateAheadMs(self.duration()?));
            }
            return self.calendar_days().map(Test::Date);
        }
        match self.window()? {
            Some(Window::Ever) | None => {
                Err(self.unexpected("a window: within 30 days, more than 60 days ago, in the past, in the next 30 days, in the last 30 calendar days, today, between … and …"))
            }
            Some(window) => Ok(Test::Date(window)),
        }
    }

    fn window(&mut self) -> Parsed<Option<Window>> {
        Ok(Some(if self.take_word("within")? {
            Window::WithinMs(self.duration()?)
        } else if self.take_word("more")? {
            self.words(&["than"], "`than`, as in: more than 60 days ago")?;
            let ms = self.duration()?;
            self.words(&["ago"], "`ago`, as in: more than 60 days ago")?;
            Window::BeforeMs(ms)
        } else if self.take_word("in")? {
            self.words(&["the"], CALENDAR)?;
            self.calendar_days()?
        } else if self.take_word("today")? {
            Window::CalendarDays(1)
        } else if self.take_word("ever")? {
            Window::Ever
        } else if self.take_word("between")? {
            let from = self.date()?;
            self.words(&["and"], "`and` and the end, as in: between 2026-01-01 and 2026-02-01")?;
            Window::Between(from, self.date()?)
        } else {
            return Ok(None);
        }))
    }

    /// `last 30 calendar days`.
    fn calendar_days(&mut self) -> Parsed<Window> {
        self.words(&["last"], CALENDAR)?;
        let Kind::Number(number) = self.token.kind else { return Err(self.unexpected("a number of days")) };
        let Ok(days) = number.parse() else { return Err(self.unexpected("a whole number of days")) };
        self.advance()?;
        self.words(&["calendar"], CALENDAR)?;
        if !self.take_word("day")? {
            self.words(&["days"], CALENDAR)?;
        }
        Ok(Window::CalendarDays(days))
    }

    fn date(&mut self) -> Parsed<Timestamp> {
        let at = match &self.token.kind {
            Kind::Date(date) => Timestamp::parse(date),
            Kind::Text(date) => Timestamp::parse(date),
            _ => None,
        };
        let at = at.ok_or_else(|| self.unexpected("a date: 2026-01-31, or in UTC: 2026-01-31T09:30:00Z"))?;
        self.advance()?;
        Ok(at)
    }

    fn duration(&mut self) -> Parsed<i64> {
        let Kind::Number(number) = self.token.kind else { return Err(self.unexpected(DURATION)) };
        let number = number.parse::<i64>().map_err(|_| self.error("this is no whole number", DURATION))?;
        let start = self.token.start;
        self.advance()?;
        let Kind::Word(unit) = self.token.kind else { return Err(self.unexpected(DURATION)) };
        let unit = match unit.to_ascii_lowercase().as_str() {
            "ms" | "millisecond" | "milliseconds" => 1,
            "s" | "second" | "seconds" => 1000,
            "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "w" | "week" | "weeks" => 7 * 86_400_000,
            "month" | "months" | "year" | "years" => {
                return Err(self.error("months and years differ in length", "days, as in: 30 days or 365 days"));
            }
            _ => return Err(self.error("this is no unit of time", DURATION)),
        };
        let ms = number.checked_mul(unit);
        let ms =
            ms.ok_or_else(|| self.lexer.error(start, self.token.end - start, "this time is too long", DURATION))?;
        self.advance()?;
        Ok(ms)
    }

    fn value(&mut self) -> Parsed<Value> {
        let value = match &self.token.kind {
            Kind::Text(text) => Value::Text(text.clone().into_owned()),
            Kind::Number(number) => match decimal(number) {
                Some(number) => Value::Number(number),
                None => Value::Json((*number).to_owned()),
            },
            Kind::Sign("[" | "{") => {
                let json = self.lexer.json(self.token.start)?;
                self.token = self.lexer.next()?;
                return Ok(Value::from_json(json));
            }
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            Kind::Word(word) if word.eq_ignore_ascii_case("null") => Value::Null,
            Kind::Date(_) => {
                return Err(
                    self.error("a date is no value", "`is a date` and a window, or the date's text in double quotes")
                );
            }
            _ => return Err(self.unexpected("a value: a number, true, false, or text in double quotes")),
        };
        self.advance()?;
        Ok(value)
    }

    fn text(&mut self, expected: &str) -> Parsed<String> {
        let Kind::Text(text) = &self.token.kind else { return Err(self.unexpected(expected)) };
        let text = text.clone().into_owned();
        self.advance()?;
        Ok(text)
    }

    /// A bare word, whichever it is, or quoted text.
    fn name(&mut self, expected: &str) -> Parsed<String> {
        let name = match &self.token.kind {
            Kind::Word(word) => (*word).to_owned(),
            Kind::Text(text) => text.clone().into_owned(),
            _ => return Err(self.unexpected(expected)),
        };
        self.advance()?;
        Ok(name)
    }

    fn advance(&mut self) -> Parsed<()> {
        self.token = self.lexer.next()?;
        Ok(())
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token.kind, Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> Parsed<bool> {
        let is = self.is_word(word);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn take_sign(&mut self, sign: &str) -> Parsed<bool> {
        let is = self.token.kind == Kind::Sign(sign);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn words(&mut self, words: &[&str], expected: &str) -> Parsed<()> {
        for word in words {
            if !self.take_word(word)? {
                return Err(self.unexpected(expected));
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Parsed<()> {
        if self.token.kind == Kind::Sign(")") {
            return self.advance();
        }
        Err(self.unexpected("`)`"))
    }

    fn end(&mut self, expected: &str) -> Parsed<()> {
        if self.token.kind == Kind::End { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let found: Cow<'_, str> = match &self.token.kind {
            Kind::End => "the text ends here".into(),
            Kind::Word(word) => format!("`{}` does not fit here", cut(word)).into(),
            Kind::Text(_) => "this text does not fit here".into(),
            Kind::Number(_) => "this number does not fit here".into(),
            Kind::Date(_) => "this date does not fit here".into(),
            Kind::Sign(sign) => format!("`{}` does not fit here", cut(sign)).into(),
        };
        self.error(&found, expected)
    }

    fn error(&self, message: &str, expected: &str) -> ParseError {
        let Token { start, end, .. } = self.token;
        self.lexer.error(start, end - start, message, &format!("write {expected}"))
    }
}

/// The start of a word, as much as a message shows.
fn cut(word: &str) -> Cow<'_, str> {
    word.char_indices().nth(40).map_or(word.into(), |(end, _)| format!("{}…", &word[..end]).into())
}
