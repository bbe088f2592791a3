//! Random people, conditions and instants, and the facts that a pipeline would keep of them.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::tz::TimeZone;
use onefold_model::{
    Timestamp, Value,
    clock::DAY_MS,
    profile::{
        Series,
        computed::{ComputedMeasure, ComputedTrait},
    },
    segment::{
        Condition, EventFields, EventMatch, Events, Inputs, Lookup, Matcher, Measure, Metric, MetricId, Path,
        PropertyTest, Sequence, Test, Window, reference, text,
    },
    value::amount,
};
use proptest::prelude::*;
use rust_decimal::Decimal;
use smallvec::SmallVec;

/// The grid of times: six hours.
pub const STEP_MS: i64 = DAY_MS / 4;

#[derive(Debug, Clone)]
pub struct Event {
    pub name: String,
    pub at: Timestamp,
    /// Which of the person's nodes it belongs to.
    pub node: usize,
    pub properties: BTreeMap<String, Value>,
}

impl Event {
    pub fn new(name: &str, at: Timestamp, price: i64) -> Self {
        let properties = [("price".to_owned(), Value::Number(price.into()))].into();
        Event { name: name.to_owned(), at, node: 0, properties }
    }
}

impl EventFields for Event {
    fn name(&self) -> &str {
        &self.name
    }
    fn at(&self) -> Timestamp {
        self.at
    }
    fn value(&self, path: &Path) -> Option<Value> {
        self.properties.get(&path.0).cloned()
    }
    fn amount(&self, path: &Path) -> Option<Decimal> {
        if let Some(Value::Number(n)) = self.properties.get(&path.0) { amount(*n) } else { None }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Person {
    pub traits: BTreeMap<String, Value>,
    pub events: Vec<Event>,
    pub consents: bool,
}

impl Person {
    pub fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        self.consents && purpose == "marketing" && channel != Some("sms")
    }
}

/// What a pipeline keeps of one person.
#[derive(Debug, Default)]
pub struct Facts {
    pub person: Person,
    pub metrics: Vec<Metric>,
    nodes: [BTreeMap<MetricId, Series>; 3],
}

impl Facts {
    pub fn metric(&mut self, metric: Metric) -> MetricId {
        let known = self.metrics.iter().position(|m| *m == metric);
        MetricId(known.unwrap_or_else(|| {
            self.metrics.push(metric);
            self.metrics.len() - 1
        }) as u32)
    }

    pub fn add(&mut self, event: &Event) {
        let metrics: Vec<_> = (0..).map(MetricId).zip(self.metrics.iter().cloned()).collect();
        let node = &mut self.nodes[event.node];
        Matcher::new(&metrics).matches(event, &mut |metric, point| node.entry(metric).or_default().insert(point));
    }

    pub fn fold(&mut self, inputs: &Inputs, now: Timestamp) {
        for (metric, series) in self.nodes.iter_mut().flatten() {
            let horizons = inputs.metrics.iter().filter(|(m, _)| m == metric).map(|(_, horizon)| horizon.start(now));
            if let Some(start) = horizons.min() {
                series.fold_before(start);
            }
        }
    }
}

impl onefold_model::segment::Facts for Facts {
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.person.traits.get(name).map(Cow::Borrowed)
    }
    fn series(&self, metric: MetricId) -> SmallVec<[&Series; 4]> {
        self.nodes.iter().filter_map(|node| node.get(&metric)).collect()
    }
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        self.person.reachable(purpose, channel)
    }
}

/// The other definitions of the workspace.
pub struct Known {
    segment: Condition,
    computed: Vec<ComputedTrait>,
    pub zone: TimeZone,
}

impl Default for Known {
    fn default() -> Self {
        let computed = ["spent = sum(\"A\", price)", "lately = count(\"B\") within 2 days", "last_b = last(\"B\")"];
        Known {
            segment: text::parse("trait x >= 2 or count(\"C\") >= 1 within 3 days").expect("a condition"),
            computed: computed.iter().map(|line| text::parse_computed(line).expect("a computed trait")).collect(),
            zone: TimeZone::get("America/St_Johns").expect("a known zone"),
        }
    }
}

impl Known {
    pub fn of(computed: ComputedTrait) -> Self {
        Known { computed: vec![computed], ..Known::default() }
    }
}

