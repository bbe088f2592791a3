//! Definitions of segments as SQL.
//!
//! One pass over the events gathers what the parts of a condition measure, a row for each person; the rest is asked of that row
//! and of the person. Counts, sums, extremes and distinct values are SQL's own aggregates; sequences, and the computed traits that
//! SQL has no aggregate for, are asked of the points themselves. Whether a value passes is decided by
//! [`functions`](crate::functions), so the language has one meaning.

use std::{collections::BTreeSet, fmt::Write as _};

use onefold_model::{
    Timestamp,
    consent::Policy,
    profile::computed::{ComputedMeasure, ComputedTrait},
    segment::{CompileError, Condition, EventMatch, Events, Keeps, Lookup, Measure, Path, Sequence, Test},
    value::AMOUNT_PLACES,
};

use crate::{events::micros, functions::OfPoints};

/// Why there is no SQL for a condition.
#[derive(Debug, thiserror::Error)]
pub enum NoSql {
    /// The condition does not fit the workspace.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The tables do not have what it reads.
    #[error("the tables do not have {0}")]
    NotThere(String),
}

/// The query for all events of a name, or of any: of each its node, its time, the values of some properties as JSON and the
/// amounts of others, in this order.
pub fn points<'a>(
    event: Option<&str>,
    values: impl Iterator<Item = &'a Path>,
    amounts: impl Iterator<Item = &'a Path>,
) -> Result<String, NoSql> {
    let values = values.map(value).collect::<Result<Vec<_>, _>>()?;
    let amounts = amounts.map(|path| Ok(format!("amount({})", value(path)?))).collect::<Result<Vec<_>, NoSql>>()?;
    let columns: String = values.iter().chain(&amounts).map(|column| format!(", {column}")).collect();
    let of = event.map_or(String::new(), |name| format!(" WHERE e.event = {}", quoted(name)));
    Ok(format!("SELECT e.node, e.time{columns} FROM events e{of}"))
}

/// The query whose rows are those for whom the condition holds at `now`: of each its `profile` and `id`.
pub fn members(condition: &Condition, lookup: &dyn Lookup, policy: &Policy, now: Timestamp) -> Result<String, NoSql> {
    let problems = onefold_model::segment::check::problems(condition, lookup);
    if !problems.is_empty() {
        return Err(CompileError { problems }.into());
    }
    let zone = lookup.time_zone().iana_name();
    let zone = zone.ok_or_else(|| NoSql::NotThere("a time zone without a name".to_owned()))?.to_owned();
    let mut compiler = Compiler { lookup, policy, now, zone, gathered: vec![], read: BTreeSet::new() };
    let holds = compiler.condition(condition)?;
    Ok(compiler.query(&holds))
}

struct Compiler<'a> {
    lookup: &'a dyn Lookup,
    policy: &'a Policy,
    now: Timestamp,
    /// The name of the workspace's time zone.
    zone: String,
    /// Aggregates over a person's events. Each is a column, `m.m0`, `m.m1`, ….
    gathered: Vec<String>,
    /// Which events these read: one of these conditions holds for each.
    read: BTreeSet<String>,
}

