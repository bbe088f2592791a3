//! Consent: what people said, what is decided, and what other rules would decide.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Json, extract::State};
use onefold_audience::{AskError, Asked};
use onefold_model::{
    ProfileId, Timestamp,
    access::Access,
    command::Command,
    consent::{self, Particulars, Policy, State as ConsentState, Strength},
};
use onefold_pipeline::{
    admission, feed,
    ledger::{self, Verified},
};
use onefold_state::Reader;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::segments::{bad_segment, check_sight, parsed};
use crate::{ApiError, App, caller::Caller};

/// Consents of one request at most.
const CONSENTS_MAX: usize = 10_000;

/// A consent by an operator who has the proof, or by the person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// An identifier of the person.
    pub identifier: String,
    /// For which purpose; a right of the person where it begins with `$`, `*` for everything.
    pub purpose: String,
    /// By which channel; absent: all.
    #[serde(default)]
    pub channel: Option<String>,
    /// `granted`, `denied`, `withdrawn`, `objected`, `restricted`, `expired`, `not_collected`.
    #[schema(value_type = String)]
    pub state: ConsentState,
    /// Who says so: `operator`, or `person` for the person's explicit choice, which is stronger.
    #[serde(default)]
    #[schema(value_type = String)]
    pub by: Strength,
    /// Since when (`effective`), until when (`expires`), under which `jurisdiction`, `basis` and `notice`, with which `proof`. Times are ISO 8601.
    #[serde(default)]
    pub terms: Given,
}

/// [`Particulars`] as people write them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Since when it holds.
    effective: Option<String>,
    /// When it runs out.
    expires: Option<String>,
    /// Under which law it was gathered.
    jurisdiction: Option<String>,
    /// On which legal ground.
    #[schema(value_type = Option<String>)]
    basis: Option<consent::Basis>,
    /// What the person was shown: `{"id", "version"}`.
    #[schema(value_type = Option<Object>)]
    notice: Option<consent::Notice>,
    /// Where the proof is.
    proof: Option<String>,
}

impl Given {
    fn terms(self) -> Result<Particulars, ApiError> {
        let time = |text: Option<String>| match text {
            None => Ok(None),
            Some(text) => Timestamp::parse(&text).map(Some).ok_or_else(|| {
                ApiError::bad_request("bad_time", format!("{text:?} is no time"), "write 2026-01-31T12:00:00Z")
            }),
        };
        let (effective, expires) = (time(self.effective)?, time(self.expires)?);
        let Given { jurisdiction, basis, notice, proof, .. } = self;
        Ok(Particulars { effective, expires, jurisdiction, basis, notice, proof })
    }
}

/// One, or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Consents {
    /// Several, at most 10,000.
    Many {
        /// In order.
        consents: Vec<Consent>,
    },
    /// One.
    One(Box<Consent>),
}

/// What was entered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entered {
    /// How many were entered.
    pub entered: usize,
    /// Of those that were not, the place in the request and why.
    pub refused: Vec<Refused>,
}

/// A consent that was not entered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// Its place, from 0.
    pub place: usize,
    /// Why.
    pub why: String,
}

/// Enter consents. Each stands in the ledger for good, with who entered it; what it changes has happened when this answers.
#[utoipa::path(post, path = "/api/v1/consents", request_body = Consents, responses((status = 200, body = Entered)))]
pub async fn enter(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(given): Json<Consents>,
) -> Result<Json<Entered>, ApiError> {
    let (consents, single) = match given {
        Consents::Many { consents } => (consents, false),
        Consents::One(consent) => (vec![*consent], true),
    };
    if consents.is_empty() || consents.len() > CONSENTS_MAX {
        let cause = format!("there are {} consents, not from 1 to {CONSENTS_MAX}", consents.len());
        return Err(ApiError::bad_request("bad_consents", cause, "send them in several requests"));
    }
    let theirs = access.clone();
    let (fitting, refused) = app.read(move |app, reader| fitting(app, reader, &theirs, consents)).await?;
    if let (true, Some(refused)) = (single, refused.first()) {
        let cure = "correct it; docs/consent.md says what is known";
        return Err(ApiError::bad_request("bad_consent", refused.why.clone(), cure));
    }
    let entered = fitting.len();
    app.commands(&access, fitting).await?;
    Ok(Json(Entered { entered, refused }))
}

