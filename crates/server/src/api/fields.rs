//! What fields hold: guessed from their names, said by stewards.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use onefold_model::{
    access::{Class, Classes},
    command::Command,
};
use onefold_state::{Scan, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiError, App, caller::Caller, governance::approvals::Matter};

/// A field, wherever it stands: a trait of people, or a property of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldView {
    /// Its name.
    pub name: String,
    /// What it holds, as it counts.
    #[schema(value_type = String)]
    pub class: Class,
    /// Whether a steward said so; else its name tells.
    pub said: bool,
    /// Where it was seen: `trait`, or names of events. None: nowhere yet.
    pub seen_in: Vec<String>,
}

/// Fields and what they hold.
#[utoipa::path(get, path = "/api/v1/fields", responses((status = 200, body = [FieldView])))]
pub async fn list(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<FieldView>>, ApiError> {
    app.read(move |app, reader| {
        let said = app.definitions(reader, access.workspace)?.classes.clone();
        let mut seen: BTreeMap<String, Vec<String>> = said.keys().map(|name| (name.clone(), vec![])).collect();
        let own = vec![Value::Int(access.workspace.0.into())];
        for row in reader.scan(&Scan::prefix(&schema::PROPERTY, own, usize::MAX))? {
            let place = match (row[1].as_text()?, row[2].as_text()?) {
                ("property", event) => event.to_owned(),
                (scope, _) => scope.to_owned(),
            };
            let places = seen.entry(row[3].as_text()?.to_owned()).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let view = |(name, seen_in): (String, Vec<String>)| FieldView {
            class: said.get(&name).copied().unwrap_or_else(|| Class::guess(&name)),
            said: said.contains_key(&name),
            name,
            seen_in,
        };
        Ok(Json(seen.into_iter().map(view).collect()))
    })
    .await
}

/// What a field holds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSet {
    /// `identifier`, `contact`, `sensitive`, `special_category`, `financial`, `free`; null: as its name tells.
    #[schema(value_type = Option<String>)]
    pub class: Option<Class>,
}

/// Say what a field holds. What is said of `address` holds of `address.city` too, where nothing is said of that.
#[utoipa::path(put, path = "/api/v1/fields/{name}", request_body = FieldSet, responses((status = 200, body = super::Done)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Json(FieldSet { class }): Json<FieldSet>,
) -> Result<Json<super::Done>, ApiError> {
    if name.is_empty() || name.len() > 256 || name.contains('\0') {
        let cure = "give the name as `onefold field list` shows it";
        return Err(ApiError::bad_request("bad_name", format!("{name:?} cannot be the name of a field"), cure));
    }
    // One after the other: each begins with what is said already.
    let _turn = app.classifying.lock().await;
    let workspace = access.workspace;
    let asked = name.clone();
    let before = app.read(move |app, reader| Ok(app.definitions(reader, workspace)?.class_of(&asked))).await?;
    let after = class.unwrap_or_else(|| Class::guess(&name));
    if [before, after].into_iter().any(Class::needs_purpose) {
        let summary = format!("to say that the field {name:?} is {after:?} and no more {before:?}");
        app.approved(&access, Matter::SensitiveFields, 1, summary, &(&name, class)).await?;
    }
    let mut classes: Classes =
        app.read(move |app, reader| Ok(Classes::clone(&app.definitions(reader, workspace)?.classes))).await?;
    match class {
        Some(class) => drop(classes.insert(name, class)),
        None => drop(classes.remove(&name)),
    }
    app.command(&access, Command::Classes(classes), false).await?;
    Ok(super::done())
}
