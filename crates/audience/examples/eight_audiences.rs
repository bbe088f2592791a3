//! The eight audiences of the benchmark over a seeded shop, on the index alone.
//!
//! `cargo run --release -p onefold-audience --example eight_audiences -- 1000000 20000000`: people, events. Prints a line of
//! JSON for each audience: how many are in, and the median of eleven asks with thresholds drawn anew each time.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::time::Instant;

use onefold_audience::{Index, Person, Wants};
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value,
    clock::DAY_MS,
    profile::computed::ComputedTrait,
    rng::SeededRng,
    segment::{Condition, EventFields, Lookup, Path, text},
};
use rust_decimal::Decimal;

/// Name and weight in thousandths.
const EVENTS: [(&str, u64); 12] = [
    ("Page Viewed", 300),
    ("Product Viewed", 240),
    ("Product List Viewed", 100),
    ("Product Added", 80),
    ("Product Removed", 20),
    ("Cart Viewed", 50),
    ("Checkout Started", 30),
    ("Order Completed", 25),
    ("Order Refunded", 2),
    ("Email Opened", 90),
    ("Email Clicked", 20),
    ("Signed In", 43),
];
const COUNTRIES: [&str; 12] = ["DE", "PL", "RU", "CN", "US", "FR", "GB", "ES", "IT", "NL", "SE", "CZ"];
const NOW: Timestamp = Timestamp(1_767_225_600_000);

struct Event {
    name: &'static str,
    at: Timestamp,
    category: Value,
    revenue: Decimal,
}

impl EventFields for Event {
    fn name(&self) -> &str {
        self.name
    }
    fn at(&self) -> Timestamp {
        self.at
    }
    fn value(&self, path: &Path) -> Option<Value> {
        match path.0.as_str() {
            "category" => Some(self.category.clone()),
            "revenue" => Some(Value::Number(self.revenue)),
            _ => None,
        }
    }
    fn amount(&self, path: &Path) -> Option<Decimal> {
        (path.0 == "revenue").then_some(self.revenue)
    }
}

struct Customer {
    nodes: [NodeId; 1],
    country: Value,
    plan: Value,
    age: Value,
    consents: bool,
}

impl Person for Customer {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }
    fn trait_value(&self, name: &str) -> Option<&Value> {
        match name {
            "country" => Some(&self.country),
            "plan" => Some(&self.plan),
            "age" => Some(&self.age),
            _ => None,
        }
    }
    fn reachable(&self, _: &str, _: Option<&str>) -> bool {
        self.consents
    }
}

struct Nothing;

impl Lookup for Nothing {
    fn segment(&self, _: &str) -> Option<&Condition> {
        None
    }
    fn computed(&self, _: &str) -> Option<&ComputedTrait> {
        None
    }
    fn time_zone(&self) -> &jiff::tz::TimeZone {
        const { &jiff::tz::TimeZone::UTC }
    }
}

