//! The API under `/api/v1`: what the console and the CLI do, for programs.
//!
//! One file per kind of thing. Every operation is described where it stands, and `/api/openapi.json` is made from that.

pub mod anonymous;
pub mod audit;
pub mod backups;
pub mod computed;
mod consents;
pub mod data;
pub mod deadletters;
pub mod destinations;
pub mod docs;
pub mod events;
pub mod export;
pub mod fields;
pub mod golden;
pub mod governance;
pub mod import;
pub mod linkage;
pub mod log;
pub mod objects;
pub mod people;
pub mod prepare;
pub mod preview;
pub mod privacy;
pub mod profiles;
pub mod requests;
pub mod segments;
pub mod session;
pub mod settings;
pub mod sources;
pub mod sql;
pub mod uploads;
pub mod workspaces;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::header,
    response::{IntoResponse, Response},
};
use onefold_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, Modify, OpenApi, ToSchema,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ApiError, App, requests::opendsr};

/// The description's frame.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Onefold",
        description = "Collect, unify and use what is known of customers, under their consent. Ingest is described in docs/ingest.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Token),
    security(("token" = []))
)]
struct Frame;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The routes and their description.
pub fn router(app: Arc<App>) -> (Router, utoipa::openapi::OpenApi) {
    let (router, api) = OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(workspaces::list, workspaces::add))
        .routes(routes!(workspaces::stats))
        .routes(routes!(sources::list, sources::add))
        .routes(routes!(sources::change))
        .routes(routes!(sources::rotate))
        .routes(routes!(prepare::show, prepare::set, prepare::remove))
        .routes(routes!(prepare::try_it))
        .routes(routes!(prepare::quality))
        .routes(routes!(import::rows))
        .routes(routes!(uploads::add))
        .routes(routes!(uploads::attempt))
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::show, uploads::remove))
        .routes(routes!(profiles::list))
        .routes(routes!(profiles::show))
        .routes(routes!(profiles::timeline))
        .routes(routes!(profiles::merge))
        .routes(routes!(profiles::unmerge))
        .routes(routes!(profiles::evidence))
        .routes(routes!(profiles::then))
        .routes(routes!(profiles::withdraw))
        .routes(routes!(golden::set, golden::withdraw))
        .routes(routes!(golden::conflicts))
        .routes(routes!(linkage::models, linkage::train))
        .routes(routes!(linkage::model))
        .routes(routes!(linkage::activate))
        .routes(routes!(linkage::queue))
        .routes(routes!(linkage::explain))
        .routes(routes!(linkage::decide))
        .routes(routes!(linkage::suspects))
        .routes(routes!(segments::list, segments::set))
        .routes(routes!(segments::show, segments::remove))
        .routes(routes!(segments::count))
        .routes(routes!(segments::members))
        .routes(routes!(segments::explain))
        .routes(routes!(preview::preview))
        .routes(routes!(preview::parse))
        .routes(routes!(segments::overlap))
        .routes(routes!(export::export))
        .routes(routes!(anonymous::export))
        .routes(routes!(export::history))
        .routes(routes!(computed::list, computed::set))
        .routes(routes!(computed::remove))
        .routes(routes!(objects::types, objects::set_type))
        .routes(routes!(objects::list))
        .routes(routes!(objects::show))
        .routes(routes!(settings::show, settings::set))
        .routes(routes!(consents::enter))
        .routes(routes!(consents::set_policy))
        .routes(routes!(consents::decide))
        .routes(routes!(consents::reach))
        .routes(routes!(consents::try_policy))
        .routes(routes!(consents::verify))
        .routes(routes!(settings::try_rules))
        .routes(routes!(destinations::list, destinations::set))
        .routes(routes!(destinations::remove))
        .routes(routes!(destinations::connectors))
        .routes(routes!(destinations::test))
        .routes(routes!(destinations::sync))
        .routes(routes!(destinations::receipts))
        .routes(routes!(destinations::replay))
        .routes(routes!(deadletters::list))
        .routes(routes!(deadletters::show))
        .routes(routes!(deadletters::retry))
        .routes(routes!(privacy::preview))
        .routes(routes!(privacy::erase))
        .routes(routes!(privacy::access))
        .routes(routes!(privacy::link))
        .routes(routes!(privacy::requests))
        .routes(routes!(privacy::request))
        .routes(routes!(privacy::check_receipt))
        .routes(routes!(privacy::suppression, privacy::suppress))
        .routes(routes!(privacy::lift))
        .routes(routes!(data::properties))
        .routes(routes!(data::alarms))
        .routes(routes!(people::list, people::add))
        .routes(routes!(people::link))
        .routes(routes!(people::change))
        .routes(routes!(people::grants, people::give, people::take))
        .routes(routes!(people::join, people::part))
        .routes(routes!(people::keys, people::add_key))
        .routes(routes!(people::revoke_key))
        .routes(routes!(people::policies, people::set_policies))
        .routes(routes!(people::try_policies))
        .routes(routes!(audit::list))
        .routes(routes!(audit::head))
        .routes(routes!(audit::check))
        .routes(routes!(fields::list))
        .routes(routes!(fields::set))
        .routes(routes!(session::show, session::sign_out))
        .routes(routes!(session::change_password))
        .routes(routes!(session::offer_factor, session::take_factor, session::drop_factor))
        .routes(routes!(events::stream))
        .routes(routes!(sql::ask))
        .routes(routes!(backups::list, backups::make))
        .routes(routes!(requests::list, requests::enter))
        .routes(routes!(requests::statistics))
        .routes(routes!(requests::show))
        .routes(routes!(requests::verify))
        .routes(routes!(requests::extend))
        .routes(routes!(requests::cancel))
        .routes(routes!(requests::carry_out))
        .routes(routes!(requests::answer))
        .routes(routes!(opendsr::discovery))
        .routes(routes!(opendsr::enter))
        .routes(routes!(opendsr::show, opendsr::cancel))
        .routes(routes!(opendsr::results))
        .routes(routes!(governance::show, governance::set))
        .routes(routes!(governance::approvals))
        .routes(routes!(governance::vote))
        .routes(routes!(governance::catalog))
        .routes(routes!(governance::retention, governance::retain))
        .routes(routes!(governance::processing))
        .routes(routes!(governance::exposure))
        .routes(routes!(log::records))
        .routes(routes!(log::verify))
        .routes(routes!(log::rebuild))
        .with_state(app)
        .split_for_parts();
    (router.layer(DefaultBodyLimit::max(import::BODY_BYTES_MAX)), api)
}

