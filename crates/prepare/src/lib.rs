//! Preparation: what is done to a source's events before they are used.
//!
//! The log keeps every event as it came. A [`Preparation`] is a list of steps, as JSON; compiled ([`Prepared`]) it makes of an
//! event's JSON another, the same at any time and on any machine, and says what each step changed. So it can be tried on events
//! that came long ago, and a rebuild gives the same again.
//!
//! One step, one file.

mod path;
pub mod quality;
mod steps;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::path::Place;
use self::steps::{Apply, Compile};
pub use self::steps::{Step, validate::Mode};

/// How many steps a preparation may have.
pub const STEPS_MAX: usize = 200;

/// How many violations of a tracking plan are told of one event.
pub const VIOLATIONS_MAX: usize = 20;

/// What is done to a source's events, step by step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The steps, in order.
    pub steps: Vec<StepOf>,
}

impl Eq for Preparation {}

/// A step, and the events it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct StepOf {
    /// Names of track events, or calls (`identify`, `page`, …); empty: all.
    pub events: Vec<String>,
    /// What is done.
    pub step: Step,
}

impl TryFrom<Map<String, Value>> for StepOf {
    type Error = serde_json::Error;

    fn try_from(mut form: Map<String, Value>) -> Result<StepOf, serde_json::Error> {
        let events = form.remove("events").map(serde_json::from_value).transpose()?.unwrap_or_default();
        Ok(StepOf { events, step: serde_json::from_value(Value::Object(form))? })
    }
}

impl From<StepOf> for Map<String, Value> {
    fn from(step: StepOf) -> Map<String, Value> {
        let mut form = match serde_json::to_value(&step.step) {
            Ok(Value::Object(form)) => form,
            _ => Map::new(),
        };
        if !step.events.is_empty() {
            form.insert("events".to_owned(), step.events.into());
        }
        form
    }
}

/// A preparation made ready.
pub struct Prepared {
    steps: Vec<(Vec<String>, Apply)>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("steps", &self.steps.len()).finish()
    }
}

/// What became of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its JSON now; `None` where nothing changed.
    pub json: Option<String>,
    /// Why it is not let in; empty: it is.
    pub blocked: Vec<String>,
    /// How it goes against the tracking plan, though it is let in.
    pub violations: Vec<String>,
    /// Steps that changed something, or found something wrong, by their place, with how many values.
    pub changed: Vec<(usize, u32)>,
}

/// What a step finds and changes in one event.
#[derive(Debug, Default)]
pub(crate) struct Found {
    changed: u32,
    blocked: Vec<String>,
    violations: Vec<String>,
}

impl Preparation {
    /// Makes it ready; else what is wrong, in a sentence for each place.
    pub fn compile(&self) -> Result<Prepared, Vec<String>> {
        let mut problems = vec![];
        if self.steps.len() > STEPS_MAX {
            problems.push(format!("there are {} steps, and may be {STEPS_MAX}", self.steps.len()));
        }
        let mut steps = vec![];
        for (place, StepOf { events, step }) in self.steps.iter().enumerate() {
            match step.compile() {
                Ok(apply) => steps.push((events.clone(), apply)),
                Err(problem) => problems.push(format!("steps[{place}] ({}): {problem}", step.name())),
            }
        }
        if problems.is_empty() { Ok(Prepared { steps }) } else { Err(problems) }
    }

    /// The name of each step.
    pub fn step_names(&self) -> Vec<&'static str> {
        self.steps.iter().map(|step| step.step.name()).collect()
    }
}

/// The first steps of a preparation.
#[derive(Debug, Clone, Copy)]
pub struct First<'p> {
    prepared: &'p Prepared,
    steps: usize,
}

impl First<'_> {
    /// What an event is after them; `Null` where it is no JSON object.
    pub fn apply_to(&self, json: &str) -> Value {
        let Some(mut event) = tree(json) else { return Value::Null };
        self.prepared.run(self.steps, &mut event);
        Value::Object(event)
    }
}

