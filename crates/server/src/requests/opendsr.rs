//! OpenDSR 2.0: how controllers hand requests of their people to processors, and are told what becomes of them.
//!
//! The shapes are those of the OpenDSR specification (formerly OpenGDPR), version 2.0. What leaves here is signed with RSA and SHA-256
//! over the body, by the key of a certificate that controllers fetch where `discovery` says.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use onefold_model::{
    WorkspaceId,
    opendsr::{self, Ask, IDENTITIES, Law, Request, VERSION},
};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde::Serialize;
use serde_json::json;

use super::{Asked, Case, Controller, Kind, Regulation, Status, find, list, of_controller, page::zip_response, row_of};
use crate::{ApiError, App, caller::Caller};

/// A controller's server may take so long.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Tries to tell a controller of one change.
const TRIES_MAX: u32 = 10;
/// Two looks whether somebody is to be told; a change is told at once.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// By what answers and callbacks are signed: values.
#[derive(Clone)]
pub struct OpenDsrSettings {
    /// The domain that the certificate is for.
    pub domain: String,
    /// The certificate chain, PEM.
    pub certificate: String,
    /// Its key.
    key: Arc<RsaKeyPair>,
}

impl std::fmt::Debug for OpenDsrSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenDsrSettings({})", self.domain)
    }
}

impl OpenDsrSettings {
    /// With an RSA key in PKCS#8 or PKCS#1.
    pub fn new(domain: String, certificate: String, key: &[u8]) -> Result<OpenDsrSettings, String> {
        let read = RsaKeyPair::from_pkcs8(key).or_else(|_| RsaKeyPair::from_der(key));
        let key = read.map_err(|error| format!("the key for OpenDSR is no RSA key of 2048 to 4096 bits: {error}"))?;
        Ok(OpenDsrSettings { domain, certificate, key: Arc::new(key) })
    }

    /// The signature over a body, in base64.
    fn sign(&self, body: &[u8]) -> Option<String> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature).ok()?;
        Some(STANDARD.encode(signature))
    }
}

/// What a controller's request asks for, as others are.
fn asked(sent: Request) -> (Asked, Controller) {
    let asked = Asked {
        kind: match sent.ask {
            Ask::Access => Kind::Access,
            Ask::Portability => Kind::Portability,
            Ask::Erasure => Kind::Erase,
        },
        identifiers: sent.identifiers,
        identified: Some("by the controller that sent the request (OpenDSR)".to_owned()),
        corrections: Default::default(),
        purpose: None,
        regulation: Some(match sent.law {
            Law::Gdpr => Regulation::Gdpr,
            Law::Ccpa => Regulation::Ccpa,
        }),
        received: sent.submitted,
        note: None,
    };
    (asked, Controller { request: sent.id, callbacks: sent.callbacks, told: None, failed: 0 })
}

fn status_of(status: Status) -> &'static str {
    match status {
        Status::Unverified | Status::Pending => "pending",
        Status::InProgress => "in_progress",
        Status::Completed | Status::CompletedWithExceptions => "completed",
        Status::Cancelled => "cancelled",
    }
}

#[derive(Serialize)]
struct Told<'a> {
    controller_id: String,
    expected_completion_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_callback_url: Option<&'a str>,
    subject_request_id: &'a str,
    request_status: &'static str,
    api_version: &'static str,
    results_url: Option<String>,
}

fn told<'a>(case: &'a Case, workspace: &str, base: &str, callback: Option<&'a str>) -> Option<Told<'a>> {
    let controller = case.controller.as_ref()?;
    let has_answer = case.result.as_ref().is_some_and(|result| result["answer"].is_string());
    Some(Told {
        controller_id: workspace.to_owned(),
        expected_completion_time: case.due.to_string(),
        status_callback_url: callback,
        subject_request_id: &controller.request,
        request_status: status_of(case.status),
        api_version: VERSION,
        results_url: has_answer.then(|| format!("{base}/opendsr/requests/{}/results", controller.request)),
    })
}

fn failure(status: StatusCode, reason: &str, message: &str) -> Response {
    let error = json!({ "error": { "code": status.as_u16(), "message": message, "errors": [{ "domain": "onefold", "reason": reason, "message": message }] } });
    (status, axum::Json(error)).into_response()
}

fn base_of(app: &App, uri: &Uri, headers: &HeaderMap) -> String {
    let (scheme, host) = app.ingest.address(uri, headers);
    format!("{scheme}://{host}")
}

