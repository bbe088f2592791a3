//! The workspace's settings that the fold depends on: identity rules, survivorship rules, time zone, what silence about consent
//! means.

use std::sync::Arc;

use axum::{Json, extract::State};
use onefold_model::{
    access::Access,
    command::Command,
    consent::{Policy, Unstated},
    identity::Rules,
    profile::Survivorship,
};
use onefold_pipeline::{
    evidence::{self, RulesTried},
    views,
};
use onefold_role::Action;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::consents;
use crate::{
    ApiError, App,
    caller::{Caller, Wanted, Whoever},
    people::endpoint::Shows,
};

/// The settings. In a change, what is left out stays as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Kinds of identifier with priorities and limits; see docs/identity.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub identity_rules: Option<Rules>,
    /// `deny` or `allow`: what a person who has said nothing allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub consent_default: Option<Unstated>,
    /// What data are used for, on which legal ground, and the law of where people live; see docs/consent.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub consent_policy: Option<Policy>,
    /// IANA name, for calendar days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Which of several values of a trait counts; see docs/golden-record.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub survivorship: Option<Survivorship<String>>,
}

/// The workspace's settings.
#[utoipa::path(get, path = "/api/v1/settings", responses((status = 200, body = Settings)))]
pub async fn show(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Settings>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let sources = views::sources(reader, &access)?;
        let name = |number: u32| Ok::<_, ApiError>(sources.get(&number).cloned().unwrap_or_else(|| number.to_string()));
        Ok(Json(Settings {
            survivorship: Some(Survivorship::clone(&definitions.survivorship).try_map(name)?),
            time_zone: definitions.time_zone.iana_name().map(str::to_owned),
            consent_default: Some(definitions.policy.unstated),
            consent_policy: Some(Policy::clone(&definitions.policy)),
            identity_rules: Some(Rules::clone(&definitions.rules)),
        }))
    })
    .await
}

/// Change settings.
#[utoipa::path(patch, path = "/api/v1/settings", request_body = Settings, responses((status = 200, body = super::Done)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Json(settings): Json<Settings>,
) -> Result<Json<super::Done>, ApiError> {
    if settings.consent_policy.is_some() || settings.consent_default.is_some() {
        // What people are asked for is not for whoever may set the time zone.
        let wanted = Wanted { action: Action::ConsentsEdit, shows: Shows::Nobody, purpose: None, role: None };
        let workspace = access.workspace;
        app.read(move |app, reader| app.permitted(reader, &identity, workspace, &wanted)).await?;
    }
    if let Some(name) = &settings.time_zone {
        onefold_pipeline::definitions::time_zone(name).map_err(|_| {
            ApiError::bad_request(
                "bad_time_zone",
                format!("{name:?} is no time zone"),
                "give an IANA name: Europe/Berlin",
            )
        })?;
    }
    let survivorship = match settings.survivorship {
        Some(rules) => Some(by_number(&app, &access, rules).await?),
        None => None,
    };
    if let Some(rules) = settings.identity_rules {
        let problems = rules.problems();
        if !problems.is_empty() {
            let cure = "correct the places named; docs/identity.md has the rules";
            return Err(ApiError::bad_request("bad_rules", problems.join("; "), cure).with_problems(problems));
        }
        app.command(&access, Command::IdentityRules(rules), true).await?;
    }
    if let Some(rules) = survivorship {
        app.command(&access, Command::Survivorship(rules), true).await?;
    }
    if let Some(mut policy) = settings.consent_policy {
        policy.unstated = settings.consent_default.unwrap_or(policy.unstated);
        consents::check(&policy)?;
        app.command(&access, Command::ConsentPolicy(policy), true).await?;
    } else if let Some(unstated) = settings.consent_default {
        app.command(&access, Command::ConsentDefault(unstated), true).await?;
    }
    if let Some(name) = settings.time_zone {
        app.command(&access, Command::TimeZone(name), true).await?;
    }
    Ok(super::done())
}

/// Survivorship rules with their sources by number, as they stand in the log: a source may be called otherwise one day.
async fn by_number(app: &Arc<App>, access: &Access, rules: Survivorship<String>) -> Result<Survivorship, ApiError> {
    let problems = rules.problems();
    if !problems.is_empty() {
        let cure = "correct the places named; docs/golden-record.md has the rules";
        return Err(ApiError::bad_request("bad_rules", problems.join("; "), cure).with_problems(problems));
    }
    let theirs = access.clone();
    app.read(move |_, reader| rules.try_map(|name| super::sources::number(reader, &theirs, &name))).await
}

/// Identity rules to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RulesTry)]
pub struct Try {
    /// As in the settings.
    #[schema(value_type = Object)]
    pub identity_rules: Rules,
}

/// What other identity rules would have made of all that was said so far; changes nothing.
#[utoipa::path(post, path = "/api/v1/settings/try", request_body = Try, responses((status = 200, body = RulesTried)))]
pub async fn try_rules(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(asked): Json<Try>,
) -> Result<Json<RulesTried>, ApiError> {
    let problems = asked.identity_rules.problems();
    if !problems.is_empty() {
        let cure = "correct the places named; docs/identity.md has the rules";
        return Err(ApiError::bad_request("bad_rules", problems.join("; "), cure).with_problems(problems));
    }
    app.read(move |_, reader| Ok(Json(evidence::try_rules(reader, &access, &asked.identity_rules)?))).await
}