impl Prepared {
    /// The first so many steps of it.
    pub fn first(&self, steps: usize) -> First<'_> {
        First { prepared: self, steps }
    }

    /// Prepares an event. One that no tree can be made of is not let in: it would be the way past every step.
    pub fn apply(&self, json: &str) -> Outcome {
        if self.steps.is_empty() {
            return Outcome::default();
        }
        let Some(mut event) = tree(json) else {
            let why = "it cannot be prepared: it is nested too deep, or a number in it is too large";
            return Outcome { blocked: vec![why.to_owned()], ..Outcome::default() };
        };
        let signals = signals_of(&event);
        let mut outcome = self.run(self.steps.len(), &mut event);
        if signals_of(&event) != signals {
            restore(&mut event, signals);
        }
        if outcome.blocked.is_empty() && !outcome.changed.is_empty() {
            outcome.json = serde_json::to_string(&event).ok();
        }
        outcome
    }

    /// Takes an event through the first steps, until one does not let it in.
    fn run(&self, steps: usize, event: &mut Map<String, Value>) -> Outcome {
        let mut outcome = Outcome::default();
        for (place, (events, apply)) in self.steps.iter().enumerate().take(steps) {
            if !events.is_empty() && !events.iter().any(|name| *name == name_of(event)) {
                continue;
            }
            let mut found = Found::default();
            apply(event, &mut found);
            if found.changed > 0 {
                outcome.changed.push((place, found.changed));
            }
            outcome.violations.extend(found.violations);
            outcome.blocked = found.blocked;
            if !outcome.blocked.is_empty() {
                break;
            }
        }
        outcome
    }
}

/// An event as a tree. Half of a surrogate pair, which is no character and yet stands in what some senders cut off, becomes
/// U+FFFD.
fn tree(json: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(json).or_else(|_| serde_json::from_str(&with_whole_characters(json))).ok()
}

fn with_whole_characters(json: &str) -> String {
    let unit = |at: usize| -> Option<u16> {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::with_capacity(json.len());
    let mut at = 0;
    while let Some(next) = json[at..].find('\\') {
        whole.push_str(&json[at..at + next]);
        at += next;
        let (taken, put) = match (unit(at), unit(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (12, &json[at..at + 12]),
            (Some(0xd800..0xe000), _) => (6, "\\ufffd"),
            (Some(_), _) => (6, &json[at..at + 6]),
            // Another escape: the character after the backslash is none of ours.
            (None, _) => {
                let after = json[at + 1..].chars().next().map_or(0, char::len_utf8);
                (1 + after, &json[at..at + 1 + after])
            }
        };
        whole.push_str(put);
        at += taken;
    }
    whole.push_str(&json[at..]);
    whole
}

/// What the person said about consent, as the SDKs send it.
const SIGNALS: [&str; 2] = ["consent", "consentManagement"];

fn signals_of(event: &Map<String, Value>) -> [Option<Value>; 2] {
    let context = event.get("context").and_then(Value::as_object);
    SIGNALS.map(|name| context.and_then(|context| context.get(name)).cloned())
}

/// Whatever the steps did: what the person said is not ours to change.
fn restore(event: &mut Map<String, Value>, signals: [Option<Value>; 2]) {
    let context = event.entry("context").or_insert_with(|| Value::Object(Map::new()));
    if !context.is_object() {
        *context = Value::Object(Map::new());
    }
    let Value::Object(context) = context else { return };
    for (name, signal) in SIGNALS.into_iter().zip(signals) {
        match signal {
            Some(signal) => drop(context.insert(name.to_owned(), signal)),
            None => drop(context.remove(name)),
        }
    }
}

/// The name of a track event, or the call.
fn name_of(event: &Map<String, Value>) -> &str {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    match text("type") {
        Some("track") => text("event").unwrap_or("track"),
        other => other.unwrap_or_default(),
    }
}