impl App {
    fn signed(&self, status: StatusCode, body: &impl Serialize) -> Response {
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], bytes.clone()).into_response();
        for (name, value) in self.signature(&bytes) {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn signature(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        let Some(settings) = &self.settings.opendsr else { return vec![] };
        let signature = settings.sign(body).map(|signature| ("x-opendsr-signature", signature));
        [("x-opendsr-processor-domain", settings.domain.clone())].into_iter().chain(signature).collect()
    }

    /// Has controllers told of what changed.
    pub(crate) fn tell_controllers(&self) {
        self.telling.notify_one();
    }

    /// Tells controllers of changes, at once and again where they did not take it, until the app is dropped.
    pub(crate) fn keep_telling_controllers(self: &Arc<Self>) {
        let (app, telling) = (Arc::downgrade(self), self.telling.clone());
        tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(LOOK_EVERY, telling.notified()).await;
                let Some(app) = app.upgrade() else { return };
                for (workspace, name) in app.workspaces() {
                    if let Err(error) = app.tell_controllers_of(workspace, &name).await {
                        tracing::warn!(error = error.message, "controllers could not be told of requests");
                    }
                }
            }
        });
    }

    async fn tell_controllers_of(self: &Arc<Self>, workspace: WorkspaceId, name: &str) -> Result<(), ApiError> {
        let untold = |case: &Case| {
            case.controller.as_ref().is_some_and(|controller| {
                !controller.callbacks.is_empty()
                    && controller.told != Some(case.status)
                    && controller.failed < TRIES_MAX
            })
        };
        let cases: Vec<Case> =
            self.read(move |_, reader| Ok(list(reader, workspace)?.into_iter().filter(untold).collect())).await?;
        if cases.is_empty() {
            return Ok(());
        }
        let failed = |error: onefold_activate::ConfigError| ApiError::internal(error.to_string());
        let client = self.egress.client(TIMEOUT).map_err(failed)?;
        let base = self.ingest.settings.public_url.clone().unwrap_or_default();
        for case in cases {
            let Some(controller) = &case.controller else { continue };
            let mut is_told = true;
            for url in &controller.callbacks {
                let body = serde_json::to_vec(&told(&case, name, &base, Some(url))).unwrap_or_default();
                let Ok(url) = self.egress.check_url("status_callback_urls", url) else { continue };
                let mut request = client.post(url).header(header::CONTENT_TYPE, "application/json");
                for (name, value) in self.signature(&body) {
                    request = request.header(name, value);
                }
                is_told &= request.body(body).send().await.is_ok_and(|answer| answer.status().is_success());
            }
            let (id, status) = (case.id.clone(), case.status);
            self.block(move |app| {
                let mut txn = app.store.begin_shared()?;
                let mut case = find(&mut *txn, workspace, &id)?;
                if let Some(controller) = &mut case.controller {
                    if is_told {
                        (controller.told, controller.failed) = (Some(status), 0);
                    } else {
                        controller.failed += 1;
                    }
                }
                txn.put(&onefold_state::schema::SUBJECT_REQUEST, vec![row_of(workspace, &case)])?;
                Ok(txn.commit()?)
            })
            .await?;
        }
        Ok(())
    }

    fn workspace_name(&self, workspace: WorkspaceId) -> String {
        self.workspaces().into_iter().find(|(id, _)| *id == workspace).map(|(_, name)| name).unwrap_or_default()
    }
}

/// What requests are taken by OpenDSR, about whom, and by which certificate answers are signed.
#[utoipa::path(get, path = "/opendsr/discovery", responses((status = 200, body = Object)))]
pub async fn discovery(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    let identities: Vec<_> =
        IDENTITIES.iter().map(|(kind, _)| json!({ "identity_type": kind, "identity_format": "raw" })).collect();
    let certificate =
        app.settings.opendsr.as_ref().map(|_| format!("{}/opendsr/certificate.pem", base_of(&app, &uri, &headers)));
    axum::Json(json!({
        "api_version": VERSION,
        "supported_identities": identities,
        "supported_subject_request_types": ["access", "portability", "erasure"],
        "processor_certificate": certificate,
    }))
    .into_response()
}

/// The certificate that answers and callbacks are signed by.
pub async fn certificate(State(app): State<Arc<App>>) -> Response {
    match &app.settings.opendsr {
        Some(settings) => {
            ([(header::CONTENT_TYPE, "application/x-pem-file")], settings.certificate.clone()).into_response()
        }
        None => failure(StatusCode::NOT_FOUND, "no_certificate", "nothing is signed here"),
    }
}

