//! How long things are kept: by category, and for people by what they still allow; the shortest that applies. Who is under a legal hold
//! stays.
//!
//! People go as by an erasure (state, log, tables, destinations, verified, with a receipt), but for the list of who is not let in:
//! they may come again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use onefold_model::{NodeId, ProfileId, access::Access, clock::DAY_MS, identity::Identifier};
use onefold_pipeline::{definitions::Workspace, erase, feed, views};
use onefold_state::{Reader, Row, Table, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Governed, governed};
use crate::{ApiError, App, erasure::RequestView, requests};

/// People who go with one receipt.
const AT_ONCE: usize = 100_000;
/// People who are looked at at once.
const LOOKED_AT: usize = 1000;
/// Ids that a dry run names.
const EXAMPLES: usize = 10;
/// What is kept too long goes once a day.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// For the first time so long after a start.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// People of whom only devices are known: no e-mail address, phone number, user id, …
    Unresolved,
    /// The others.
    Known,
    /// Events that were refused.
    DeadLetters,
    /// What was delivered, and what was given up.
    Deliveries,
    /// Requests under privacy law that are closed.
    Requests,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetentionRule)]
pub struct Rule {
    /// What it is about.
    pub category: Category,
    /// Kept for so many days since it came; of people, since they were seen last.
    pub days: u32,
    /// Of people: only those who do not allow this purpose (any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_purpose: Option<String>,
}

/// The setting `retention`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The rules; without any, all is kept.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Members of these segments stay: legal hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_segments: Vec<String>,
    /// Whoever has one of these profile ids stays as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_profiles: Vec<String>,
}

impl Governed for Retention {
    const NAME: &'static str = "retention";

    fn problems(&self, definitions: &Workspace) -> Vec<String> {
        let mut problems = vec![];
        for (place, rule) in self.rules.iter().enumerate() {
            if rule.days == 0 {
                problems.push(format!("rules[{place}]: 0 days would keep nothing at all"));
            }
            let unknown = |purpose: &&String| !definitions.policy.purposes.contains_key(*purpose);
            if let Some(purpose) = rule.without_purpose.as_ref().filter(unknown) {
                problems.push(format!("rules[{place}]: the consent policy has no purpose {purpose:?}"));
            }
            let of_people = matches!(rule.category, Category::Unresolved | Category::Known);
            if rule.without_purpose.is_some() && !of_people {
                problems.push(format!("rules[{place}]: only people allow a purpose"));
            }
        }
        let unknown = self.hold_segments.iter().filter(|name| !definitions.segments.contains_key(*name));
        problems.extend(unknown.map(|name| format!("hold_segments: there is no segment {name:?}")));
        let odd = self.hold_profiles.iter().filter(|id| id.parse::<ProfileId>().is_err());
        problems.extend(odd.map(|id| format!("hold_profiles: {id:?} is no profile id (p_…)")));
        problems
    }
}

/// What a rule takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Expired {
    /// The rule.
    pub rule: Rule,
    /// How many go; of people, those whom no earlier rule takes.
    pub count: u64,
    /// Of people who would go but are held: how many.
    pub held: u64,
    /// Some of the people, by profile id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// What went.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retained {
    /// By rule.
    pub rules: Vec<Expired>,
    /// Receipts about the people.
    pub receipts: Vec<RequestView>,
}

/// Kinds of identifiers that name a device.
const OF_DEVICES: [&str; 3] = ["anonymous_id", "device_id", "advertising_id"];

/// Tables that are aged row by row: of each the place of its time and, where only some rows count, of its state.
fn aged(category: Category) -> Vec<(&'static Table, usize)> {
    match category {
        Category::DeadLetters => vec![(&schema::DEAD_LETTER, 5)],
        Category::Deliveries => vec![(&schema::RECEIPT, 10), (&schema::DELIVERY_DEAD, 10)],
        Category::Requests => vec![(&schema::SUBJECT_REQUEST, 4)],
        Category::Unresolved | Category::Known => vec![],
    }
}

/// The place of the profile in a receipt, and in a delivery that was given up.
const PROFILE_OF_DELIVERY: usize = 7;

