//! A seeded shop in two Parquet files, `profiles.parquet` and `events.parquet`, for benchmarks beside other engines.

use std::{fs::File, path::Path, sync::Arc};

use onefold_model::{clock::DAY_MS, rng::SeededRng};
use parquet::{
    basic::Compression,
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader as _, SerializedFileReader},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    record::Field,
    schema::parser::parse_message_type,
};

/// The days before now that the events are in.
pub const DAYS: i64 = 180;

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
/// Plan and weight in hundredths.
const PLANS: [(&str, u64); 4] = [("free", 60), ("basic", 25), ("pro", 12), ("enterprise", 3)];

const ROWS: u64 = 1 << 20;

/// A customer of the shop.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Customer {
    pub user_id: i64,
    pub country: String,
    pub plan: String,
    pub age: i64,
    pub email_consent: bool,
}

/// Something a customer did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Action {
    pub user_id: i64,
    /// Milliseconds since 1970.
    pub ts: i64,
    pub event: String,
    pub category: String,
    pub revenue: f64,
}

/// Writes both files. The last event is shortly before `now_ms`; few people make most of the events.
pub fn make(folder: &Path, users: u64, events: u64, now_ms: i64) -> Result<(), ParquetError> {
    let rng = SeededRng::new(7);
    let pick = |weights: &[(&'static str, u64)], all: u64| {
        let mut left = rng.below(all);
        let found = weights.iter().find(|(_, weight)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        found.map_or("", |(name, _)| *name)
    };
    let profiles = "message profiles { required int64 user_id; required binary country (UTF8); required binary plan (UTF8); \
                    required int32 age; required boolean email_consent; }";
    let mut file = writer(&folder.join("profiles.parquet"), profiles)?;
    for start in (0..users).step_by(ROWS as usize) {
        let ids = start..users.min(start + ROWS);
        let mut group = file.next_row_group()?;
        column::<Int64Type>(&mut group, ids.clone().map(|id| id as i64))?;
        column::<ByteArrayType>(&mut group, ids.clone().map(|_| COUNTRIES[rng.below(12) as usize].into()))?;
        column::<ByteArrayType>(&mut group, ids.clone().map(|_| pick(&PLANS, 100).into()))?;
        column::<Int32Type>(&mut group, ids.clone().map(|_| 16 + rng.below(74) as i32))?;
        column::<BoolType>(&mut group, ids.map(|_| rng.below(100) < 55))?;
        group.close()?;
    }
    file.close()?;

    let schema = "message events { required int64 user_id; required int64 ts (TIMESTAMP(MILLIS,true)); required binary event (UTF8); \
                  required binary category (UTF8); required double revenue; }";
    let mut file = writer(&folder.join("events.parquet"), schema)?;
    let categories: Vec<ByteArray> = (0..40).map(|n| format!("cat{n:02}").into_bytes().into()).collect();
    for start in (0..events).step_by(ROWS as usize) {
        let numbers = start..events.min(start + ROWS);
        let names: Vec<&str> = numbers.clone().map(|_| pick(&EVENTS, 1000)).collect();
        let mut group = file.next_row_group()?;
        column::<Int64Type>(
            &mut group,
            numbers.clone().map(|_| {
                let rank = (rng.below(1 << 32) as f64 / (1u64 << 32) as f64).powf(2.5) * users as f64;
                // Who they are has nothing to do with how much they do.
                (rank as u64).wrapping_mul(7_919).wrapping_add(13).checked_rem(users).unwrap_or_default() as i64
            }),
        )?;
        column::<Int64Type>(
            &mut group,
            numbers.clone().map(|n| {
                let at = now_ms - DAYS * DAY_MS + (n as f64 / events as f64 * (DAYS * DAY_MS) as f64) as i64;
                (at + rng.below(3_600_000) as i64).min(now_ms - 1)
            }),
        )?;
        column::<ByteArrayType>(&mut group, names.iter().map(|name| (*name).into()))?;
        column::<ByteArrayType>(&mut group, numbers.map(|_| categories[rng.below(40) as usize].clone()))?;
        let revenue =
            |name: &&str| if *name == "Order Completed" { (500 + rng.below(20_000)) as f64 / 100.0 } else { 0.0 };
        column::<DoubleType>(&mut group, names.iter().map(revenue))?;
        group.close()?;
    }
    file.close()?;
    Ok(())
}

fn writer(file: &Path, schema: &str) -> Result<SerializedFileWriter<File>, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(File::create(file)?, Arc::new(parse_message_type(schema)?), Arc::new(properties))
}

fn column<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: impl Iterator<Item = T::T>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
    column.typed::<T>().write_batch(&values.collect::<Vec<_>>(), None, None)?;
    column.close()
}

