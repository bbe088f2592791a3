//! What takes a second person.
//!
//! Whoever asks for something that needs an approval is told so, and what they asked for is put down. When enough others who may have
//! approved it, the same person asks for exactly the same again, and it is done, once. Nothing waits half done.

use std::{collections::BTreeMap, sync::Arc};

use onefold_model::{Timestamp, WorkspaceId, access::Access, clock::HOUR_MS, rng};
use onefold_pipeline::definitions::Workspace;
use onefold_state::{Reader, Row, Scan, Value, schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{Governed, governed};
use crate::{
    ApiError, App, audit,
    caller::Identity,
    people::{self, Key},
};

/// What an approval may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    /// Data begin to go to a new destination, or to one that is set up otherwise than before.
    NewDestinations,
    /// What is said of a sensitive or special-category field changes.
    SensitiveFields,
    /// A segment or an export uses such a field.
    SensitiveUse,
    /// More people than `over` are erased at once.
    Erasures,
    /// These rules themselves change.
    Rules,
}

/// Who must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalRule)]
pub struct Rule {
    /// Of erasures: up to so many people need nobody.
    #[serde(default)]
    pub over: u64,
    /// Whose approval counts: `role:privacy_officer`, `team:board`.
    pub by: Vec<String>,
    /// How many of them.
    #[serde(default = "one")]
    pub people: u32,
    /// Within how many hours; and for so long the approval is good.
    #[serde(default = "three_days")]
    pub hours: u32,
}

fn one() -> u32 {
    1
}

fn three_days() -> u32 {
    72
}

/// The setting `approvals`: what needs whose approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Approvals(pub BTreeMap<Matter, Rule>);

impl Governed for Approvals {
    const NAME: &'static str = "approvals";

    fn problems(&self, _: &Workspace) -> Vec<String> {
        let mut problems = vec![];
        for (matter, rule) in &self.0 {
            let odd =
                |holder: &&String| !["role:", "team:"].iter().any(|kind| holder.len() > 5 && holder.starts_with(kind));
            for holder in rule.by.iter().filter(odd) {
                problems.push(format!("{matter:?}: {holder:?} is neither role:NAME nor team:NAME"));
            }
            if rule.by.is_empty() || rule.people == 0 || rule.hours == 0 {
                problems.push(format!("{matter:?}: nobody could approve it in time"));
            }
        }
        problems
    }
}

/// How far an approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It waits for others.
    Open,
    /// It may be done, once.
    Approved,
    /// It may not.
    Rejected,
    /// It was done.
    Used,
    /// Its time is up.
    Expired,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Standing::Open => "open",
            Standing::Approved => "approved",
            Standing::Rejected => "rejected",
            Standing::Used => "used",
            Standing::Expired => "expired",
        }
    }
}

/// A decision about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vote {
    /// Whose.
    pub by: String,
    /// When.
    #[schema(value_type = i64)]
    pub at: Timestamp,
    /// Whether it may be done.
    pub approves: bool,
    /// Why.
    pub why: String,
}

/// An approval that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub matter: Matter,
    /// What is to be done, in words.
    pub summary: String,
    /// Who wants to do it.
    pub asked_by: String,
    /// When they asked.
    #[schema(value_type = i64)]
    pub asked_at: Timestamp,
    /// Until when it may be approved and done.
    #[schema(value_type = i64)]
    pub deadline: Timestamp,
    /// How far it is.
    pub standing: Standing,
    /// Whose approval counts.
    pub by: Vec<String>,
    /// How many of them it takes.
    pub people: u32,
    /// What was decided.
    pub votes: Vec<Vote>,
    /// All that is asked for, without secrets; nothing of an erasure, which names people.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub what: serde_json::Value,
}

impl Approval {
    fn standing_at(&self, now: Timestamp) -> Standing {
        match self.standing {
            Standing::Open | Standing::Approved if now > self.deadline => Standing::Expired,
            other => other,
        }
    }
}

fn key(workspace: WorkspaceId, id: &str) -> Row {
    vec![Value::Int(workspace.0.into()), Value::Text(id.to_owned())]
}

fn row_of(workspace: WorkspaceId, approval: &Approval, digest: &str) -> Row {
    let mut row = key(workspace, &approval.id);
    row.extend([
        Value::Text(digest.to_owned()),
        Value::Text(approval.standing.name().to_owned()),
        Value::Int(approval.asked_at.0),
        Value::Text(serde_json::to_string(approval).unwrap_or_default()),
    ]);
    row
}

fn approval_of(row: &Row) -> Result<Approval, ApiError> {
    serde_json::from_str(row[5].as_text()?)
        .map_err(|error| ApiError::internal(format!("an approval cannot be read: {error}")))
}

/// The approvals of a workspace as they stand at `now`, the newest first.
pub(crate) fn list(reader: &mut dyn Reader, workspace: WorkspaceId, now: Timestamp) -> Result<Vec<Approval>, ApiError> {
    let own = vec![Value::Int(workspace.0.into())];
    let scan = Scan { index: Some("recent"), reverse: true, ..Scan::prefix(&schema::APPROVAL, own, usize::MAX) };
    let view =
        |row: &Row| approval_of(row).map(|approval| Approval { standing: approval.standing_at(now), ..approval });
    reader.scan(&scan)?.iter().map(view).collect()
}