/// The commands that can be carried out, and why the others cannot.
fn fitting(
    app: &App,
    reader: &mut dyn Reader,
    access: &Access,
    consents: Vec<Consent>,
) -> Result<(Vec<Command>, Vec<Refused>), ApiError> {
    let definitions = app.definitions(reader, access.workspace)?;
    let (mut fitting, mut refused) = (vec![], vec![]);
    for (place, consent) in consents.into_iter().enumerate() {
        let Consent { identifier, purpose, channel, state, by, terms } = consent;
        let command = super::profiles::identifier(reader, access, &identifier).and_then(|subject| {
            let terms = terms.terms()?;
            Ok(Command::Consent { subject, purpose, channel, state, by, terms })
        });
        let problems = match &command {
            Ok(command) => admission::problems_of(&definitions, command),
            Err(error) => vec![error.message.clone()],
        };
        match command {
            Ok(command) if problems.is_empty() => fitting.push(command),
            _ => refused.push(Refused { place, why: problems.join("; ") }),
        }
    }
    Ok((fitting, refused))
}

/// A use of somebody's data.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsentQuestion)]
pub struct Question {
    /// An identifier of the person.
    pub identifier: String,
    /// For which purpose.
    pub purpose: String,
    /// By which channel; absent: for the purpose at all.
    #[serde(default)]
    pub channel: Option<String>,
}

/// A decision, and what made it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decided {
    /// Whether the data may be used so.
    pub allowed: bool,
    /// The rule that decided.
    #[schema(value_type = String)]
    pub rule: consent::Rule,
    /// The rule in words.
    pub because: &'static str,
    /// The statement that decided, where one did, with the log offset of the record that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub row: Option<consent::Row>,
    /// The law under which the person lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}

/// Whether somebody's data may be used for a purpose now, and why.
#[utoipa::path(post, path = "/api/v1/consents/decide", request_body = Question, responses((status = 200, body = Decided)))]
pub async fn decide(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(Question { identifier, purpose, channel }): Json<Question>,
) -> Result<Json<Decided>, ApiError> {
    app.read(move |app, reader| {
        let id = super::profiles::find(reader, &access, &identifier)?;
        let definitions = app.definitions(reader, access.workspace)?;
        let mut decided = None;
        feed::people(reader, &access, &definitions, &[id], access.at, &mut |_, person| {
            decided = person.map(|person| {
                let decision = person.consent(&definitions.policy, &purpose, channel.as_deref());
                let consent::Decision { allowed, rule, row } = decision;
                let jurisdiction = person.jurisdiction().map(str::to_owned);
                Decided { allowed, rule, because: rule.name(), row, jurisdiction }
            });
        })?;
        let cure = "it went a moment ago";
        decided.map(Json).ok_or_else(|| ApiError::not_found("profile with the identifier", &identifier, cure))
    })
    .await
}

/// Whose consent is counted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReachQuestion {
    /// A condition as text, such as `segment("buyers")`.
    pub text: String,
    /// For which purpose.
    pub purpose: String,
    /// By which channel.
    #[serde(default)]
    pub channel: Option<String>,
}

/// How many match, and how many of them may be reached.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Reach {
    /// How many match.
    pub matching: usize,
    /// How many of them may be reached.
    pub may: usize,
    /// Why, by rule: of those who may, and of those who may not.
    pub why: Vec<Why>,
    /// As of when.
    pub as_of: String,
}

/// How many a rule decides about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReachReason)]
pub struct Why {
    /// Whether they may be reached.
    pub allowed: bool,
    /// The rule.
    #[schema(value_type = String)]
    pub rule: consent::Rule,
    /// The rule in words.
    pub because: &'static str,
    /// How many.
    pub count: usize,
}

/// Count who matches a condition and who of them may be reached, with the reasons: "12,400 match, 9,812 may be e-mailed".
#[utoipa::path(post, path = "/api/v1/consents/reach", request_body = ReachQuestion, responses((status = 200, body = Reach)))]
pub async fn reach(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(ReachQuestion { text, purpose, channel }): Json<ReachQuestion>,
) -> Result<Json<Reach>, ApiError> {
    let condition = parsed(&text)?;
    check_sight(&access, &condition)?;
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let all = |asked: Asked<'_>| {
            let ids: Vec<ProfileId> = asked.sets[0].iter().map(|number| asked.index.id(number)).collect();
            (ids, asked.as_of)
        };
        let found = app.audiences.ask(&access, &definitions, std::slice::from_ref(&condition), &[], all);
        let (ids, as_of) = found.map_err(|error| match error {
            AskError::Compile(error) => bad_segment(error),
            AskError::Failed(error) => error.into(),
            full @ AskError::Full { .. } => ApiError::unavailable(full.to_string()),
        })?;
        let mut counts: BTreeMap<(bool, consent::Rule), usize> = BTreeMap::new();
        feed::people(reader, &access, &definitions, &ids, access.at, &mut |_, person| {
            if let Some(person) = person {
                let decision = person.consent(&definitions.policy, &purpose, channel.as_deref());
                *counts.entry((decision.allowed, decision.rule)).or_default() += 1;
            }
        })?;
        let may = counts.iter().filter(|((allowed, _), _)| *allowed).map(|(_, count)| count).sum();
        let why = |((allowed, rule), count): (&(bool, consent::Rule), &usize)| Why {
            allowed: *allowed,
            rule: *rule,
            because: rule.name(),
            count: *count,
        };
        let mut why: Vec<Why> = counts.iter().map(why).collect();
        why.sort_by_key(|why| std::cmp::Reverse((why.allowed, why.count)));
        Ok(Json(Reach { matching: counts.values().sum(), may, why, as_of: as_of.to_string() }))
    })
    .await
}

