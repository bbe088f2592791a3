//! How good a source's events are: completeness, validity, uniqueness, freshness, volume and drift, field by field.
//!
//! It reads a sample in memory and tells figures, never values: a report may be seen by people who may not see the data.

use std::{
    collections::{BTreeMap, HashSet, hash_map::DefaultHasher},
    hash::Hasher as _,
};

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{name_of, steps};

/// Fields that are looked at; others are counted in `fields_left_out`.
const FIELDS_MAX: usize = 2000;

/// Different values of a field that are counted; where there are more, it says so many.
const DISTINCT_MAX: usize = 100_000;

/// Numbers of which figures are told: those of fewer would tell whose they are.
const FIGURES_MIN: usize = 20;

/// Days before the last on which an event came that are looked at.
const DAYS_MAX: i64 = 400;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The population stability index from which on a field counts as drifted; the custom of credit scoring.
const DRIFTED: f64 = 0.25;

/// An event of the sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its JSON.
    pub json: String,
    /// When it happened, milliseconds since 1970.
    pub at_ms: i64,
    /// Whether it goes against the tracking plan.
    pub violates: bool,
}

/// What a sample of a source's events says of it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Report {
    /// Events in the sample.
    pub events: usize,
    /// Share of events that fit the tracking plan, 0 to 1.
    pub validity: f64,
    /// By event.
    pub volume: Vec<Volume>,
    /// By event and field.
    pub fields: Vec<Field>,
    /// Fields beyond the first 2,000.
    #[serde(skip_serializing_if = "is_zero")]
    pub fields_left_out: usize,
}

/// How often an event comes.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Volume {
    /// Its name.
    pub event: String,
    /// How many of the sample.
    pub events: usize,
    /// When the last one happened, milliseconds since 1970.
    pub last_ms: i64,
    /// The median of whole days.
    pub per_day: f64,
    /// Whole days on which many more or fewer came than on others: the day, and how many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub odd_days: Vec<(String, usize)>,
}

/// What a field holds.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Field {
    /// Of which event.
    pub event: String,
    /// Its place.
    pub place: String,
    /// In which share of the events it has a value, 0 to 1.
    pub completeness: f64,
    /// Values by their JSON type.
    pub types: BTreeMap<&'static str, usize>,
    /// Different values.
    pub distinct: usize,
    /// Share of values that are different, 0 to 1.
    pub uniqueness: f64,
    /// Of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// How far the newer half differs from the older one: the population stability index; above 0.25 much.
    pub drift: f64,
    /// What a steward would look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// Figures of a field's numbers; those that `discretise` and `scale` ask for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Numbers {
    /// The first percentile: the least itself would be somebody's own.
    pub min: f64,
    /// The last percentile.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// The deciles: nine bounds of ten ranges with equally many values; the fifth is the median.
    pub deciles: Vec<f64>,
    /// The distance between the quartiles.
    pub iqr: f64,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What is gathered of a field.
#[derive(Default)]
struct Gathered {
    present: usize,
    disguised: usize,
    types: BTreeMap<&'static str, usize>,
    distinct: HashSet<u64>,
    numbers: Vec<f64>,
    /// Hashes of the values, by event, for redundance and drift.
    values: Vec<(usize, u64)>,
}

