//! What is known about the data itself: the property registry, and what a person should look at.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use onefold_model::Timestamp;
use onefold_state::{Row, Scan, Value, schema};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Page;
use crate::{ApiError, App, caller::Caller};

/// A trait or property.
#[derive(Debug, Serialize, ToSchema)]
pub struct Property {
    /// `trait` or `property`.
    pub scope: String,
    /// The event it belongs to; empty for traits.
    pub event: String,
    /// Its name.
    pub name: String,
    /// JSON types seen, comma-separated.
    pub types: String,
    /// `identifier`, `contact`, `sensitive`, `special_category`, `financial`, `free`.
    pub class: String,
    /// When it was first seen.
    pub first_seen: String,
    /// When it was last seen, to the day.
    pub last_seen: String,
}

/// Every trait and property seen.
#[utoipa::path(get, path = "/api/v1/properties", responses((status = 200, body = [Property])))]
pub async fn properties(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<Property>>, ApiError> {
    app.read(move |_, reader| {
        let own = vec![Value::Int(access.workspace.0.into())];
        let view = |row: Row| {
            Ok(Property {
                scope: row[1].as_text()?.to_owned(),
                event: row[2].as_text()?.to_owned(),
                name: row[3].as_text()?.to_owned(),
                types: row[4].as_text()?.to_owned(),
                class: row[5].as_text()?.to_owned(),
                first_seen: Timestamp(row[6].as_int()?).to_string(),
                last_seen: Timestamp(row[7].as_int()?).to_string(),
            })
        };
        let rows = reader.scan(&Scan::prefix(&schema::PROPERTY, own, usize::MAX))?;
        rows.into_iter().map(view).collect::<Result<Vec<_>, ApiError>>().map(Json)
    })
    .await
}

/// Something a person should look at.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alarm {
    /// `merge_refused`, `cluster_bound`.
    pub kind: String,
    /// When.
    pub at: String,
    /// The log offset of the record that raised it.
    pub offset: i64,
    /// What it is about.
    #[schema(value_type = Object)]
    pub detail: Box<RawValue>,
}

/// What a person should look at, the newest first.
#[utoipa::path(get, path = "/api/v1/alarms", params(Page), responses((status = 200, body = [Alarm])))]
pub async fn alarms(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Alarm>>, ApiError> {
    app.read(move |_, reader| {
        let own = vec![Value::Int(access.workspace.0.into())];
        let newest = Scan { reverse: true, ..Scan::prefix(&schema::ALARM, own, page.limit()) };
        let view = |row: Row| {
            Ok(Alarm {
                kind: row[3].as_text()?.to_owned(),
                at: Timestamp(row[4].as_int()?).to_string(),
                offset: row[1].as_int()?,
                detail: RawValue::from_string(row[5].as_text()?.to_owned())
                    .map_or_else(|_| RawValue::NULL.to_owned(), |detail| access.sight.fields(&detail)),
            })
        };
        reader.scan(&newest)?.into_iter().map(view).collect::<Result<Vec<_>, ApiError>>().map(Json)
    })
    .await
}
