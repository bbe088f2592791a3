//! What SQL asks of JSON, in the segment language's own terms.
//!
//! SQL's own JSON functions know floats; the segment language knows exact numbers, values that compare only with their
//! like, and dates. Where SQL answers for a segment it asks these, which are that language's own code. A value stands as
//! its JSON text; `None` is no value.

use jiff::tz::TimeZone;
use onefold_model::{
    Timestamp, Value,
    consent::{Policy, Said},
    json::Members,
    profile::{Series, computed::ComputedTrait, series::Point},
    segment::{Condition, Gathered, Keeps, Lookup, Metric, Program, Test},
    value::{self, AMOUNT_PLACES},
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A literal that is not what the function takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

fn unreadable(what: &str, error: impl std::fmt::Display) -> Unreadable {
    Unreadable(format!("{what}: {error}"))
}

fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

fn members(object: &str) -> Option<Members<'_>> {
    serde_json::from_str(object).ok()
}

fn there(raw: &RawValue) -> Option<&str> {
    (raw.get() != "null").then(|| raw.get())
}

/// The value of an object's member.
pub fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object)?.get(name).and_then(there)
}

/// The value at a dotted path into an object. A member whose own name has the dots in it comes first.
pub fn at_path<'a>(object: &'a str, path: &str) -> Option<&'a str> {
    members(object)?.at_path(path).and_then(there)
}

/// The amount that a value holds, in units of [`AMOUNT_PLACES`] decimal places.
pub fn amount(value: &str) -> Option<i128> {
    let mut amount = value::amount_of(raw(value)?)?;
    amount.rescale(AMOUNT_PLACES);
    Some(amount.mantissa())
}

/// The value in the one form that equal values share.
pub fn canonical(value: &str) -> Option<String> {
    match Value::from_json(raw(value)?) {
        Value::Null => None,
        value => Some(value.to_json()),
    }
}

/// A sum of amounts, in units of [`AMOUNT_PLACES`] decimal places, as a value.
pub fn total(sum: i128) -> String {
    of_units(sum).normalize().to_string()
}

/// The mean of so many amounts with this sum, as a value; none where there are none.
pub fn mean(sum: i128, count: i64) -> Option<String> {
    of_units(sum).checked_div(Decimal::from(count)).map(|mean| mean.normalize().to_string())
}

fn of_units(sum: i128) -> Decimal {
    // A sum beyond 28 digits keeps its first ones, as sums of the language do.
    let mut places = AMOUNT_PLACES;
    let mut sum = sum;
    loop {
        match Decimal::try_from_i128_with_scale(sum, places) {
            Ok(sum) => return sum,
            Err(_) if places == 0 => return if sum < 0 { Decimal::MIN } else { Decimal::MAX },
            Err(_) => (sum, places) = (sum / 10, places - 1),
        }
    }
}

/// A test of values, of an instant, in a time zone.
pub struct Passes {
    program: Program,
    now: Timestamp,
}

impl Passes {
    /// Of a test in JSON: `{"at_least": 2}`.
    pub fn read(test: &str, now: Timestamp, zone: &str) -> Result<Passes, Unreadable> {
        let is: Test = serde_json::from_str(test).map_err(|error| unreadable("the test", error))?;
        let zone = TimeZone::get(zone).map_err(|error| unreadable("the time zone", error))?;
        let condition = Condition::Trait { name: NAME.to_owned(), is };
        let (program, _) = Program::alone(&condition, &Known { zone, computed: vec![] })
            .map_err(|error| unreadable("the test", error))?;
        Ok(Passes { program, now })
    }

    /// Whether a value passes, or that there is none.
    pub fn passes(&self, value: Option<&str>) -> bool {
        let value = value.and_then(raw).map(Value::from_json).filter(|value| *value != Value::Null);
        let facts = Gathered { of_trait: value.as_ref().map(|value| (NAME, value)), series: &[] };
        self.program.evaluate(&facts, self.now).holds
    }
}

/// What the value is called that is tested.
const NAME: &str = "value";

/// Reads a policy of consent. What cannot be read is the strictest: it asks for consent to everything.
pub fn policy(json: &str) -> Policy {
    serde_json::from_str(json).unwrap_or_default()
}