/// Calls `on` for each customer of a shop's folder.
pub fn customers(folder: &Path, mut on: impl FnMut(Customer)) -> Result<(), ParquetError> {
    rows(&folder.join("profiles.parquet"), |fields| {
        let mut customer = Customer::default();
        for (name, field) in fields {
            match name.as_str() {
                "user_id" => customer.user_id = whole(field),
                "country" => customer.country = text(field),
                "plan" => customer.plan = text(field),
                "age" => customer.age = whole(field),
                "email_consent" => customer.email_consent = matches!(field, Field::Bool(true)),
                _ => {}
            }
        }
        on(customer);
    })
}

/// Calls `on` for each event of a shop's folder.
pub fn actions(folder: &Path, mut on: impl FnMut(Action)) -> Result<(), ParquetError> {
    rows(&folder.join("events.parquet"), |fields| {
        let mut action = Action::default();
        for (name, field) in fields {
            match (name.as_str(), field) {
                ("user_id", field) => action.user_id = whole(field),
                ("ts", Field::TimestampMicros(us)) => action.ts = us / 1000,
                ("ts", field) => action.ts = whole(field),
                ("event", field) => action.event = text(field),
                ("category", field) => action.category = text(field),
                ("revenue", Field::Double(amount)) => action.revenue = *amount,
                _ => {}
            }
        }
        on(action);
    })
}

fn rows(file: &Path, mut on: impl FnMut(Vec<(&String, &Field)>)) -> Result<(), ParquetError> {
    let reader = SerializedFileReader::new(File::open(file)?)?;
    for row in reader.get_row_iter(None)? {
        on(row?.get_column_iter().collect());
    }
    Ok(())
}

fn whole(field: &Field) -> i64 {
    match field {
        Field::Byte(n) => (*n).into(),
        Field::Short(n) => (*n).into(),
        Field::Int(n) => (*n).into(),
        Field::Long(n) | Field::TimestampMillis(n) => *n,
        Field::UInt(n) => (*n).into(),
        _ => 0,
    }
}

fn text(field: &Field) -> String {
    if let Field::Str(text) = field { text.clone() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let now = 1_767_225_600_000;
        make(folder.path(), 50, 2_000, now).unwrap();
        let (mut all, mut acted) = (vec![], vec![]);
        customers(folder.path(), |customer| all.push(customer)).unwrap();
        actions(folder.path(), |action| acted.push(action)).unwrap();
        assert_eq!((all.len(), acted.len()), (50, 2_000));
        assert!(
            (0..).zip(&all).all(|(n, c)| c.user_id == n && c.age >= 16 && !c.plan.is_empty() && c.country.len() == 2)
        );
        assert!(acted.iter().all(|a| (0..50).contains(&a.user_id) && a.ts < now && a.ts >= now - DAYS * DAY_MS));
        let orders: Vec<&Action> = acted.iter().filter(|a| a.event == "Order Completed").collect();
        assert!(orders.len() > 20 && orders.iter().all(|order| order.revenue >= 5.0));
    }
}