impl Lookup for Known {
    fn segment(&self, name: &str) -> Option<&Condition> {
        (name == "seg").then_some(&self.segment)
    }
    fn computed(&self, name: &str) -> Option<&ComputedTrait> {
        self.computed.iter().find(|c| c.name == name)
    }
    fn time_zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// Ten days around a change of clocks in the zone of [`Known`], at the grid or a millisecond beside it.
pub fn instants() -> impl Strategy<Value = Timestamp> {
    (0i64..40, prop_oneof![4 => Just(0i64), 1 => -1i64..=2]).prop_map(|(step, ms)| grid(step, ms))
}

fn grid(step: i64, ms: i64) -> Timestamp {
    // 2010-11-03, a multiple of the step.
    Timestamp(14_916 * DAY_MS + step * STEP_MS + ms)
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0i64..4).prop_map(|n| Value::Number(Decimal::new(n * 5, 1))),
        2 => prop::sample::select(vec!["a", "ab", "ü", "\"\\\n"]).prop_map(|t| Value::Text(t.into())),
        1 => instants().prop_map(|at| Value::Text(at.to_string())),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => prop::sample::select(vec!["[\"a\", 1]", "{\"a\":[]}", "1e400"]).prop_map(|j| Value::Json(j.into())),
    ]
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["A", "A", "B", "C"]).prop_map(str::to_owned)
}

fn property_names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["price", "x", "deep.er path"]).prop_map(str::to_owned)
}

fn events() -> impl Strategy<Value = Event> {
    let properties =
        prop::collection::btree_map(property_names(), prop_oneof![9 => values(), 1 => Just(Value::Null)], 0..3);
    (names(), instants(), prop_oneof![3 => Just(0usize), 1 => 0usize..3], properties)
        .prop_map(|(name, at, node, properties)| Event { name, at, node, properties })
}

pub fn people() -> impl Strategy<Value = Person> {
    let traits =
        prop::collection::btree_map(prop::sample::select(vec!["x", "y"]).prop_map(str::to_owned), values(), 0..3);
    (traits, prop::collection::vec(events(), 0..14), any::<bool>()).prop_map(|(traits, events, consents)| Person {
        traits,
        events,
        consents,
    })
}

fn lengths() -> impl Strategy<Value = i64> {
    prop_oneof![5 => (1i64..16).prop_map(|steps| steps * STEP_MS), 1 => Just(1), 1 => Just(STEP_MS + 1)]
}

fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![
        2 => Just(Window::Ever),
        4 => lengths().prop_map(Window::WithinMs),
        2 => lengths().prop_map(Window::BeforeMs),
        2 => (1u32..4).prop_map(Window::CalendarDays),
        2 => (instants(), lengths()).prop_map(|(from, ms)| Window::Between(from, from.plus(ms))),
    ]
}

fn value_tests() -> impl Strategy<Value = Test> {
    let text = || prop::sample::select(vec!["a", "b", ""]).prop_map(str::to_owned);
    prop_oneof![
        any::<bool>().prop_map(Test::Exists),
        values().prop_map(Test::Equals),
        values().prop_map(Test::NotEquals),
        prop::collection::vec(values(), 0..12).prop_map(Test::In),
        ordered().prop_map(|(a, _)| Test::Less(a)),
        ordered().prop_map(|(a, _)| Test::AtMost(a)),
        ordered().prop_map(|(a, _)| Test::Greater(a)),
        ordered().prop_map(|(a, _)| Test::AtLeast(a)),
        ordered().prop_map(|(a, b)| Test::Between(a, b)),
        text().prop_map(Test::Contains),
        text().prop_map(Test::StartsWith),
        text().prop_map(Test::EndsWith),
        (instants(), lengths()).prop_map(|(from, ms)| Test::Date(Window::Between(from, from.plus(ms)))),
    ]
}

/// Two values that compare, the first not greater.
fn ordered() -> impl Strategy<Value = (Value, Value)> {
    let number = || (0i64..4).prop_map(|n| Value::Number(Decimal::new(n * 5, 1)));
    let text = || prop::sample::select(vec!["a", "ab", "2010-11-05"]).prop_map(|t| Value::Text(t.into()));
    prop_oneof![2 => (number(), number()), 1 => (text(), text())]
        .prop_map(|(a, b)| if a <= b { (a, b) } else { (b, a) })
}

fn trait_tests() -> impl Strategy<Value = Test> {
    prop_oneof![4 => value_tests(), 1 => windows().prop_map(Test::Date), 1 => lengths().prop_map(Test::DateAheadMs)]
}

fn number_tests(most: i64) -> impl Strategy<Value = Test> {
    let number = move || (0..=most * 2).prop_map(|n| Value::Number(Decimal::new(n * 5, 1)));
    prop_oneof![
        2 => number().prop_map(Test::Equals),
        1 => number().prop_map(Test::NotEquals),
        1 => prop::collection::vec(number(), 0..5).prop_map(Test::In),
        1 => number().prop_map(Test::Less),
        1 => number().prop_map(Test::AtMost),
        1 => number().prop_map(Test::Greater),
        2 => number().prop_map(Test::AtLeast),
        1 => (number(), number()).prop_map(|(a, b)| Test::Between(a.clone().min(b.clone()), a.max(b))),
    ]
}

