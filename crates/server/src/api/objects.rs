//! Objects of the workspace's own types, and accounts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_model::{command::Command, object::ObjectType};
use onefold_pipeline::{
    groups::{self, GroupMember},
    seen::Seen as _,
    views,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Page;
use crate::{ApiError, App, caller::Caller};

/// The workspace's object types.
#[utoipa::path(get, path = "/api/v1/object-types", responses((status = 200, body = [Object])))]
pub async fn types(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<ObjectType>>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let mut types: BTreeMap<String, ObjectType> = definitions.object_types.clone();
        // Those that came in events and nobody has defined.
        for name in definitions.entity_types.keys().filter(|name| !definitions.object_types.contains_key(*name)) {
            let found = ObjectType { name: name.clone(), description: String::new(), traits: BTreeMap::new() };
            types.insert(name.clone(), found);
        }
        Ok(Json(types.into_values().collect()))
    })
    .await
}

/// Define an object type.
#[utoipa::path(put, path = "/api/v1/object-types", request_body = Object, responses((status = 200, body = super::Done)))]
pub async fn set_type(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    body: axum::body::Bytes,
) -> Result<Json<super::Done>, ApiError> {
    let cure = "give name, description and traits with their JSON types";
    let object_type: ObjectType = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request("bad_object_type", error.to_string(), cure))?;
    let problems = object_type.problems();
    if !problems.is_empty() {
        return Err(ApiError::bad_request("bad_object_type", problems.join("; "), cure).with_problems(problems));
    }
    app.command(&access, Command::ObjectTypeSet(object_type), false).await?;
    Ok(super::done())
}

/// Objects of a type (`account`, `product`, …), in the order of their ids.
#[utoipa::path(get, path = "/api/v1/objects/{type}", params(Page), responses((status = 200, body = [views::ObjectView])))]
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<views::ObjectView>>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let objects = views::objects(reader, &access, &definitions, &name, page.after.as_deref(), page.limit())?;
        let cure = "list them with `onefold object list`";
        let objects = objects.map(|objects| Json(objects.seen(&access.sight)));
        objects.ok_or_else(|| ApiError::not_found("object type", &name, cure))
    })
    .await
}

/// An object, with who belongs to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ObjectShown)]
pub struct Shown {
    /// The object.
    #[serde(flatten)]
    pub object: views::ObjectView,
    /// Of an account or a household: its first members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<GroupMember>,
}

/// Members that are shown with an account.
const MEMBERS_SHOWN: usize = 1000;

/// An object, with the first thousand of its members.
#[utoipa::path(get, path = "/api/v1/objects/{type}/{id}", responses((status = 200, body = Shown), (status = 404, body = ApiError)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Json<Shown>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let object = views::object(reader, &access, &definitions, &kind, &id)?;
        let cure = format!("list them with `onefold object list {kind}`");
        let object = object.ok_or_else(|| ApiError::not_found(&kind, &id, &cure))?;
        let members = groups::members(reader, &access, &kind, &id, None, MEMBERS_SHOWN)?;
        Ok(Json(Shown { object: object.seen(&access.sight), members: members.seen(&access.sight) }))
    })
    .await
}