/// A policy to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyTry)]
pub struct Try {
    /// As in the settings.
    #[schema(value_type = Object)]
    pub consent_policy: Policy,
}

/// What another policy would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tried {
    /// People there are.
    pub people: usize,
    /// By use, what would change; uses with no change are there as well.
    pub uses: Vec<UseTried>,
}

/// What another policy would change for a use.
#[derive(Debug, Serialize, ToSchema)]
pub struct UseTried {
    /// The purpose.
    pub purpose: String,
    /// The channel.
    pub channel: Option<String>,
    /// How many may be reached now.
    pub may_now: usize,
    /// How many could be.
    pub may_then: usize,
    /// How many could not be any more.
    pub lost: usize,
    /// How many could be who may not be now.
    pub gained: usize,
    /// Some of those who could not be any more.
    pub lost_examples: Vec<String>,
}

/// Profiles named of those who would be lost.
const EXAMPLES: usize = 10;

/// Set the policy: what data are used for, on which ground, and the law of where people live. What it changes has happened when
/// this answers.
#[utoipa::path(put, path = "/api/v1/consents/policy", request_body = Object, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn set_policy(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(policy): Json<consent::Policy>,
) -> Result<Json<super::Done>, ApiError> {
    check(&policy)?;
    app.command(&access, Command::ConsentPolicy(policy), true).await?;
    Ok(super::done())
}

/// What another policy would decide about everybody, beside the one in force; changes nothing.
#[utoipa::path(post, path = "/api/v1/consents/policy/try", request_body = Try, responses((status = 200, body = Tried)))]
pub async fn try_policy(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(Try { consent_policy: then }): Json<Try>,
) -> Result<Json<Tried>, ApiError> {
    check(&then)?;
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let now = &definitions.policy;
        let named = now.purposes.keys().chain(then.purposes.keys()).map(|name| (name.clone(), None));
        let used = definitions.subscriptions.values();
        let used = used.filter_map(|of| Some((of.purpose.clone()?, of.channel.clone())));
        let uses: BTreeSet<(String, Option<String>)> = named.chain(used).collect();
        let of = |(purpose, channel): (String, Option<String>)| UseTried {
            purpose,
            channel,
            may_now: 0,
            may_then: 0,
            lost: 0,
            gained: 0,
            lost_examples: vec![],
        };
        let mut tried = Tried { people: 0, uses: uses.into_iter().map(of).collect() };
        let mut after = None;
        loop {
            let last = feed::next_people(reader, &access, &definitions, after, access.at, &mut |person| {
                tried.people += 1;
                for of in &mut tried.uses {
                    let may = |policy: &Policy| person.consent(policy, &of.purpose, of.channel.as_deref()).allowed;
                    let (before, after) = (may(now), may(&then));
                    of.may_now += usize::from(before);
                    of.may_then += usize::from(after);
                    of.gained += usize::from(after && !before);
                    of.lost += usize::from(before && !after);
                    if before && !after && of.lost_examples.len() < EXAMPLES {
                        of.lost_examples.push(person.id().to_string());
                    }
                }
            })?;
            match last {
                None => return Ok(Json(tried)),
                last => after = last,
            }
        }
    })
    .await
}

/// What is wrong with a policy is said.
pub(super) fn check(policy: &Policy) -> Result<(), ApiError> {
    let problems = policy.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let cure = "correct the places named; docs/consent.md has the rules";
    Err(ApiError::bad_request("bad_policy", problems.join("; "), cure).with_problems(problems))
}

/// Look through the whole ledger: whether a row was changed, taken out, put in or moved.
#[utoipa::path(get, path = "/api/v1/consents/ledger", responses((status = 200, body = Verified)))]
pub async fn verify(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Verified>, ApiError> {
    app.read(move |_, reader| Ok(Json(ledger::verify(reader, &access)?))).await
}
