//! What a segment says: the tree behind both forms of the language, JSON for machines and text for people.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Lookup;
use crate::{Value, access::FRAME, profile::computed::ComputedTrait};

/// A condition on one profile at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// All of them hold; true when there are none.
    All(Vec<Condition>),
    /// One of them holds; false when there are none.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A trait's value passes a test. A trait that is absent passes only `exists: false`.
    Trait {
        /// The trait's name.
        name: String,
        /// The test.
        is: Test,
    },
    /// A computed trait's value passes a test.
    Computed {
        /// The computed trait's name.
        name: String,
        /// The test.
        is: Test,
    },
    /// A measure over the events of a window passes a test.
    Events(Events),
    /// One event, and then, in time, another, or none.
    Sequence(Sequence),
    /// The profile is in another segment.
    Segment(String),
    /// The person may be reached for this purpose, by this channel where one is named.
    Consent {
        /// The purpose.
        purpose: String,
        /// The channel.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
}

impl Condition {
    /// The fields of people and events that it asks about, by the names that [`crate::access::Sight`] knows them by: of a path from the
    /// event's top (`$context.ip`) what is below the frame.
    pub fn fields(&self) -> Vec<String> {
        let mut fields = vec![];
        self.ask(&mut |name| fields.push(name.to_owned()));
        fields
    }

    /// The same, and what the segments and computed traits ask about that it names.
    pub fn fields_through(&self, lookup: &dyn Lookup) -> BTreeSet<String> {
        let mut fields: BTreeSet<String> = self.fields().into_iter().collect();
        match self {
            Condition::All(all) | Condition::Any(all) => {
                all.iter().for_each(|one| fields.extend(one.fields_through(lookup)));
            }
            Condition::Not(one) => fields.extend(one.fields_through(lookup)),
            // A definition that named itself would not have been taken.
            Condition::Segment(name) => {
                fields.extend(lookup.segment(name).into_iter().flat_map(|other| other.fields_through(lookup)));
            }
            Condition::Computed { name, .. } => {
                fields.extend(lookup.computed(name).into_iter().flat_map(ComputedTrait::fields));
            }
            _ => {}
        }
        fields
    }

    fn ask(&self, field: &mut dyn FnMut(&str)) {
        match self {
            Condition::All(all) | Condition::Any(all) => all.iter().for_each(|one| one.ask(field)),
            Condition::Not(one) => one.ask(field),
            Condition::Trait { name, .. } => field(name),
            Condition::Events(events) => {
                events.event.ask(field);
                match &events.measure {
                    Measure::Sum(path)
                    | Measure::Average(path)
                    | Measure::Min(path)
                    | Measure::Max(path)
                    | Measure::Distinct(path) => path.field().into_iter().for_each(field),
                    Measure::Count | Measure::First | Measure::Last => {}
                }
            }
            Condition::Sequence(sequence) => {
                [&sequence.first, &sequence.then].iter().for_each(|event| event.ask(field))
            }
            // What an operator has defined and named is there to be asked.
            Condition::Computed { .. } | Condition::Segment(_) | Condition::Consent { .. } => {}
        }
    }
}

impl EventMatch {
    pub(crate) fn ask(&self, field: &mut dyn FnMut(&str)) {
        self.filter.iter().filter_map(|test| test.property.field()).for_each(field);
    }
}

impl Path {
    /// The field it leads to; none for the frame of an event, which is nobody's data.
    pub(crate) fn field(&self) -> Option<&str> {
        let Some(path) = self.0.strip_prefix('$') else { return Some(&self.0) };
        let inner = ["context.", "traits.", "properties."].iter().find_map(|part| path.strip_prefix(part));
        inner.or_else(|| (!FRAME.contains(&path)).then_some(path))
    }
}

/// `measure(event where …) test window`. In JSON the event's name and filter stand beside the measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "EventsForm", into = "EventsForm")]
pub struct Events {
    /// What is measured.
    pub measure: Measure,
    /// Which events count.
    pub event: EventMatch,
    /// In which time.
    pub window: Window,
    /// What the measure must be. For `first` and `last` it is `exists: true` or `exists: false`: the time itself is
    /// tested by the window.
    pub is: Test,
}

/// [`Events`] in JSON. Not `flatten`, which would buffer the values of tests and so lose the digits of numbers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsForm {
    measure: Measure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    filter: Vec<PropertyTest>,
    #[serde(default, skip_serializing_if = "Window::is_ever")]
    window: Window,
    is: Test,
}

