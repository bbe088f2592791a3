//! Computed traits.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use onefold_model::{access::Mask, command::Command, profile::computed::ComputedTrait, segment::check};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{ApiError, App, caller::Caller};

/// A computed trait.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComputedView {
    /// Its name.
    pub name: String,
    /// `live`, or `building` while earlier events are folded in.
    pub state: &'static str,
    /// Its definition.
    #[schema(value_type = Object)]
    pub definition: ComputedTrait,
}

/// The workspace's computed traits.
#[utoipa::path(get, path = "/api/v1/computed", responses((status = 200, body = [ComputedView])))]
pub async fn list(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<ComputedView>>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let views = definitions.computed.iter().map(|(name, computed)| ComputedView {
            name: name.clone(),
            state: if computed.program.is_some() { "live" } else { "building" },
            definition: computed.newest.clone(),
        });
        Ok(Json(views.collect()))
    })
    .await
}

/// Define a computed trait, or define it anew. Answers when it is live.
#[utoipa::path(put, path = "/api/v1/computed", request_body = Object, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    body: axum::body::Bytes,
) -> Result<Json<super::Done>, ApiError> {
    let bad = |message: String| ApiError::bad_request("bad_computed_trait", message, "see docs/segments.md");
    let computed: ComputedTrait = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let (theirs, wanted) = (access.clone(), computed.clone());
    let problems = app
        .read(move |app, reader| {
            let definitions = app.definitions(reader, theirs.workspace)?;
            // What comes of a field is of its kind: nobody makes what they may not read.
            let hidden = |field: &String| theirs.sight.mask_of_field(field) != Mask::Clear;
            if let Some(field) = wanted.fields().into_iter().find(hidden) {
                let cause = format!("your role does not see {field:?} as it is, so it cannot compute with it");
                return Err(ApiError::forbidden(cause, "compute with other fields"));
            }
            Ok(check::problems_of_computed(&wanted, &*definitions).iter().map(ToString::to_string).collect::<Vec<_>>())
        })
        .await?;
    if !problems.is_empty() {
        return Err(bad(problems.join("; ")).with_problems(problems));
    }
    app.command(&access, Command::ComputedSet(computed), true).await?;
    Ok(super::done())
}

/// End a computed trait.
#[utoipa::path(delete, path = "/api/v1/computed/{name}", responses((status = 200, body = super::Done)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<super::Done>, ApiError> {
    app.command(&access, Command::ComputedRemove(name), true).await?;
    Ok(super::done())
}
