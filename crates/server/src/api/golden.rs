//! The golden record: a steward's own values, and where records disagree. Its rules are settings.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_model::{ProfileId, Value, command::Command};
use onefold_pipeline::{
    golden::{self, Conflicts},
    seen::Seen as _,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::profiles::{find, identifier};
use crate::{ApiError, App, caller::Caller};

/// A steward's value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The value; `null`: the trait is gone.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
}

/// Give a person's trait a value that goes before all others until it is withdrawn.
#[utoipa::path(put, path = "/api/v1/profiles/{identifier}/traits/{name}", request_body = Override, responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path((text, name)): Path<(String, String)>,
    Json(given): Json<Override>,
) -> Result<Json<super::Done>, ApiError> {
    let theirs = access.clone();
    let subject = app
        .read(move |_, reader| {
            // A profile that is named by its id is known by its oldest identifier.
            let id = find(reader, &theirs, &text)?;
            match golden::oldest_identifier(reader, &theirs, id)? {
                Some(oldest) if text.parse::<ProfileId>().is_ok() => Ok(oldest),
                _ => identifier(reader, &theirs, &text),
            }
        })
        .await?;
    let value = Some(Value::from_json(&given.value));
    app.command(&access, Command::Override { subject, name, value }, false).await?;
    Ok(super::done())
}

/// Take back a steward's value: the rules choose again.
#[utoipa::path(delete, path = "/api/v1/profiles/{identifier}/traits/{name}", responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path((text, name)): Path<(String, String)>,
) -> Result<Json<super::Done>, ApiError> {
    let theirs = access.clone();
    let of = name.clone();
    let given = app
        .read(move |_, reader| {
            let id = find(reader, &theirs, &text)?;
            Ok(golden::overridden(reader, &theirs, id, &of)?)
        })
        .await?;
    if given.is_empty() {
        let cure = "`onefold profile show` says by which rule a value counts: `steward` where one gave it";
        return Err(ApiError::not_found("steward's value of the trait", &name, cure));
    }
    for subject in given {
        app.command(&access, Command::Override { subject, name: name.clone(), value: None }, false).await?;
    }
    Ok(super::done())
}

/// Which conflicts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConflictsQuery {
    /// Of this trait; absent: of any.
    #[serde(rename = "trait")]
    pub of: Option<String>,
    /// Profiles after this one, as the last answer says in `next`; absent: from the first.
    pub after: Option<String>,
    /// At most so many, 100 if not said, 10,000 at the most.
    pub limit: Option<usize>,
}

/// Traits of which the records of a profile say different things, and which value counts.
#[utoipa::path(get, path = "/api/v1/conflicts", params(ConflictsQuery), responses((status = 200, body = Conflicts)))]
pub async fn conflicts(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<ConflictsQuery>,
) -> Result<Json<Conflicts>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let after = query.after.as_deref().and_then(|after| after.parse().ok());
        let limit = query.limit.unwrap_or(100).clamp(1, 10_000);
        let conflicts = golden::conflicts(reader, &access, &definitions, query.of.as_deref(), after, limit)?;
        Ok(Json(conflicts.seen(&access.sight)))
    })
    .await
}