/// What needs no session: signing in. With its description.
pub fn public(app: Arc<App>) -> (Router, utoipa::openapi::OpenApi) {
    let router = OpenApiRouter::new().routes(routes!(session::sign_in)).routes(routes!(session::welcome));
    router.with_state(app).split_for_parts()
}

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Items after this one; absent: from the first.
    pub after: Option<String>,
    /// At most so many, 100 if not said, 10,000 at the most.
    pub limit: Option<usize>,
}

impl Page {
    /// The bound to use.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, 10_000)
    }
}

/// Done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// Always true; a failure is an error.
    pub done: bool,
}

/// The answer of an operation that has nothing else to say.
pub fn done() -> axum::Json<Done> {
    axum::Json(Done { done: true })
}

/// An instant as people write it.
pub(crate) fn instant(text: &str) -> Result<Timestamp, ApiError> {
    let cure = "give an ISO 8601 time: 2026-11-21 or 2026-11-21T12:00:00Z";
    Timestamp::parse(text).ok_or_else(|| ApiError::bad_request("bad_time", format!("{text:?} is no time"), cure))
}

/// A body of one JSON value a line.
pub fn ndjson(lines: String) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

/// One JSON value a line.
pub fn lines<T: Serialize>(items: &[T]) -> String {
    items.iter().filter_map(|item| serde_json::to_string(item).ok()).fold(String::new(), |mut all, line| {
        all.push_str(&line);
        all.push('\n');
        all
    })
}