/// Take a request of a controller in: its identity check is the controller's.
#[utoipa::path(post, path = "/opendsr/requests", request_body = Object, responses((status = 201, body = Object), (status = 400, body = Object)))]
pub async fn enter(State(app): State<Arc<App>>, Caller(access): Caller, body: Bytes) -> Response {
    let (asked, controller) = match opendsr::read(&body) {
        Ok(sent) => asked(sent),
        Err(cause) => return failure(StatusCode::BAD_REQUEST, "invalid_request", &cause),
    };
    for url in &controller.callbacks {
        if let Err(error) = app.egress.check_url("status_callback_urls", url) {
            return failure(StatusCode::BAD_REQUEST, "invalid_callback", &error.to_string());
        }
    }
    let (workspace, name) = (access.workspace, controller.request.clone());
    match app.read(move |_, reader| of_controller(reader, workspace, &name)).await {
        Ok(None) => {}
        Ok(Some(_)) => return failure(StatusCode::BAD_REQUEST, "duplicate", "there is a request of this id already"),
        Err(error) => return failure(error.status(), &error.code, &error.message),
    }
    match app.open_request(&access, asked, Some(controller), None).await {
        Err(error) => failure(error.status(), &error.code, &error.message),
        Ok(case) => {
            let answer = json!({
                "controller_id": app.workspace_name(access.workspace),
                "expected_completion_time": case.due.to_string(),
                "received_time": case.received.to_string(),
                "encoded_request": STANDARD.encode(&body),
                "subject_request_id": case.controller.map(|controller| controller.request),
            });
            app.signed(StatusCode::CREATED, &answer)
        }
    }
}

async fn named(app: &Arc<App>, workspace: WorkspaceId, name: String) -> Result<Case, Response> {
    match app.read(move |_, reader| of_controller(reader, workspace, &name)).await {
        Ok(Some(case)) => Ok(case),
        Ok(None) => Err(failure(StatusCode::NOT_FOUND, "not_found", "there is no request of this id")),
        Err(error) => Err(failure(error.status(), &error.code, &error.message)),
    }
}

/// How far a controller's request is.
#[utoipa::path(get, path = "/opendsr/requests/{id}", responses((status = 200, body = Object), (status = 404, body = Object)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match named(&app, access.workspace, id).await {
        Ok(case) => {
            let name = app.workspace_name(access.workspace);
            app.signed(StatusCode::OK, &told(&case, &name, &base_of(&app, &uri, &headers), None))
        }
        Err(response) => response,
    }
}

/// Take a controller's request back, before it is carried out.
#[utoipa::path(delete, path = "/opendsr/requests/{id}", responses((status = 202, body = Object), (status = 400, body = Object)))]
pub async fn cancel(State(app): State<Arc<App>>, Caller(access): Caller, Path(id): Path<String>) -> Response {
    let case = match named(&app, access.workspace, id).await {
        Ok(case) => case,
        Err(response) => return response,
    };
    match app.cancel_request(&access, &case.id, "taken back by the controller".to_owned()).await {
        Err(error) => failure(StatusCode::BAD_REQUEST, &error.code, &error.message),
        Ok(case) => {
            let answer = json!({
                "controller_id": app.workspace_name(access.workspace),
                "received_time": app.clock.now().to_string(),
                "subject_request_id": case.controller.map(|controller| controller.request),
                "api_version": VERSION,
            });
            app.signed(StatusCode::ACCEPTED, &answer)
        }
    }
}

/// The answer to a controller's request for access or portability: a ZIP of JSON and CSV.
#[utoipa::path(get, path = "/opendsr/requests/{id}/results", responses((status = 200, body = Vec<u8>, content_type = "application/zip"), (status = 404, body = Object)))]
pub async fn results(State(app): State<Arc<App>>, Caller(access): Caller, Path(id): Path<String>) -> Response {
    let case = match named(&app, access.workspace, id).await {
        Ok(case) => case,
        Err(response) => return response,
    };
    match app.request_answer(access.workspace, &case).await {
        Ok(Some(zip)) => zip_response(zip),
        Ok(None) => failure(StatusCode::NOT_FOUND, "no_results", "there is nothing to fetch"),
        Err(error) => failure(error.status(), &error.code, &error.message),
    }
}
