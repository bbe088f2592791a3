//! Exports in which nobody can be told from others: no ids, values made coarse, and no group of fewer than k people
//! (k-anonymity, Sweeney 2002). An export that differs from an earlier one of the same columns by fewer than k people is refused: the
//! difference of the two would be about those.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use arrow_cast::cast;
use arrow_schema::DataType;
use axum::{Json, extract::State};
use futures_util::TryStreamExt as _;
use jiff::civil::Date;
use onefold_lake::{Answer, segments};
use onefold_model::{ProfileId, Timestamp, access::Mask, clock::DAY_MS, rng, segment::Condition};
use onefold_state::{Scan, Value, schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{
    export::{no_sql, write},
    segments::{among, parsed},
    sql::unprintable,
};
use crate::{
    ApiError, App,
    caller::Caller,
    governance::{
        approvals::Matter,
        sensitive::{behind, check_use},
    },
};

/// People in a group at least, where nothing else is said; nobody may ask for fewer than [`K_MIN`].
const K: u32 = 10;
const K_MIN: u32 = 5;
/// An earlier export counts for so long.
const REMEMBERED_DAYS: i64 = 365;
/// Characters of a prefix at most: of longer ones most values would stand whole.
const PREFIX_MAX: usize = 4;
/// Columns at most: each tells people apart.
const COLUMNS_MAX: usize = 8;

/// Whose members, by which columns.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Anonymous {
    /// The name of a segment, or a condition as text.
    pub segment: String,
    /// Traits, with how coarse each is made: `as_is`, `age_band` (of a birthday: ten years), `prefix:2` (of a postcode), `band:50` (of a number),
    /// `day`, `week`, `month`, `year` (of a date).
    pub columns: BTreeMap<String, String>,
    /// People in a group at least; 10 if not said, and not fewer than 5.
    #[serde(default)]
    pub k: Option<u32>,
}

/// A group of people.
#[derive(Debug, Serialize, ToSchema)]
pub struct Group {
    /// What they have in common; `null`: they do not have the trait, or it is no such value.
    pub values: BTreeMap<String, Option<String>>,
    /// How many they are.
    pub people: u64,
}

/// An anonymous export.
#[derive(Debug, Serialize, ToSchema)]
pub struct Anonymised {
    /// People in a group at least.
    pub k: u32,
    /// The groups, the largest first.
    pub groups: Vec<Group>,
    /// How many people are in groups that are too small to be told; none, or at least k.
    pub suppressed: u64,
}

/// How coarse a value is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coarse {
    AsIs,
    AgeBand,
    Prefix(usize),
    Band(i64),
    Day,
    Week,
    Month,
    Year,
}

impl Coarse {
    fn read(text: &str) -> Option<Coarse> {
        Some(match text.split_once(':') {
            Some(("prefix", length)) => {
                Coarse::Prefix(length.parse().ok().filter(|length| (1..=PREFIX_MAX).contains(length))?)
            }
            Some(("band", width)) => Coarse::Band(width.parse().ok().filter(|width| *width > 1)?),
            Some(_) => return None,
            None => match text {
                "as_is" => Coarse::AsIs,
                "age_band" => Coarse::AgeBand,
                "day" => Coarse::Day,
                "week" => Coarse::Week,
                "month" => Coarse::Month,
                "year" => Coarse::Year,
                _ => return None,
            },
        })
    }

    /// A value made coarse; `None`: it is none of its kind.
    fn of(self, value: &str, today: Date) -> Option<String> {
        let date = || value.get(..10)?.parse::<Date>().ok();
        Some(match self {
            Coarse::AsIs => value.to_owned(),
            Coarse::Prefix(length) => {
                let front: String = value.chars().take(length).collect();
                if value.chars().count() > length { format!("{front}…") } else { front }
            }
            Coarse::Band(width) => {
                let low =
                    (value.parse::<f64>().ok().filter(|number| number.is_finite())? / width as f64).floor() as i64;
                format!("{}–{}", low.saturating_mul(width), low.saturating_mul(width).saturating_add(width - 1))
            }
            Coarse::AgeBand => {
                let born = date()?;
                let had = (today.month(), today.day()) >= (born.month(), born.day());
                let years = today.year() - born.year() - i16::from(!had);
                let low = years.clamp(0, 120) / 10 * 10;
                format!("{low}–{}", low + 9)
            }
            Coarse::Day => date()?.to_string(),
            Coarse::Week => {
                let week = date()?.iso_week_date();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Coarse::Month => date()?.strftime("%Y-%m").to_string(),
            Coarse::Year => date()?.year().to_string(),
        })
    }
}

/// What a group has in common, column by column.
type Values = Vec<Option<String>>;

/// Groups of at least k people, and how many are in none. Where fewer than k would be left out, the smallest group that is told
/// is left out as well: those few would be known by their number.
fn large_enough(groups: BTreeMap<Values, u64>, k: u64) -> (Vec<(Values, u64)>, u64) {
    let (mut told, small): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(_, people)| *people >= k);
    told.sort_by_key(|(_, people)| std::cmp::Reverse(*people));
    let mut left: u64 = small.iter().map(|(_, people)| people).sum();
    while left > 0 && left < k {
        let Some((_, people)) = told.pop() else { break };
        left += people;
    }
    (told, left)
}