/// Whether somebody who said this of consent, as copies of profiles keep it ([`Said`]), may be reached.
pub fn reachable(
    consents: Option<&str>,
    purpose: &str,
    channel: Option<&str>,
    policy: &Policy,
    now: Timestamp,
) -> bool {
    // What cannot be read denies.
    Said::from_json(consents).is_some_and(|said| said.decide(policy, purpose, channel, now).allowed)
}

/// A condition that is asked of the points of its metrics: what SQL has no aggregates for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfPoints {
    /// The condition.
    pub condition: Condition,
    /// The computed traits that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed: Vec<ComputedTrait>,
    /// The instant.
    pub now: Timestamp,
    /// The time zone's name.
    pub zone: String,
}

/// The same made ready.
pub struct Holds {
    program: Program,
    metrics: Vec<Metric>,
    now: Timestamp,
}

impl OfPoints {
    /// Makes it ready.
    pub fn ready(self) -> Result<Holds, Unreadable> {
        let OfPoints { condition, computed, now, zone } = self;
        let zone = TimeZone::get(&zone).map_err(|error| unreadable("the time zone", error))?;
        let (program, metrics) = Program::alone(&condition, &Known { zone, computed })
            .map_err(|error| unreadable("the condition", error))?;
        Ok(Holds { program, metrics, now })
    }
}

impl Holds {
    /// Of an [`OfPoints`] in JSON.
    pub fn read(json: &str) -> Result<Holds, Unreadable> {
        let spec: OfPoints = serde_json::from_str(json).map_err(|error| unreadable("the condition", error))?;
        spec.ready()
    }

    /// The metrics it reads, in the order in which their points are given.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Whether it holds for a person with these points: of each metric times in milliseconds, or `[time, value]` where it
    /// keeps values, with commas between.
    pub fn holds<'a>(&self, points: impl Iterator<Item = Option<&'a str>>) -> Result<bool, Unreadable> {
        let mut series: Vec<Series> = vec![];
        for (metric, points) in self.metrics.iter().zip(points) {
            let json = format!("[{}]", points.unwrap_or_default());
            let mut found: Vec<Point> = match metric.keeps {
                Keeps::Value(_) => {
                    let read: Vec<(i64, &RawValue)> =
                        serde_json::from_str(&json).map_err(|error| unreadable("the points", error))?;
                    let point =
                        |(at, value)| Point { at: Timestamp(at), amount: None, value: Some(Value::from_json(value)) };
                    read.into_iter().map(point).collect()
                }
                Keeps::Amount(_) => return Err(unreadable("the points", "there are aggregates of amounts")),
                Keeps::Time => {
                    let read: Vec<i64> =
                        serde_json::from_str(&json).map_err(|error| unreadable("the points", error))?;
                    read.into_iter().map(|at| Point { at: Timestamp(at), amount: None, value: None }).collect()
                }
            };
            let mut of_metric = Series::default();
            found.sort_unstable_by_key(|point| point.at);
            of_metric.insert_all(found);
            series.push(of_metric);
        }
        Ok(self.program.evaluate(&Gathered { of_trait: None, series: &series }, self.now).holds)
    }
}

/// What a condition by itself may name.
struct Known {
    zone: TimeZone,
    computed: Vec<ComputedTrait>,
}

impl Lookup for Known {
    fn segment(&self, _: &str) -> Option<&Condition> {
        None
    }

    fn computed(&self, name: &str) -> Option<&ComputedTrait> {
        self.computed.iter().find(|computed| computed.name == name)
    }