fn matches() -> impl Strategy<Value = EventMatch> {
    let filter = (property_names(), value_tests()).prop_map(|(name, is)| PropertyTest { property: Path(name), is });
    let filter = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(filter, 1..3)];
    (prop::option::weighted(0.85, names()), filter).prop_map(|(event, filter)| EventMatch { event, filter })
}

fn paths() -> impl Strategy<Value = Path> {
    prop::sample::select(vec!["price", "price", "x"]).prop_map(|name| Path(name.into()))
}

fn measures() -> impl Strategy<Value = (Measure, Test)> {
    prop_oneof![
        4 => number_tests(4).prop_map(|is| (Measure::Count, is)),
        2 => any::<bool>().prop_map(|is| (Measure::First, Test::Exists(is))),
        2 => any::<bool>().prop_map(|is| (Measure::Last, Test::Exists(is))),
        1 => (paths(), number_tests(4)).prop_map(|(path, is)| (Measure::Sum(path), is)),
        1 => (paths(), number_tests(2)).prop_map(|(path, is)| (Measure::Average(path), is)),
        1 => (paths(), any::<bool>()).prop_map(|(path, is)| (Measure::Average(path), Test::Exists(is))),
        1 => (paths(), number_tests(2)).prop_map(|(path, is)| (Measure::Min(path), is)),
        1 => (paths(), number_tests(2)).prop_map(|(path, is)| (Measure::Max(path), is)),
        1 => (paths(), number_tests(4)).prop_map(|(path, is)| (Measure::Distinct(path), is)),
    ]
}

fn sequences() -> impl Strategy<Value = Condition> {
    (matches(), windows(), matches(), any::<bool>(), prop::option::of(lengths())).prop_map(
        |(first, window, then, follows, within_ms)| {
            Condition::Sequence(Sequence { first, window, then, follows, within_ms })
        },
    )
}

/// Conditions without parts.
pub fn leaves() -> impl Strategy<Value = Condition> {
    let trait_name = prop::sample::select(vec!["x", "y", "in", "first name"]).prop_map(str::to_owned);
    let computed_name = prop::sample::select(vec!["spent", "lately", "last_b"]).prop_map(str::to_owned);
    let channel = prop::option::of(prop::sample::select(vec!["email", "sms"]).prop_map(str::to_owned));
    prop_oneof![
        2 => (trait_name, trait_tests()).prop_map(|(name, is)| Condition::Trait { name, is }),
        1 => (computed_name, trait_tests()).prop_map(|(name, is)| Condition::Computed { name, is }),
        8 => (measures(), matches(), windows()).prop_map(|((measure, is), event, window)| {
            Condition::Events(Events { measure, event, window, is })
        }),
        5 => sequences(),
        1 => Just(Condition::Segment("seg".into())),
        1 => (prop::sample::select(vec!["marketing", "other"]), channel)
            .prop_map(|(purpose, channel)| Condition::Consent { purpose: purpose.into(), channel }),
    ]
}

/// Whether such a condition says exactly when it changes, rather than when it may.
pub fn is_exact(leaf: &Condition) -> bool {
    match leaf {
        Condition::Events(events) => matches!(events.measure, Measure::Count | Measure::First | Measure::Last),
        Condition::Trait { .. } | Condition::Sequence(_) => true,
        _ => false,
    }
}

/// Conditions of any shape.
pub fn conditions() -> impl Strategy<Value = Condition> {
    leaves().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::All),
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::Any),
            1 => inner.prop_map(|of| Condition::Not(Box::new(of))),
        ]
    })
}

pub fn computed_traits() -> impl Strategy<Value = ComputedTrait> {
    let measure = (0usize..12, paths()).prop_map(|(kind, path)| match kind {
        0 => ComputedMeasure::Count,
        1 => ComputedMeasure::FirstTime,
        2 => ComputedMeasure::LastTime,
        3 => ComputedMeasure::Sum(path),
        4 => ComputedMeasure::Average(path),
        5 => ComputedMeasure::Min(path),
        6 => ComputedMeasure::Max(path),
        7 => ComputedMeasure::First(path),
        8 => ComputedMeasure::Last(path),
        9 => ComputedMeasure::MostFrequent(path),
        10 => ComputedMeasure::Distinct(path),
        _ => ComputedMeasure::List(path),
    });
    (measure, matches(), windows()).prop_map(|(measure, event, window)| ComputedTrait {
        name: "c".into(),
        measure,
        event,
        window,
    })
}

/// What the reference says.
pub fn plain(condition: &Condition, known: &Known, person: &Person, now: Timestamp) -> bool {
    let person = reference::Person {
        traits: &person.traits,
        events: &person.events,
        reachable: &|purpose, channel| person.reachable(purpose, channel),
    };
    reference::holds(condition, &person, known, now)
}