/// By how many people two exports differ, each way.
fn differences(one: &BTreeSet<i64>, other: &BTreeSet<i64>) -> [u64; 2] {
    [one.difference(other).count() as u64, other.difference(one).count() as u64]
}

/// Ascending numbers, each as what it is more than the one before, in seven bits a byte (LEB128).
fn packed(people: &BTreeSet<i64>) -> Vec<u8> {
    let (mut out, mut last) = (vec![], 0);
    for number in people {
        let mut more = (number - last) as u64;
        last = *number;
        while more >= 0x80 {
            out.push(more as u8 | 0x80);
            more >>= 7;
        }
        out.push(more as u8);
    }
    out
}

/// What [`packed`] gives.
fn unpacked(bytes: &[u8]) -> BTreeSet<i64> {
    let (mut people, mut last, mut more, mut shift) = (BTreeSet::new(), 0_i64, 0_u64, 0);
    for byte in bytes {
        more |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            last = last.wrapping_add(more as i64);
            people.insert(last);
            (more, shift) = (0, 0);
        }
    }
    people
}

/// An export in which nobody can be told from at least k − 1 others.
#[utoipa::path(post, path = "/api/v1/segments/export/anonymous", request_body = Anonymous, responses((status = 200, body = Anonymised), (status = 400, body = ApiError), (status = 403, body = ApiError)))]
pub async fn export(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(Anonymous { segment, columns, k }): Json<Anonymous>,
) -> Result<Json<Anonymised>, ApiError> {
    let workspace = access.workspace;
    let k = k.unwrap_or(K);
    let bad = |cause: String, cure: &str| ApiError::bad_request("bad_export", cause, cure);
    if k < K_MIN {
        return Err(bad(format!("groups of {k} would tell people from each other"), "ask for 5 at least"));
    }
    if columns.is_empty() || columns.len() > COLUMNS_MAX {
        return Err(bad(format!("there are {} columns, not from 1 to {COLUMNS_MAX}", columns.len()), "name fewer"));
    }
    let mut coarse = vec![];
    for (name, how) in &columns {
        let cure = "as_is, age_band, prefix:N, band:N, day, week, month, year";
        let how = Coarse::read(how).ok_or_else(|| bad(format!("{name}: {how:?} makes nothing coarse"), cure))?;
        let mask = access.sight.mask_of_field(name);
        if mask == Mask::Hidden || (mask != Mask::Clear && how == Coarse::AsIs) {
            let cause = format!("your role does not see {name} as it is");
            return Err(ApiError::forbidden(cause, "make it coarse, or leave it out"));
        }
        coarse.push(how);
    }
    let definitions = app.read(move |app, reader| app.definitions(reader, workspace)).await?;
    let condition = match definitions.segments.contains_key(&segment) {
        true => Condition::Segment(segment),
        false => parsed(&segment)?,
    };
    let purpose = (!access.purpose.is_administration()).then(|| access.purpose.0.clone());
    let mut fields = condition.fields_through(&*definitions);
    fields.extend(columns.keys().cloned());
    let sensitive = check_use(&definitions, &fields, purpose.as_deref())?;
    if !sensitive.is_empty() {
        let summary = format!("an anonymous export with {}", Vec::from_iter(sensitive).join(", "));
        let what = (&condition, &columns, k, purpose, behind(&definitions, &condition));
        app.approved(&access, Matter::SensitiveUse, 1, summary, &what).await?;
    }
    let condition = among(&access, condition)?;
    let whole = access.unmasked();
    write(&app, &whole).await?;
    let at = app.tables.lake.published(workspace).map_or(access.at, |published| published.at);
    let members = segments::members(&condition, &*definitions, &definitions.policy, at).map_err(no_sql)?;
    let traits: String = columns
        .keys()
        .enumerate()
        .map(|(place, name)| format!(", p.traits->>{} AS t{place}", segments::quoted(name)))
        .collect();
    let sql = format!("SELECT p.id{traits} FROM ({members}) m JOIN profiles p USING (profile)");
    let Answer { rows, .. } = app.tables.engine.query(whole, sql, app.settings.lake.of_whole_tables()).await?;
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let now = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    let today = now.to_zoned(definitions.time_zone.clone()).date();
    let (mut groups, mut people) = (BTreeMap::<Values, u64>::new(), BTreeSet::new());
    for batch in &batches {
        let texts = batch.columns().iter().map(|column| cast(column, &DataType::Utf8).map_err(unprintable));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            if let Ok(id) = texts[0].as_string::<i32>().value(row).parse::<ProfileId>() {
                people.insert(id.0.0);
            }
            let value = |(column, how): (&arrow_array::ArrayRef, &Coarse)| {
                let column = column.as_string::<i32>();
                column.is_valid(row).then(|| how.of(column.value(row), today)).flatten()
            };
            *groups.entry(texts[1..].iter().zip(&coarse).map(value).collect()).or_default() += 1;
        }
    }
    let names: Vec<String> = columns.keys().cloned().collect();
    remember(&app, &access, &columns, people, k).await?;
    let (told, suppressed) = large_enough(groups, k.into());
    let group = |(values, people): (Values, u64)| Group { values: names.iter().cloned().zip(values).collect(), people };
    Ok(Json(Anonymised { k, groups: told.into_iter().map(group).collect(), suppressed }))
}