    fn time_zone(&self) -> &TimeZone {
        &self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name_and_by_path() {
        let object = r#"{"a":{"b":1},"a.b":2,"n":null,"a":{"b":3,"c":[4]}}"#;
        assert_eq!(member(object, "a.b"), Some("2"));
        assert_eq!(member(object, "a"), Some(r#"{"b":3,"c":[4]}"#), "of a name that stands twice the last");
        assert_eq!(at_path(object, "a.b"), Some("2"), "a name with dots comes first");
        assert_eq!(at_path(object, "a.c"), Some("[4]"));
        assert_eq!(
            (member(object, "n"), member(object, "a.c"), at_path("[1]", "a"), at_path("{", "a")),
            (None, None, None, None)
        );
    }

    #[test]
    fn amounts_and_values_are_exact() {
        let units = 10_i128.pow(AMOUNT_PLACES);
        assert_eq!(amount("\"19.90\""), Some(199 * units / 10));
        assert_eq!((amount("\"many\""), amount("null"), amount("1e16"), amount("")), (None, None, None, None));
        assert_eq!(canonical("1.50e0").as_deref(), Some("1.5"));
        assert_eq!(canonical("\"1.5\"").as_deref(), Some("\"1.5\""));
        assert_eq!(canonical("\"\\u0061\"").as_deref(), Some("\"a\""));
        assert_eq!(canonical("null"), None);
        assert_eq!(total(199 * units / 10), "19.9");
        assert_eq!(total(i128::MIN / 2).len(), Decimal::MIN.to_string().len(), "beyond what a number holds");
        assert_eq!(mean(10 * units, 4).as_deref(), Some("2.5"));
        assert_eq!(mean(0, 0), None);
    }

    #[test]
    fn tests_and_consent_say_what_the_language_says() {
        let now = Timestamp::parse("2026-03-01T00:00:00Z").unwrap();
        let passes = |test: &str, value: Option<&str>| Passes::read(test, now, "UTC").unwrap().passes(value);
        assert!(passes(r#"{"at_least":2}"#, Some("2.0")));
        assert!(!passes(r#"{"at_least":2}"#, Some("\"2\"")));
        assert!(passes(r#"{"exists":false}"#, None) && passes(r#"{"exists":false}"#, Some("null")));
        assert!(passes(r#"{"date":{"within_ms":86400000}}"#, Some("\"2026-02-28T12:00:00Z\"")));
        assert!(!passes(r#"{"date":{"within_ms":86400000}}"#, Some("\"2026-02-27T12:00:00Z\"")));
        let wrong = |test: &str, zone: &str| Passes::read(test, now, zone).err().map(|error| error.to_string());
        assert!(wrong("{}", "UTC").unwrap().starts_with("the test: "));
        assert!(wrong(r#"{"exists":true}"#, "Nowhere").unwrap().starts_with("the time zone: "));

        let rows = r#"[{"at":5,"state":"granted","strength":"signal","purpose":"ads","channel":null,"offset":1}]"#;
        let may = |rows, purpose, policy_of, at| reachable(rows, purpose, None, &policy(policy_of), Timestamp(at));
        let (allow, deny) = (r#"{"unstated":"allow"}"#, "{}");
        assert!(may(Some(rows), "ads", deny, 5) && !may(Some(rows), "ads", deny, 4));
        assert!(may(None, "ads", allow, 5) && !may(None, "ads", deny, 5) && !may(None, "ads", "no policy", 5));
        assert!(!may(Some("[{}]"), "ads", allow, 5), "what cannot be read denies");
        let lives = r#"{"jurisdiction":"EU","rows":[]}"#;
        let law = r#"{"unstated":"allow","jurisdictions":{"EU":{"of":[],"unstated":"deny"}}}"#;
        assert!(!may(Some(lives), "ads", law, 5) && may(None, "ads", law, 5));
    }

    #[test]
    fn points_of_a_sequence_are_asked_of_its_program() {
        let text = "event(\"A\") then event(\"B\") within 1 day";
        let condition = onefold_model::segment::text::parse(text).unwrap();
        let spec = OfPoints { condition, computed: vec![], now: Timestamp(1000), zone: "UTC".to_owned() };
        let ready = Holds::read(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(ready.metrics().len(), 2);
        let holds = |a, b| ready.holds([a, b].into_iter());
        assert_eq!(holds(Some("3,1"), Some("2")), Ok(true));
        assert_eq!(holds(Some("3"), Some("2")), Ok(false));
        assert_eq!(holds(None, Some("2")), Ok(false));
        assert!(holds(Some("x"), None).unwrap_err().to_string().starts_with("the points: "));
    }
}