impl From<EventsForm> for Events {
    fn from(EventsForm { measure, event, filter, window, is }: EventsForm) -> Self {
        Events { measure, event: EventMatch { event, filter }, window, is }
    }
}

impl From<Events> for EventsForm {
    fn from(Events { measure, event: EventMatch { event, filter }, window, is }: Events) -> Self {
        EventsForm { measure, event, filter, window, is }
    }
}

/// What is measured over the matching events of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many there are.
    Count,
    /// Sum of a numeric property; 0 when there are none.
    Sum(Path),
    /// Mean of a numeric property; absent when there are none.
    Average(Path),
    /// Least value of a numeric property; absent when there are none.
    Min(Path),
    /// Greatest value of a numeric property; absent when there are none.
    Max(Path),
    /// How many different values a property has.
    Distinct(Path),
    /// Whether the *first* matching event ever is in the window.
    First,
    /// Whether the *last* matching event ever is in the window.
    Last,
}

/// A path into an event: `category`, `address.city` (both in `properties`), or from the event's top with a leading
/// `$`: `$context.device.type`, `$name`, `$channel`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(pub String);

/// Which events count: by name, and by tests of their properties, all of which must pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMatch {
    /// The event's name: of a `track` call its `event`; `page`, `screen`, `identify`, `group`, `alias` for the others;
    /// `None`: every event of any kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Tests of properties. A property that is absent passes only `exists: false`.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<PropertyTest>,
}

/// A test of one property.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyTest {
    /// Which.
    pub property: Path,
    /// The test.
    pub is: Test,
}

/// A stretch of time, relative to the instant of evaluation (`now`) or fixed. Starts belong to it, ends do not.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// All time before now.
    #[default]
    Ever,
    /// `within 30 days`: [now − n, now), in milliseconds of 24-hour days.
    WithinMs(i64),
    /// `more than 30 days ago`: before now − n.
    BeforeMs(i64),
    /// `in the last 30 calendar days`: from the start of the day n − 1 days before today, in the workspace's time zone,
    /// up to now. 1 = today.
    CalendarDays(u32),
    /// `between 2026-01-01 and 2026-02-01`: from the first instant up to the second (milliseconds since 1970).
    Between(crate::Timestamp, crate::Timestamp),
}

impl Window {
    pub(crate) fn is_ever(&self) -> bool {
        *self == Window::Ever
    }
}

/// A test of a value. Values of different types never pass, except `not`, which is the opposite of its test for a value
/// that is present.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// Whether there is a value at all.
    Exists(bool),
    /// The same value.
    Equals(#[serde(with = "super::plain")] Value),
    /// Present, and not this value (a value of another type passes).
    NotEquals(#[serde(with = "super::plain")] Value),
    /// One of these.
    In(#[serde(with = "super::plain_list")] Vec<Value>),
    /// Less than.
    Less(#[serde(with = "super::plain")] Value),
    /// At most.
    AtMost(#[serde(with = "super::plain")] Value),
    /// Greater than.
    Greater(#[serde(with = "super::plain")] Value),
    /// At least.
    AtLeast(#[serde(with = "super::plain")] Value),
    /// From the first to the second, both included.
    Between(#[serde(with = "super::plain")] Value, #[serde(with = "super::plain")] Value),
    /// Text that contains this, or a JSON array that has it as an element; case counts.
    Contains(String),
    /// Text that starts with this; case counts.
    StartsWith(String),
    /// Text that ends with this; case counts.
    EndsWith(String),
    /// Text that is a date or date-time inside this window; in `between` it may lie ahead, in the others it is past.
    Date(Window),
    /// Text that is a date or date-time less than so many milliseconds after now, and not before it.
    DateAheadMs(i64),
}

/// `A window then B within …` or `A window then no B within …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// The event that begins it.
    pub first: EventMatch,
    /// When that one happened.
    #[serde(default, skip_serializing_if = "Window::is_ever")]
    pub window: Window,
    /// The event that follows, at the same millisecond or later. It is another event than the first, also where one
    /// event would match both.
    pub then: EventMatch,
    /// Whether it must follow (`true`) or must not (`false`).
    pub follows: bool,
    /// How long after the first it counts, in milliseconds, that instant included; `None`: any time up to now.
    /// `then no B within n` holds only once n has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<i64>,
}