/// Refuses what differs by too few people from what was exported before, and keeps of the rest who was in it.
async fn remember(
    app: &Arc<App>,
    access: &onefold_model::access::Access,
    columns: &BTreeMap<String, String>,
    people: BTreeSet<i64>,
    k: u32,
) -> Result<(), ApiError> {
    let workspace = access.workspace;
    let text = serde_json::to_string(&columns.keys().collect::<Vec<_>>()).unwrap_or_default();
    let digest: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    app.block(move |app| {
        let now = app.clock.now();
        let mut txn = app.store.begin_shared()?;
        let own = vec![Value::Int(workspace.0.into())];
        let mut is_known = false;
        for row in txn.scan(&Scan::prefix(&schema::ANONYMOUS_EXPORT, own.clone(), usize::MAX))? {
            if row[2].as_int()? < now.0 - REMEMBERED_DAYS * DAY_MS {
                txn.delete(&schema::ANONYMOUS_EXPORT, &[row[..schema::ANONYMOUS_EXPORT.key].to_vec()])?;
                continue;
            }
            let earlier = unpacked(row[4].as_bytes()?);
            let differs = differences(&people, &earlier);
            is_known |= differs == [0, 0] && row[3].as_text()? == digest;
            // Whatever the columns were: one more that says nothing would hide nobody.
            if differs.into_iter().any(|few| few > 0 && few < k.into()) {
                let when = Timestamp(row[2].as_int()?);
                let cause = format!("an export from {when} differs from this one by few people, who could be told");
                return Err(ApiError::forbidden(cause, "ask about the same people, or about others by at least k")
                    .with_code("differencing"));
            }
        }
        if !is_known {
            let row = vec![
                own[0].clone(),
                Value::Text(format!("an_{}", rng::hex(&*app.rng, 8))),
                Value::Int(now.0),
                Value::Text(digest),
                Value::Bytes(packed(&people)),
            ];
            txn.put(&schema::ANONYMOUS_EXPORT, vec![row])?;
        }
        Ok(txn.commit()?)
    })
    .await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_made_coarse() {
        let today = Date::constant(2026, 11, 23);
        let check = |how: &str, value: &str, expected: Option<&str>| {
            assert_eq!(Coarse::read(how).unwrap().of(value, today).as_deref(), expected, "{how} {value}");
        };
        check("as_is", "PL", Some("PL"));
        check("age_band", "1986-11-23", Some("40–49"));
        check("age_band", "1986-11-24T00:00:00Z", Some("30–39"));
        check("age_band", "soon", None);
        check("prefix:2", "90-001", Some("90…"));
        check("prefix:2", "90", Some("90"));
        check("band:50", "-1", Some("-50–-1"));
        check("band:50", "149.9", Some("100–149"));
        check("band:50", "many", None);
        check("week", "2027-01-01", Some("2026-W53"));
        check("month", "2026-11-23", Some("2026-11"));
        check("year", "2026-11-23", Some("2026"));
        for odd in ["prefix:0", "prefix", "band:1", "hash", ""] {
            assert_eq!(Coarse::read(odd), None, "{odd}");
        }
    }

    proptest! {
        /// No group of fewer than k is told, none or at least k are left out where there are so many, and nobody is lost.
        #[test]
        fn nobody_stands_alone(sizes in prop::collection::vec(1..40_u64, 0..12), k in 5..20_u64) {
            let groups: BTreeMap<_, _> =
                sizes.iter().enumerate().map(|(place, size)| (vec![Some(place.to_string())], *size)).collect();
            let all: u64 = sizes.iter().sum();
            let (told, left) = large_enough(groups, k);
            prop_assert!(told.iter().all(|(_, people)| *people >= k));
            prop_assert_eq!(told.iter().map(|(_, people)| people).sum::<u64>() + left, all);
            prop_assert!(left == 0 || left >= k || told.is_empty());
        }

        /// Who was in an export is kept as it was.
        #[test]
        fn people_are_packed(people in prop::collection::btree_set(0..i64::MAX / 2, 0..50)) {
            prop_assert_eq!(unpacked(&packed(&people)), people);
        }
    }
}
