//! Which metrics an event is a point of.
//!
//! A workspace may have thousands of metrics; an event is tested against those of its own name and those of any event.
//! A property that several ask for is read once.

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    ast::Path,
    metric::{Keeps, Metric, MetricId},
    test::Probe,
};
use crate::{Timestamp, Value, profile::series::Point};

/// What an event says of itself.
pub trait EventFields {
    /// Of a `track` call its event; of the others the call's type: `page`, `screen`, `identify`, `group`, `alias`.
    fn name(&self) -> &str;
    /// When it happened.
    fn at(&self) -> Timestamp;
    /// The value at a path.
    fn value(&self, path: &Path) -> Option<Value>;
    /// The amount at a path, as [`crate::value::amount`] bounds it.
    fn amount(&self, path: &Path) -> Option<Decimal>;
}

/// The metrics, by event.
#[derive(Debug, Default)]
pub struct Matcher {
    by_event: FxHashMap<Box<str>, Vec<Candidate>>,
    of_any: Vec<Candidate>,
    /// The paths that filters and metrics read.
    paths: Vec<Path>,
}

#[derive(Debug)]
struct Candidate {
    metric: MetricId,
    filter: Box<[(u32, Probe)]>,
    keeps: Kept,
}

#[derive(Debug)]
enum Kept {
    Time,
    Amount(u32),
    Value(u32),
}

impl Matcher {
    /// A matcher of these metrics.
    pub fn new(metrics: &[(MetricId, Metric)]) -> Self {
        let mut matcher = Matcher::default();
        let mut numbers: FxHashMap<&Path, u32> = FxHashMap::default();
        let mut number = |path| {
            let next = numbers.len() as u32;
            *numbers.entry(path).or_insert_with(|| {
                matcher.paths.push(Path::clone(path));
                next
            })
        };
        for (id, metric) in metrics {
            let filter =
                metric.event.filter.iter().map(|test| (number(&test.property), Probe::new(&test.is))).collect();
            let keeps = match &metric.keeps {
                Keeps::Time => Kept::Time,
                Keeps::Amount(path) => Kept::Amount(number(path)),
                Keeps::Value(path) => Kept::Value(number(path)),
            };
            let list = match &metric.event.event {
                Some(name) => matcher.by_event.entry(name.as_str().into()).or_default(),
                None => &mut matcher.of_any,
            };
            list.push(Candidate { metric: *id, filter, keeps });
        }
        matcher
    }

    /// Tells `on` each metric that the event is a point of, and the point.
    pub fn matches(&self, event: &(impl EventFields + ?Sized), on: &mut dyn FnMut(MetricId, Point)) {
        let named = self.by_event.get(event.name()).map_or(&[][..], |list| &list[..]);
        let mut memo = Memo { event, paths: &self.paths, values: SmallVec::new(), amounts: SmallVec::new() };
        for candidate in named.iter().chain(&self.of_any) {
            if !candidate.filter.iter().all(|(path, test)| test.passes(memo.value(*path))) {
                continue;
            }
            let mut point = Point { at: event.at(), amount: None, value: None };
            match candidate.keeps {
                Kept::Time => {}
                Kept::Amount(path) => match memo.amount(path) {
                    None => continue,
                    amount => point.amount = amount,
                },
                Kept::Value(path) => match memo.value(path) {
                    None => continue,
                    value => point.value = value.cloned(),
                },
            }
            on(candidate.metric, point);
        }
    }
}

/// What was read of one event.
struct Memo<'a, E: ?Sized> {
    event: &'a E,
    paths: &'a [Path],
    values: SmallVec<[(u32, Option<Value>); 4]>,
    amounts: SmallVec<[(u32, Option<Decimal>); 4]>,
}

impl<E: EventFields + ?Sized> Memo<'_, E> {
    /// `None` where it is absent or `null`.
    fn value(&mut self, path: u32) -> Option<&Value> {
        let i = self.values.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
            let value = self.event.value(&self.paths[path as usize]).filter(|value| *value != Value::Null);
            self.values.push((path, value));
            self.values.len() - 1
        });
        self.values[i].1.as_ref()
    }

    fn amount(&mut self, path: u32) -> Option<Decimal> {
        if let Some((_, amount)) = self.amounts.iter().find(|(known, _)| *known == path) {
            return *amount;
        }
        let amount = self.event.amount(&self.paths[path as usize]);
        self.amounts.push((path, amount));
        amount
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::segment::{ast::Condition, text};

    struct Event {
        name: &'static str,
        read: RefCell<Vec<String>>,
    }

    impl EventFields for Event {
        fn name(&self) -> &str {
            self.name
        }
        fn at(&self) -> Timestamp {
            Timestamp(7)
        }
        fn value(&self, path: &Path) -> Option<Value> {
            self.read.borrow_mut().push(path.0.clone());
            match path.0.as_str() {
                "category" => Some(Value::Text("shoes".into())),
                "coupon" => Some(Value::Null),
                _ => None,
            }
        }
        fn amount(&self, path: &Path) -> Option<Decimal> {
            self.read.borrow_mut().push(path.0.clone());
            (path.0 == "revenue").then_some(Decimal::TEN)
        }
    }

    fn metric(text: &str, keeps: Keeps) -> Metric {
        let Ok(Condition::Events(events)) = text::parse(text) else { panic!("{text}") };
        Metric { event: events.event, keeps }
    }

    #[test]
    fn an_event_is_a_point_of_the_metrics_it_matches() {
        let path = |name: &str| Path(name.into());
        let metrics = [
            metric("first(\"Order\")", Keeps::Time),
            metric("first(any event)", Keeps::Time),
            metric("first(\"View\")", Keeps::Time),
            metric("first(\"Order\" where category = \"shoes\")", Keeps::Amount(path("revenue"))),
            metric("first(\"Order\" where category = \"socks\")", Keeps::Time),
            metric("first(\"Order\" where coupon does not exist and category exists)", Keeps::Value(path("category"))),
            metric("first(any event where coupon exists)", Keeps::Time),
            metric("first(\"Order\")", Keeps::Value(path("coupon"))),
            metric("first(\"Order\")", Keeps::Amount(path("category"))),
            metric("first(any event)", Keeps::Amount(path("revenue"))),
        ];
        let metrics: Vec<_> = (0..).map(MetricId).zip(metrics).collect();
        let matcher = Matcher::new(&metrics);
        let found = |name| {
            let event = Event { name, read: RefCell::default() };
            let mut found = Vec::new();
            matcher.matches(&event, &mut |metric, point| {
                assert_eq!(point.at, Timestamp(7));
                found.push((metric.0, point.amount.map(|a| a.to_string()), point.value.map(|v| v.to_json())));
            });
            (found, event.read.into_inner())
        };
        let ten = || Some("10".to_owned());
        let (points, read) = found("Order");
        assert_eq!(
            points,
            [(0, None, None), (3, ten(), None), (5, None, Some("\"shoes\"".into())), (1, None, None), (9, ten(), None)]
        );
        assert_eq!(read, ["category", "revenue", "coupon", "category"], "each is read once, as value and as amount");
        assert_eq!(found("Other").0, [(1, None, None), (9, ten(), None)]);
    }
}