struct Found {
    rules: Vec<Expired>,
    /// The people who go: of each their nodes and identifiers.
    people: Vec<Vec<(NodeId, Identifier)>>,
    rows: Vec<(&'static Table, Vec<Row>)>,
}

fn find(
    app: &App,
    reader: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    retention: &Retention,
) -> Result<Found, ApiError> {
    let now = app.clock.now();
    let expired = |rule: &Rule| Expired { rule: rule.clone(), count: 0, held: 0, examples: vec![] };
    let mut found = Found { rules: retention.rules.iter().map(expired).collect(), people: vec![], rows: vec![] };
    let before = |rule: &Rule| now.0 - i64::from(rule.days) * DAY_MS;
    let own = vec![Value::Int(access.workspace.0.into())];
    let held = held(reader, access, retention)?;
    for (place, rule) in retention.rules.iter().enumerate() {
        for (table, at) in aged(rule.category) {
            let mut keys = vec![];
            erase::each_row::<ApiError>(reader, table, &own, &mut |row| {
                let closed = rule.category != Category::Requests || requests::is_closed(&row)?;
                let of_held = rule.category == Category::Deliveries
                    && held.contains(&ProfileId(NodeId(row[PROFILE_OF_DELIVERY].as_int()?)));
                if closed && !of_held && row[at].as_int()? < before(rule) {
                    keys.push(row[..table.key].to_vec());
                }
                Ok(())
            })?;
            found.rules[place].count += keys.len() as u64;
            found.rows.push((table, keys));
        }
    }
    let of_people: Vec<(usize, &Rule)> = retention
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| matches!(rule.category, Category::Unresolved | Category::Known))
        .collect();
    let Some(newest) = of_people.iter().map(|(_, rule)| before(rule)).max() else { return Ok(found) };
    let mut idle = vec![];
    let of_people_table = [own[0].clone(), Value::Int(0)];
    erase::each_row::<ApiError>(reader, &schema::PROFILE, &of_people_table, &mut |row| {
        if row[5].as_int()? < newest {
            idle.push((ProfileId(NodeId(row[2].as_int()?)), row[5].as_int()?));
        }
        Ok(())
    })?;
    for page in idle.chunks(LOOKED_AT) {
        let ids: Vec<ProfileId> = page.iter().map(|(id, _)| *id).collect();
        let seen: std::collections::HashMap<ProfileId, i64> = page.iter().copied().collect();
        feed::people(reader, access, definitions, &ids, now, &mut |id, person| {
            let Some(person) = person else { return };
            let (mut nodes, mut resolved) = (vec![], false);
            for (node, kind, value, _) in person.records() {
                nodes.push((node, Identifier { kind: kind.to_owned().into(), value: value.to_owned() }));
                resolved |= !OF_DEVICES.contains(&kind);
            }
            let category = if resolved { Category::Known } else { Category::Unresolved };
            let last = seen.get(&id).copied().unwrap_or(i64::MAX);
            let takes = |rule: &Rule| {
                rule.category == category
                    && last < before(rule)
                    && !rule.without_purpose.as_ref().is_some_and(|purpose| {
                        // Nobody goes for want of a purpose that the policy does not know any more.
                        !definitions.policy.purposes.contains_key(purpose)
                            || person.consent(&definitions.policy, purpose, None).allowed
                    })
            };
            let Some((place, _)) = of_people.iter().find(|(_, rule)| takes(rule)) else { return };
            let expired = &mut found.rules[*place];
            // Who was held under another profile's id is held as a part of this one.
            if held.contains(&id) || nodes.iter().any(|(node, _)| held.contains(&ProfileId(*node))) {
                expired.held += 1;
                return;
            }
            expired.count += 1;
            if expired.examples.len() < EXAMPLES {
                expired.examples.push(id.to_string());
            }
            found.people.push(nodes);
        })?;
    }
    Ok(found)
}

/// Who stays whatever the rules say.
fn held(reader: &mut dyn Reader, access: &Access, retention: &Retention) -> Result<BTreeSet<ProfileId>, ApiError> {
    let mut held: BTreeSet<ProfileId> = retention.hold_profiles.iter().filter_map(|id| id.parse().ok()).collect();
    for segment in &retention.hold_segments {
        let members = views::members(reader, access, segment, None, usize::MAX)?;
        let cure = "put the segment back, or take it out of the setting `retention`";
        // A hold that cannot be looked up holds everybody.
        let members = members.ok_or_else(|| ApiError::not_found("segment of a legal hold", segment, cure))?;
        held.extend(members.iter().filter_map(|member| member.id.parse::<ProfileId>().ok()));
    }
    Ok(held)
}

impl App {
    /// What would go now.
    pub(crate) async fn preview_retention(self: &Arc<Self>, access: &Access) -> Result<Vec<Expired>, ApiError> {
        let access = access.clone();
        self.read(move |app, reader| {
            let definitions = app.definitions(reader, access.workspace)?;
            Ok(find(app, reader, &access.unmasked(), &definitions, &governed(&definitions)?)?.rules)
        })
        .await
    }

    /// Takes out what is kept too long.
    pub(crate) async fn retain(self: &Arc<Self>, access: &Access) -> Result<Retained, ApiError> {
        let theirs = access.unmasked();
        let found = self
            .read(move |app, reader| {
                let definitions = app.definitions(reader, theirs.workspace)?;
                find(app, reader, &theirs, &definitions, &governed(&definitions)?)
            })
            .await?;
        let Found { rules, people, rows } = found;
        self.block(move |app| {
            let mut txn = app.store.begin_shared()?;
            for (table, keys) in &rows {
                txn.delete(table, keys)?;
            }
            Ok(txn.commit()?)
        })
        .await?;
        let mut receipts = vec![];
        for people in people.chunks(AT_ONCE) {
            receipts.push(self.let_go(&access.unmasked(), people.concat(), people.len() as u64).await?);
        }
        Ok(Retained { rules, receipts })
    }

    /// Takes out what is kept too long once a day, until the app is dropped.
    pub(crate) fn keep_retaining(self: &Arc<Self>) {
        let app = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut wait = FIRST;
            loop {
                tokio::time::sleep(wait).await;
                wait = EVERY;
                let Some(app) = app.upgrade() else { return };
                for (workspace, _) in app.workspaces() {
                    if let Err(error) = app.retain(&app.operator(workspace)).await {
                        tracing::error!(
                            workspace = workspace.0,
                            error = error.message,
                            "what is kept too long could not be taken out; it is tried again in a day"
                        );
                    }
                }
            }
        });
    }
}