/// Reads a sample. `used` says whether anything asks for a place (`traits.city`).
pub fn report(samples: &[Sample], used: &dyn Fn(&str) -> bool) -> Report {
    let mut fields: BTreeMap<(String, String), Gathered> = BTreeMap::new();
    let mut volume: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut left_out: HashSet<u64> = HashSet::new();
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by_key(|place| samples[*place].at_ms);
    for (number, place) in order.iter().enumerate() {
        let sample = &samples[*place];
        let Ok(event) = serde_json::from_str::<Map<String, Value>>(&sample.json) else { continue };
        let name = name_of(&event).to_owned();
        volume.entry(name.clone()).or_default().push(sample.at_ms);
        for part in ["traits", "properties"] {
            for (member, value) in event.get(part).and_then(Value::as_object).into_iter().flatten() {
                let key = (name.clone(), format!("{part}.{member}"));
                if fields.len() >= FIELDS_MAX && !fields.contains_key(&key) {
                    left_out.insert(hash(&key));
                    continue;
                }
                fields.entry(key).or_default().take(number, value);
            }
        }
    }
    let redundant = redundant(&fields);
    let valid = samples.iter().filter(|sample| !sample.violates).count();
    let total = |event: &str| volume.get(event).map_or(0, Vec::len);
    Report {
        events: samples.len(),
        validity: share(valid, samples.len()),
        fields: fields
            .iter()
            .map(|(key, gathered)| gathered.field(key, total(&key.0), redundant.get(key), used(&key.1)))
            .collect(),
        fields_left_out: left_out.len(),
        volume: volume.into_iter().map(|(event, times)| of_volume(event, &times)).collect(),
    }
}

