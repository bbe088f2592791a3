//! Computed traits: values that follow from a person's events.
//!
//! A computed trait compiles to one metric, as conditions do, and is read when it is asked for: nothing keeps its
//! value, so nothing can keep a wrong one.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{
    Timestamp, Value,
    segment::{
        Facts, MetricId,
        ast::{EventMatch, Path, PropertyTest, Window},
        join::Joined,
        measure::{self, Measured},
        metric::{Horizon, Keeps, Metric},
    },
};

/// A computed trait's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct ComputedTrait {
    /// Its name.
    pub name: String,
    /// What is computed over the matching events of the window.
    pub measure: ComputedMeasure,
    /// Which events count. In JSON its name and filter stand beside the measure.
    pub event: EventMatch,
    /// In which time.
    pub window: Window,
}

impl ComputedTrait {
    /// The fields of events that it asks about, as [`Condition::fields`](crate::segment::Condition::fields) names them.
    pub fn fields(&self) -> Vec<String> {
        let mut fields = vec![];
        self.event.ask(&mut |name| fields.push(name.to_owned()));
        use ComputedMeasure::*;
        match &self.measure {
            Sum(path) | Average(path) | Min(path) | Max(path) | First(path) | Last(path) | MostFrequent(path)
            | Distinct(path) | List(path) => fields.extend(path.field().map(str::to_owned)),
            Count | FirstTime | LastTime => {}
        }
        fields
    }
}

/// What is computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputedMeasure {
    /// How many events there are.
    Count,
    /// Sum of a numeric property; 0 when there are none.
    Sum(Path),
    /// Mean of a numeric property; absent when there are none.
    Average(Path),
    /// Least value of a numeric property.
    Min(Path),
    /// Greatest value of a numeric property.
    Max(Path),
    /// When the first event was, as text: `2026-01-02T03:04:05.678Z`.
    FirstTime,
    /// When the last event was.
    LastTime,
    /// The value of a property at the first event that has it; of several at one time the least.
    First(Path),
    /// The value of a property at the last event that has it; of several at one time the greatest.
    Last(Path),
    /// The value that a property has most often; of several the one seen last, then the greatest.
    MostFrequent(Path),
    /// How many different values a property has.
    Distinct(Path),
    /// The different values of a property as a JSON array, in the order they were first seen, at most
    /// [`LIST_VALUES_MAX`].
    List(Path),
}

/// Values that a `list` keeps.
pub const LIST_VALUES_MAX: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    measure: ComputedMeasure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    filter: Vec<PropertyTest>,
    #[serde(default, skip_serializing_if = "Window::is_ever")]
    window: Window,
}

impl From<Form> for ComputedTrait {
    fn from(Form { name, measure, event, filter, window }: Form) -> Self {
        ComputedTrait { name, measure, event: EventMatch { event, filter }, window }
    }
}

impl From<ComputedTrait> for Form {
    fn from(ComputedTrait { name, measure, event: EventMatch { event, filter }, window }: ComputedTrait) -> Self {
        Form { name, measure, event, filter, window }
    }
}

/// A computed trait made ready.
#[derive(Debug, Clone)]
pub struct Computed {
    pub(crate) metric: MetricId,
    pub(crate) window: Window,
    pub(crate) measured: Measured,
}

impl ComputedTrait {
    /// The metric it needs, and how far back one by one.
    pub fn metric(&self) -> (Metric, Horizon) {
        let keeps = match &self.measure {
            ComputedMeasure::Count | ComputedMeasure::FirstTime | ComputedMeasure::LastTime => Keeps::Time,
            ComputedMeasure::Sum(path) | ComputedMeasure::Average(path) => Keeps::Amount(path.clone()),
            ComputedMeasure::Min(path) | ComputedMeasure::Max(path) => Keeps::Amount(path.clone()),
            ComputedMeasure::First(path) | ComputedMeasure::Last(path) => Keeps::Value(path.clone()),
            ComputedMeasure::MostFrequent(path) | ComputedMeasure::Distinct(path) => Keeps::Value(path.clone()),
            ComputedMeasure::List(path) => Keeps::Value(path.clone()),
        };
        let measured = self.measured();
        (Metric { event: self.event.clone().normal(), keeps }, measured.horizon(&self.window))
    }

    /// Makes it ready; `metric` is the number that its metric was given.
    pub fn compile(&self, metric: MetricId) -> Computed {
        Computed { metric, window: self.window.clone(), measured: self.measured() }
    }

    fn measured(&self) -> Measured {
        match self.measure {
            ComputedMeasure::Count => Measured::Count,
            ComputedMeasure::Sum(_) => Measured::Sum,
            ComputedMeasure::Average(_) => Measured::Average,
            ComputedMeasure::Min(_) => Measured::Min,
            ComputedMeasure::Max(_) => Measured::Max,
            ComputedMeasure::FirstTime => Measured::FirstTime,
            ComputedMeasure::LastTime => Measured::LastTime,
            ComputedMeasure::First(_) => Measured::FirstValue,
            ComputedMeasure::Last(_) => Measured::LastValue,
            ComputedMeasure::MostFrequent(_) => Measured::MostFrequent,
            ComputedMeasure::Distinct(_) => Measured::Distinct,
            ComputedMeasure::List(_) => Measured::List,
        }
    }
}

impl Computed {
    /// The value at `now`, and the first instant at which it may change without a new event ([`Timestamp::MAX`]:
    /// never). `zone` is the workspace's.
    pub fn evaluate(&self, facts: &impl Facts, now: Timestamp, zone: &TimeZone) -> (Option<Value>, Timestamp) {
        let series = Joined(facts.series(self.metric));
        let (value, until) = measure::value(self.measured, &series, &self.window, now, zone);
        (value.map(tidy), until)
    }
}

/// Numbers without zeros at their end, as they are shown.
pub(crate) fn tidy(value: Value) -> Value {
    if let Value::Number(number) = value { Value::Number(number.normalize()) } else { value }
}