impl Compiler<'_> {
    fn query(&self, holds: &str) -> String {
        let mut sql = "SELECT p.profile, p.id FROM profiles p".to_owned();
        if !self.gathered.is_empty() {
            let columns: String = self.gathered.iter().zip(0..).fold(String::new(), |mut sql, (aggregate, place)| {
                let _ = write!(sql, ", {aggregate} AS m{place}");
                sql
            });
            let read = self.read.iter().map(String::as_str).collect::<Vec<_>>().join(" OR ");
            let _ = write!(
                sql,
                " LEFT JOIN (SELECT i.profile{columns} FROM events e JOIN identifiers i ON i.node = e.node \
                 WHERE {read} GROUP BY i.profile) m ON m.profile = p.profile"
            );
        }
        let _ = write!(sql, " WHERE {holds}");
        sql
    }

    /// An expression over `p`, a profile, and `m`, what was gathered of its events. It is never null.
    fn condition(&mut self, condition: &Condition) -> Result<String, NoSql> {
        Ok(match condition {
            Condition::All(of) => self.joined(of, " AND ", "true")?,
            Condition::Any(of) => self.joined(of, " OR ", "false")?,
            Condition::Not(of) => format!("NOT {}", self.condition(of)?),
            Condition::Segment(name) => match self.lookup.segment(name) {
                Some(other) => self.condition(other)?,
                None => "false".to_owned(),
            },
            Condition::Trait { name, is } => self.passes(&format!("value_of(p.traits, {})", quoted(name)), is),
            Condition::Computed { name, is } => match self.lookup.computed(name) {
                Some(computed) => self.computed(condition, computed, is)?,
                None => "false".to_owned(),
            },
            Condition::Events(events) => self.events(events)?,
            Condition::Sequence(sequence) => self.sequence(condition, sequence)?,
            Condition::Consent { purpose, channel } => {
                let channel = channel.as_deref().map_or("NULL".to_owned(), quoted);
                let policy = serde_json::to_string(&self.policy.about(purpose)).unwrap_or_default();
                format!("reachable(p.consents, {}, {channel}, {}, {})", quoted(purpose), quoted(&policy), self.now.0)
            }
        })
    }

    fn joined(&mut self, of: &[Condition], with: &str, of_none: &str) -> Result<String, NoSql> {
        let parts: Vec<String> = of.iter().map(|part| self.condition(part)).collect::<Result<_, _>>()?;
        Ok(if parts.is_empty() { of_none.to_owned() } else { format!("({})", parts.join(with)) })
    }

    /// Whether a value passes a test.
    fn passes(&self, value: &str, is: &Test) -> String {
        let test = quoted(&json(is));
        match is.is_relative() {
            true => format!("passes_at({value}, {test}, {}, {})", self.now.0, quoted(&self.zone)),
            false => format!("passes({value}, {test})"),
        }
    }

    /// The column of an aggregate.
    fn column(&mut self, aggregate: String) -> String {
        let place = self.gathered.iter().position(|known| *known == aggregate).unwrap_or_else(|| {
            self.gathered.push(aggregate);
            self.gathered.len() - 1
        });
        format!("m.m{place}")
    }

    /// Whether an event `e` of the time from the first instant up to the second matches.
    fn matches(&mut self, event: &EventMatch, from: Timestamp, to: Timestamp) -> Result<String, NoSql> {
        let mut simple = format!("e.time < {}", instant(to));
        if from > Timestamp::MIN {
            let _ = write!(simple, " AND e.time >= {}", instant(from));
        }
        if let Some(name) = &event.event {
            simple = format!("e.event = {} AND {simple}", quoted(name));
        }
        self.read.insert(format!("({simple})"));
        let tests = event.filter.iter().map(|test| Ok(self.passes(&value(&test.property)?, &test.is)));
        let tests: Vec<String> = tests.collect::<Result<_, NoSql>>()?;
        // What opens the JSON is asked of no other event.
        Ok(match tests.as_slice() {
            [] => simple,
            tests => format!("CASE WHEN {simple} THEN {} ELSE false END", tests.join(" AND ")),
        })
    }

    fn events(&mut self, Events { measure, event, window, is }: &Events) -> Result<String, NoSql> {
        let (from, to) = window.at(self.now, self.lookup.time_zone());
        Ok(match measure {
            Measure::Count => {
                let matches = self.matches(event, from, to)?;
                let count = self.column(format!("count(*) FILTER (WHERE {matches})"));
                self.passes(&format!("cast(coalesce({count}, 0) AS varchar)"), is)
            }
            Measure::Sum(path) => {
                let sum = self.of_amounts("sum", event, path, from, to)?;
                self.passes(&format!("coalesce(total({sum}), '0')"), is)
            }
            Measure::Average(path) => {
                let sum = self.of_amounts("sum", event, path, from, to)?;
                let count = self.of_amounts("count", event, path, from, to)?;
                self.passes(&format!("mean({sum}, {count})"), is)
            }
            Measure::Min(path) | Measure::Max(path) => {
                let aggregate = if matches!(measure, Measure::Min(_)) { "min" } else { "max" };
                let extreme = self.of_amounts(aggregate, event, path, from, to)?;
                self.passes(&format!("total({extreme})"), is)
            }
            Measure::Distinct(path) => {
                let (matches, value) = (self.matches(event, from, to)?, value(path)?);
                let count = self.column(format!("count(DISTINCT CASE WHEN {matches} THEN canonical({value}) END)"));
                self.passes(&format!("cast(coalesce({count}, 0) AS varchar)"), is)
            }
            Measure::First | Measure::Last => {
                let matches = self.matches(event, Timestamp::MIN, self.now)?;
                let edge = if *measure == Measure::First { "min" } else { "max" };
                let at = self.column(format!("{edge}(e.time) FILTER (WHERE {matches})"));
                let mut inside = format!("{at} < {}", instant(to));
                if from > Timestamp::MIN {
                    let _ = write!(inside, " AND {at} >= {}", instant(from));
                }
                let not = if *is == Test::Exists(false) { "NOT " } else { "" };
                format!("{not}coalesce({inside}, false)")
            }
        })
    }

    /// An aggregate of amounts.
    fn of_amounts(
        &mut self,
        aggregate: &str,
        event: &EventMatch,
        path: &Path,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<String, NoSql> {
        let (matches, value) = (self.matches(event, from, to)?, value(path)?);
        let found = format!("{aggregate}(CASE WHEN {matches} THEN amount({value}) END)");
        Ok(self.column(match aggregate {
            "count" => found,
            _ => format!("cast({found} AS decimal({SUM_DIGITS}, {AMOUNT_PLACES}))"),
        }))
    }

    fn computed(&mut self, condition: &Condition, computed: &ComputedTrait, is: &Test) -> Result<String, NoSql> {
        let ComputedTrait { measure, event, window, .. } = computed;
        let measure = match measure {
            ComputedMeasure::Count => Measure::Count,
            ComputedMeasure::Sum(path) => Measure::Sum(path.clone()),
            ComputedMeasure::Average(path) => Measure::Average(path.clone()),
            ComputedMeasure::Min(path) => Measure::Min(path.clone()),
            ComputedMeasure::Max(path) => Measure::Max(path.clone()),
            ComputedMeasure::Distinct(path) => Measure::Distinct(path.clone()),
            _ => return self.of_points(condition, Some(computed), window.at(self.now, self.lookup.time_zone())),
        };
        self.events(&Events { measure, event: event.clone(), window: window.clone(), is: is.clone() })
    }

    fn sequence(&mut self, condition: &Condition, Sequence { window, .. }: &Sequence) -> Result<String, NoSql> {
        let (from, _) = window.at(self.now, self.lookup.time_zone());
        self.of_points(condition, None, (from, self.now))
    }

    /// Whether a condition holds that is asked of the points of its metrics in this time.
    fn of_points(
        &mut self,
        condition: &Condition,
        computed: Option<&ComputedTrait>,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<String, NoSql> {
        let spec = OfPoints {
            condition: condition.clone(),
            computed: computed.cloned().into_iter().collect(),
            now: self.now,
            zone: self.zone.clone(),
        };
        let json = json(&spec);
        let ready = spec.ready().map_err(|error| NoSql::NotThere(error.to_string()))?;
        let mut points = String::new();
        for metric in ready.metrics() {
            let matches = self.matches(&metric.event, from, to)?;
            let at = "cast(cast(e.time AS bigint) / 1000 AS varchar)";
            let point = match &metric.keeps {
                Keeps::Value(path) => {
                    // Without a value it is no point.
                    let canonical = format!("canonical({})", value(path)?);
                    format!("'[' || {at} || ',' || {canonical} || ']'")
                }
                _ => at.to_owned(),
            };
            let column = self.column(format!("string_agg(CASE WHEN {matches} THEN {point} END, ',')"));
            let _ = write!(points, ", {column}");
        }
        for _ in ready.metrics().len()..METRICS {
            points.push_str(", NULL");
        }
        Ok(format!("holds({}{points})", quoted(&json)))
    }
}

/// Digits of sums of amounts, as `total` and `mean` take them.
pub const SUM_DIGITS: u8 = 38;

/// How many metrics `holds` takes the points of: a sequence has its first, its second, and what may be both.
pub const METRICS: usize = 3;

/// The value at a path into an event `e`.
fn value(Path(path): &Path) -> Result<String, NoSql> {
    let Some(of_event) = path.strip_prefix('$') else {
        return Ok(format!("value_at(e.properties, {})", quoted(path)));
    };
    match of_event.split_once('.') {
        Some((column @ ("context" | "traits"), rest)) => Ok(format!("value_at(e.{column}, {})", quoted(rest))),
        // Of these the tables have the text alone, and no longer whether it was text.
        _ => Err(NoSql::NotThere(format!("{path} of events as a value"))),
    }
}

fn instant(at: Timestamp) -> String {
    format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", micros(at))
}

/// A literal of text.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn json(of: &impl serde::Serialize) -> String {
    serde_json::to_string(of).expect("what came as JSON can be written as JSON")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use jiff::tz::TimeZone;
    use onefold_model::segment::text;

    use super::*;

    struct Known(TimeZone, ComputedTrait);

    impl Lookup for Known {
        fn segment(&self, _: &str) -> Option<&Condition> {
            None
        }
        fn computed(&self, name: &str) -> Option<&ComputedTrait> {
            (name == self.1.name).then_some(&self.1)
        }
        fn time_zone(&self) -> &TimeZone {
            &self.0
        }
    }

    fn made(condition: &str) -> Result<String, NoSql> {
        let computed = text::parse_computed("favourite = most frequent(\"Viewed\", category)").expect("it parses");
        let condition = text::parse(condition).expect("it parses");
        members(&condition, &Known(TimeZone::UTC, computed), &Policy::default(), Timestamp(100))
    }

    fn check(condition: &str, expect: Expect) {
        expect.assert_eq(
            &made(condition)
                .unwrap_or_else(|error| error.to_string())
                .replace(" FROM", "\nFROM")
                .replace(" WHERE", "\nWHERE"),
        );
    }

    #[test]
    fn a_condition_is_one_query() {
        check(
            "everyone",
            expect![[r#"
            SELECT p.profile, p.id
            FROM profiles p
            WHERE true"#]],
        );
        check(
            "trait plan = \"it's\" and not may be reached for ads by email",
            expect![[r#"
                SELECT p.profile, p.id
                FROM profiles p
                WHERE (passes(value_of(p.traits, 'plan'), '{"equals":"it''s"}') AND NOT reachable(p.consents, 'ads', 'email', '{"unstated":"deny"}', 100))"#]],
        );
        check(
            "count(\"Order\" where category = \"shoes\") >= 2 within 1 ms or sum(\"Order\", total) > 5",
            expect![[r#"
                SELECT p.profile, p.id
                FROM profiles p LEFT JOIN (SELECT i.profile, count(*) FILTER (WHERE CASE WHEN e.event = 'Order' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') AND e.time >= arrow_cast(99000, 'Timestamp(Microsecond, Some("UTC"))') THEN passes(value_at(e.properties, 'category'), '{"equals":"shoes"}') ELSE false END) AS m0, cast(sum(CASE WHEN e.event = 'Order' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') THEN amount(value_at(e.properties, 'total')) END) AS decimal(38, 9)) AS m1
                FROM events e JOIN identifiers i ON i.node = e.node
                WHERE (e.event = 'Order' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') AND e.time >= arrow_cast(99000, 'Timestamp(Microsecond, Some("UTC"))')) OR (e.event = 'Order' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) GROUP BY i.profile) m ON m.profile = p.profile
                WHERE (passes(cast(coalesce(m.m0, 0) AS varchar), '{"at_least":2}') OR passes(coalesce(total(m.m1), '0'), '{"greater":5}'))"#]],
        );
        check(
            "first(any event) within 1 ms and average(\"A\", $context.x.y) exists",
            expect![[r#"
                SELECT p.profile, p.id
                FROM profiles p LEFT JOIN (SELECT i.profile, min(e.time) FILTER (WHERE e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) AS m0, cast(sum(CASE WHEN e.event = 'A' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') THEN amount(value_at(e.context, 'x.y')) END) AS decimal(38, 9)) AS m1, count(CASE WHEN e.event = 'A' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') THEN amount(value_at(e.context, 'x.y')) END) AS m2
                FROM events e JOIN identifiers i ON i.node = e.node
                WHERE (e.event = 'A' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) OR (e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) GROUP BY i.profile) m ON m.profile = p.profile
                WHERE (coalesce(m.m0 < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') AND m.m0 >= arrow_cast(99000, 'Timestamp(Microsecond, Some("UTC"))'), false) AND passes(mean(m.m1, m.m2), '{"exists":true}'))"#]],
        );
        check(
            "event(\"A\") then no event(\"B\") and computed favourite = \"x\"",
            expect![[r#"
            SELECT p.profile, p.id
            FROM profiles p LEFT JOIN (SELECT i.profile, string_agg(CASE WHEN e.event = 'A' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') THEN cast(cast(e.time AS bigint) / 1000 AS varchar) END, ',') AS m0, string_agg(CASE WHEN e.event = 'B' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') THEN cast(cast(e.time AS bigint) / 1000 AS varchar) END, ',') AS m1, string_agg(CASE WHEN e.event = 'Viewed' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))') THEN '[' || cast(cast(e.time AS bigint) / 1000 AS varchar) || ',' || canonical(value_at(e.properties, 'category')) || ']' END, ',') AS m2
            FROM events e JOIN identifiers i ON i.node = e.node
            WHERE (e.event = 'A' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) OR (e.event = 'B' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) OR (e.event = 'Viewed' AND e.time < arrow_cast(100000, 'Timestamp(Microsecond, Some("UTC"))')) GROUP BY i.profile) m ON m.profile = p.profile
            WHERE (holds('{"condition":{"sequence":{"first":{"event":"A"},"then":{"event":"B"},"follows":false}},"now":100,"zone":"UTC"}', m.m0, m.m1, NULL) AND holds('{"condition":{"computed":{"name":"favourite","is":{"equals":"x"}}},"computed":[{"name":"favourite","measure":{"most_frequent":"category"},"event":"Viewed"}],"now":100,"zone":"UTC"}', m.m2, NULL, NULL))"#]],
        );
    }

    #[test]
    fn what_the_tables_do_not_have_is_said() {
        let refused = |condition| made(condition).map_err(|error| error.to_string()).unwrap_err();
        assert_eq!(
            refused("count(\"A\" where $channel = \"web\") = 1"),
            "the tables do not have $channel of events as a value"
        );
        assert!(refused("computed nothing = 1").contains("there is no computed trait"));
    }
}