impl Gathered {
    fn take(&mut self, number: usize, value: &Value) {
        let kind = match value {
            Value::Null => return,
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.present += 1;
        *self.types.entry(kind).or_default() += 1;
        self.disguised += usize::from(steps::is_null_in_disguise(value));
        if let Some(number) = value.as_f64() {
            self.numbers.push(number);
        }
        let hash = hash(&value.to_string());
        if self.distinct.len() < DISTINCT_MAX {
            self.distinct.insert(hash);
        }
        self.values.push((number, hash));
    }

    fn field(&self, (event, place): &(String, String), events: usize, same: Option<&String>, used: bool) -> Field {
        let drift = self.drift();
        let mut findings = vec![];
        if self.present == 0 {
            findings.push("always null: drop it".to_owned());
        } else if self.distinct.len() == 1 && self.present >= 20 {
            findings.push("always the same value: it tells nothing apart".to_owned());
        }
        if let Some(other) = same {
            findings.push(format!("always equal to {other}: one of them is redundant"));
        }
        if self.disguised > 0 {
            findings.push(format!("{} nulls in disguise: clean it", self.disguised));
        }
        if self.types.len() > 1 {
            let types: Vec<String> = self.types.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            findings.push(format!("several types: {}", types.join(", ")));
        }
        if drift > DRIFTED {
            findings.push("the newer half differs much from the older".to_owned());
        }
        if !used {
            findings.push("no segment, computed trait or rule asks for it".to_owned());
        }
        Field {
            event: event.clone(),
            place: place.clone(),
            completeness: share(self.present, events),
            types: self.types.clone(),
            distinct: self.distinct.len(),
            uniqueness: share(self.distinct.len(), self.present),
            numbers: numbers(&self.numbers),
            drift,
            findings,
        }
    }

    /// Population stability index of the newer half against the older, over the values that are frequent in the older half, and
    /// all others together; of numbers over the older half's deciles.
    fn drift(&self) -> f64 {
        let half = self.values.len() / 2;
        // Of keys every value is another.
        let is_key =
            self.distinct.len() == self.values.len() && self.numbers.iter().all(|number| number.fract() == 0.0);
        if half < 50 || is_key {
            return 0.0;
        }
        let counts: Vec<[usize; 2]> = if self.numbers.len() == self.values.len() && self.distinct.len() > 20 {
            let bounds = deciles(&sorted(&self.numbers[..half]));
            let mut counts = vec![[0; 2]; bounds.len() + 1];
            for (place, number) in self.numbers.iter().enumerate() {
                counts[bounds.partition_point(|bound| bound <= number)][usize::from(place >= half)] += 1;
            }
            counts
        } else {
            let mut frequent: BTreeMap<u64, usize> = BTreeMap::new();
            self.values[..half].iter().for_each(|(_, value)| *frequent.entry(*value).or_default() += 1);
            let mut frequent: Vec<(u64, usize)> =
                frequent.into_iter().filter(|(_, count)| count * 50 >= half).collect();
            frequent.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
            frequent.truncate(20);
            let mut counts = vec![[0; 2]; frequent.len() + 1];
            for (place, (_, value)) in self.values.iter().enumerate() {
                let bin = frequent.iter().position(|(known, _)| known == value).unwrap_or(frequent.len());
                counts[bin][usize::from(place >= half)] += 1;
            }
            counts
        };
        let newer = self.values.len() - half;
        let part = |count: usize, of: usize| (count as f64 + 0.5) / (of as f64 + 0.5 * counts.len() as f64);
        let psi = |[older, fresh]: &[usize; 2]| {
            let (older, fresh) = (part(*older, half), part(*fresh, newer));
            (fresh - older) * (fresh / older).ln()
        };
        round(counts.iter().map(psi).sum())
    }
}

/// Fields that always have the value that another field of the same event has: of each the first such.
fn redundant(fields: &BTreeMap<(String, String), Gathered>) -> BTreeMap<(String, String), String> {
    let mut seen: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (key, gathered) in fields {
        if gathered.distinct.len() < 2 || gathered.present < 20 {
            continue;
        }
        match seen.get(&(key.0.as_str(), hash(&gathered.values))) {
            Some(first) => drop(found.insert(key.clone(), (*first).to_owned())),
            None => drop(seen.insert((key.0.as_str(), hash(&gathered.values)), &key.1)),
        }
    }
    found
}

fn of_volume(event: String, times: &[i64]) -> Volume {
    let mut days: BTreeMap<i64, usize> = BTreeMap::new();
    times.iter().for_each(|at| *days.entry(at.div_euclid(DAY_MS)).or_default() += 1);
    let (first, last) = (days.keys().next().copied(), days.keys().next_back().copied());
    // The first and the last day may be cut by the sample; a day without any counts as one.
    let whole: Vec<(i64, usize)> = match (first, last) {
        (Some(first), Some(last)) => {
            (first.max(last - DAYS_MAX) + 1..last).map(|day| (day, days.get(&day).copied().unwrap_or(0))).collect()
        }
        _ => vec![],
    };
    let counts = sorted(&whole.iter().map(|(_, count)| *count as f64).collect::<Vec<_>>());
    let median = quantile(&counts, 0.5);
    let distances = sorted(&counts.iter().map(|count| (count - median).abs()).collect::<Vec<_>>());
    // Five robust standard deviations (1.4826 times the median distance), and a fifth of the usual at the least.
    let far = (5.0 * 1.4826 * quantile(&distances, 0.5)).max(0.2 * median).max(5.0);
    let odd = |(day, count): &(i64, usize)| {
        let date = jiff::Timestamp::from_millisecond(day * DAY_MS).ok()?;
        let is_odd = whole.len() >= 7 && (*count as f64 - median).abs() > far;
        is_odd.then(|| (date.strftime("%Y-%m-%d").to_string(), *count))
    };
    Volume {
        events: times.len(),
        last_ms: times.iter().copied().max().unwrap_or_default(),
        per_day: median,
        odd_days: whole.iter().filter_map(odd).collect(),
        event,
    }
}

fn numbers(numbers: &[f64]) -> Option<Numbers> {
    let sorted = sorted(numbers);
    if sorted.len() < FIGURES_MIN {
        return None;
    }
    let (min, max) = (quantile(&sorted, 0.01), quantile(&sorted, 0.99));
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let variance = sorted.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / sorted.len() as f64;
    Some(Numbers {
        min,
        max,
        mean: round(mean),
        deviation: round(variance.sqrt()),
        deciles: deciles(&sorted),
        iqr: round(quantile(&sorted, 0.75) - quantile(&sorted, 0.25)),
    })
}

fn deciles(sorted: &[f64]) -> Vec<f64> {
    (1..10).map(|tenth| quantile(sorted, f64::from(tenth) / 10.0)).collect()
}

/// The quantile with linear interpolation (type 7 of Hyndman and Fan, 1996).
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = at * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { round(part as f64 / of as f64) }
}

fn round(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn hash(of: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