impl App {
    /// Goes on where no approval is needed, or the one that is needed was given; else asks for it, and says so. `what` is everything
    /// that is asked for: with anything else in it, it is something else.
    pub(crate) async fn approved(
        self: &Arc<Self>,
        access: &Access,
        matter: Matter,
        size: u64,
        summary: String,
        what: &impl Serialize,
    ) -> Result<(), ApiError> {
        let workspace = access.workspace;
        let definitions = self.read(move |app, reader| app.definitions(reader, workspace)).await?;
        let Some(rule) = governed::<Approvals>(&definitions)?.0.get(&matter).cloned() else { return Ok(()) };
        if matter == Matter::Erasures && size <= rule.over {
            return Ok(());
        }
        let caller = access.caller.name().into_owned();
        let text = serde_json::to_string(&(matter, &caller, what)).unwrap_or_default();
        let digest: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = match matter {
            Matter::Erasures => serde_json::Value::Null,
            _ => audit::without_secrets(&serde_json::to_value(what).unwrap_or_default()),
        };
        let now = self.clock.now();
        self.block(move |app| {
            let mut txn = app.store.begin_shared()?;
            let prefix = vec![Value::Int(workspace.0.into()), Value::Text(digest.clone())];
            let scan = Scan { index: Some("of_digest"), ..Scan::prefix(&schema::APPROVAL, prefix, usize::MAX) };
            for row in txn.scan(&scan)? {
                let mut approval = approval_of(&row)?;
                match approval.standing_at(now) {
                    Standing::Approved => {
                        approval.standing = Standing::Used;
                        audit::note(serde_json::json!({ "approval": approval.id, "by": approval.votes }));
                        txn.put(&schema::APPROVAL, vec![row_of(workspace, &approval, &digest)])?;
                        txn.commit()?;
                        return Ok(());
                    }
                    Standing::Open => return Err(needed(&approval)),
                    _ => {}
                }
            }
            let approval = Approval {
                id: format!("ap_{}", rng::hex(&*app.rng, 8)),
                matter,
                summary,
                asked_by: caller,
                asked_at: now,
                deadline: now.plus(i64::from(rule.hours) * HOUR_MS),
                standing: Standing::Open,
                by: rule.by,
                people: rule.people,
                votes: vec![],
                what: shown,
            };
            txn.put(&schema::APPROVAL, vec![row_of(workspace, &approval, &digest)])?;
            txn.commit()?;
            Err(needed(&approval))
        })
        .await
    }

    /// Somebody else approves or rejects it.
    pub(crate) async fn vote(
        self: &Arc<Self>,
        access: &Access,
        identity: Identity,
        id: String,
        approves: bool,
        why: String,
    ) -> Result<Approval, ApiError> {
        let (access, now) = (access.clone(), self.clock.now());
        self.block(move |app| {
            let mut txn = app.store.begin_shared()?;
            let cure = "list them with `onefold approval list`";
            let row = txn.get(&schema::APPROVAL, &[key(access.workspace, &id)])?.pop().flatten();
            let row = row.ok_or_else(|| ApiError::not_found("approval", &id, cure))?;
            let mut approval = approval_of(&row)?;
            let standing = approval.standing_at(now);
            if standing != Standing::Open {
                let cause = format!("this approval is {}", standing.name());
                return Err(ApiError::conflict(cause, "whoever wants it may ask for it again"));
            }
            let caller = access.caller.name().into_owned();
            if matches!(identity, Identity::Program(_)) {
                return Err(ApiError::forbidden("a program approves nothing", "let a person look at it, signed in"));
            }
            if caller == maker_of(&mut *txn, &approval.asked_by)? {
                return Err(ApiError::forbidden("nobody approves what they asked for themselves", "ask somebody else"));
            }
            if !app.holds_any(&mut *txn, &access, &identity, &approval.by)? {
                let cause = format!("the approval of {} is needed", approval.by.join(" or "));
                return Err(ApiError::forbidden(cause, "ask one of them"));
            }
            approval.votes.retain(|vote| vote.by != caller);
            approval.votes.push(Vote { by: caller, at: now, approves, why });
            let given = approval.votes.iter().filter(|vote| vote.approves).count();
            if !approves {
                approval.standing = Standing::Rejected;
            } else if given >= approval.people as usize {
                approval.standing = Standing::Approved;
            }
            audit::note(serde_json::json!({ "approval": approval.id, "standing": approval.standing }));
            let digest = row[2].as_text()?.to_owned();
            txn.put(&schema::APPROVAL, vec![row_of(access.workspace, &approval, &digest)])?;
            txn.commit()?;
            Ok(approval)
        })
        .await
    }

    /// Whether whoever asks has one of these roles or is in one of these teams. The operator stands for everybody.
    fn holds_any(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        identity: &Identity,
        holders: &[String],
    ) -> Result<bool, ApiError> {
        let teams = match identity {
            Identity::Operator => return Ok(true),
            Identity::Person(one) => people::teams_of(reader, one.account.number)?,
            Identity::Program(_) => vec![],
        };
        let roles = self.roles_of(reader, identity, access.workspace, &access.purpose)?;
        Ok(holders.iter().any(|holder| match holder.split_once(':') {
            Some(("role", name)) => roles.iter().any(|(grant, _)| grant.role == name),
            Some(("team", name)) => teams.iter().any(|team| team == name),
            _ => false,
        }))
    }
}

/// Who stands behind a caller: of a key whoever made it.
fn maker_of(reader: &mut dyn Reader, caller: &str) -> Result<String, ApiError> {
    let key = match caller.strip_prefix("key:").and_then(|number| number.parse().ok()) {
        Some(number) => Key::numbered(reader, number)?,
        None => None,
    };
    Ok(key.map_or_else(|| caller.to_owned(), |key| key.caller))
}

fn needed(approval: &Approval) -> ApiError {
    let cause = format!(
        "{} needs the approval of {}: it is asked for as {}",
        approval.summary,
        approval.by.join(" or "),
        approval.id
    );
    let cure = format!(
        "when they have approved it (`onefold approval approve {}`), do the same again, until {}",
        approval.id, approval.deadline
    );
    ApiError::conflict(cause, cure).with_code("approval_needed")
}