/// The eight, with thresholds.
fn audiences(draw: &mut dyn FnMut(u64, u64) -> u64) -> [String; 8] {
    [
        format!(r#"count("Order Completed") >= {} within {} days and trait country = "DE""#, draw(2, 4), draw(25, 35)),
        format!(
            r#"count("Product Viewed" where category = "cat{:02}") >= {} within {} days and count("Order Completed") = 0 within {} days"#,
            draw(0, 39),
            draw(2, 3),
            draw(5, 9),
            draw(25, 35)
        ),
        format!(
            r#"sum("Order Completed", revenue) > {} within {} days and trait plan in ("pro", "enterprise")"#,
            draw(300, 700),
            draw(80, 100)
        ),
        format!(r#""Product Added" within {} days then no "Order Completed""#, draw(5, 9)),
        format!(r#"count("Order Completed") >= 1 and count(any event) = 0 within {} days"#, draw(50, 70)),
        format!(
            r#"trait country in ("DE", "PL", "FR") and trait plan != "free" and trait age between {} and {} and may be reached for marketing"#,
            draw(20, 30),
            draw(40, 60)
        ),
        format!(r#"first("Order Completed") within {} days"#, draw(20, 40)),
        format!(
            r#"count("Email Clicked") >= 2 within {} days and may be reached for marketing and count("Order Refunded") = 0 within {} days"#,
            draw(10, 18),
            draw(80, 100)
        ),
    ]
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a number"));
    let (people, events) = (args.next().unwrap_or(100_000), args.next().unwrap_or(2_000_000));
    let rng = SeededRng::new(7);
    let mut draw = |least: u64, most: u64| least + rng.below(most - least + 1);
    let parse = |text: &String| text::parse(text).expect("a condition");
    let mut wants = Wants::default();
    // Any category may be asked for: what is kept is the property, not the value.
    audiences(&mut draw).iter().for_each(|text| wants.add_of(&parse(text), &Nothing));
    let began = Instant::now();
    let mut index = Index::new(wants);
    for n in 0..people {
        let plan = ["free", "basic", "pro", "enterprise"][match draw(0, 99) {
            0..60 => 0,
            60..85 => 1,
            85..97 => 2,
            _ => 3,
        }];
        let text = |text: &str| Value::Text(text.to_owned());
        let person = Customer {
            nodes: [NodeId(n as i64)],
            country: text(COUNTRIES[draw(0, 11) as usize]),
            plan: text(plan),
            age: Value::Number(draw(16, 89).into()),
            consents: draw(0, 99) < 55,
        };
        index.set(ProfileId(NodeId(n as i64)), Some(&person));
    }
    let categories: Vec<Value> = (0..40).map(|n| Value::Text(format!("cat{n:02}"))).collect();
    for n in 0..events {
        // Few people make most of the events; who they are has nothing to do with when they came.
        let rank = ((draw(0, u64::from(u32::MAX)) as f64 / f64::from(u32::MAX)).powf(2.5) * (people - 1) as f64) as u64;
        let person = (rank * 7_919 + 13) % people;
        let at = NOW.minus(180 * DAY_MS).plus((n as f64 / events as f64 * 180.0 * DAY_MS as f64) as i64);
        let mut left = draw(0, 999);
        let name = EVENTS.iter().find(|(_, weight)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        let name = name.map_or("Page Viewed", |(name, _)| *name);
        let revenue = if name == "Order Completed" { Decimal::new(draw(500, 20_000) as i64, 2) } else { Decimal::ZERO };
        let event = Event {
            name,
            at: at.plus(draw(0, 3_600_000) as i64).min(NOW.minus(1)),
            category: categories[draw(0, 39) as usize].clone(),
            revenue,
        };
        index.add(NodeId(person as i64), &event);
    }
    audiences(&mut draw).iter().for_each(|text| index.prepare(&parse(text), &Nothing));
    let seconds = began.elapsed().as_secs_f64();
    println!(r#"{{"people":{people},"events":{events},"load_s":{seconds:.1},"mib":{}}}"#, index.heap_bytes() >> 20);
    let mut took: [Vec<f64>; 8] = Default::default();
    let mut last = [0; 8];
    for _ in 0..11 {
        for (place, text) in audiences(&mut draw).iter().enumerate() {
            let condition = parse(text);
            let began = Instant::now();
            let found = index.ask(&condition, &Nothing, NOW).expect("all is kept");
            last[place] = found.len();
            took[place].push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let mut medians = vec![];
    for (place, took) in took.iter_mut().enumerate() {
        took.sort_by(f64::total_cmp);
        medians.push(took[took.len() / 2]);
        println!(r#"{{"audience":{},"count":{},"ms":{:.2}}}"#, place + 1, last[place], took[took.len() / 2]);
    }
    medians.sort_by(f64::total_cmp);
    println!(r#"{{"median_ms":{:.2}}}"#, (medians[3] + medians[4]) / 2.0);
}
