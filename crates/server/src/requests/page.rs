//! The public pages of requests: to ask, to confirm, to fetch the answer. They work without scripts, and a GET changes nothing.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use onefold_model::access::{Access, Caller, Purpose, Sight};
use parking_lot::Mutex;

use super::{
    Asked, Kind, find, opendsr,
    token::{Token, What},
    words::{LANGUAGES, Words},
};
use crate::{ApiError, App, preferences};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 16 << 10;
/// Requests that may be entered in a minute, by everybody together: each sends a mail.
const A_MINUTE_MAX: u32 = 30;

const STYLE: &str = include_str!("../preferences/style.css");

/// The kinds that can be asked for on the page; to correct something takes more than a form.
const ASKABLE: [Kind; 8] = [
    Kind::Access,
    Kind::Portability,
    Kind::Restrict,
    Kind::Object,
    Kind::OptOutOfSale,
    Kind::LimitSensitive,
    Kind::NoAutomated,
    Kind::Erase,
];

/// How many were entered in which minute.
#[derive(Default)]
pub struct Entered(Mutex<(i64, u32)>);

impl Entered {
    fn may(&self, now_ms: i64) -> bool {
        let mut entered = self.0.lock();
        let minute = now_ms.div_euclid(60_000);
        if entered.0 != minute {
            *entered = (minute, 0);
        }
        entered.1 += 1;
        entered.1 <= A_MINUTE_MAX
    }
}

/// The public pages.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/privacy/request/{workspace}", get(form).post(enter))
        .route("/privacy/confirm/{token}", get(ask).post(confirm))
        .route("/privacy/answer/{token}", get(offer).post(fetch))
        .route("/opendsr/certificate.pem", get(opendsr::certificate))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(app)
}

fn words(uri: &Uri, headers: &HeaderMap) -> &'static Words {
    Words::of(preferences::language(uri, headers))
}

fn frame(words: &Words, title: &str, path: Option<&str>, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang=(words.code) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { h1 { (title) } (body) }
                @if let Some(path) = path {
                    nav aria-label=(words.language) {
                        @for other in &LANGUAGES {
                            @if other.code == words.code {
                                span aria-current="true" { (other.name) }
                            } @else {
                                a href={ (path) "?lang=" (other.code) } lang=(other.code) hreflang=(other.code) { (other.name) }
                            }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn gone(words: &Words) -> Response {
    preferences::answer(StatusCode::NOT_FOUND, frame(words, words.gone_title, None, &html! { p { (words.gone) } }))
}

fn form_page(words: &Words, path: &str, wrong: Option<&str>) -> String {
    let body = html! {
        @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
        p { (words.intro) }
        form method="post" action={ (path) "?lang=" (words.code) } {
            p { label for="email" { (words.email) } br; input type="email" id="email" name="email" required autocomplete="email"; }
            fieldset {
                legend { (words.what) }
                @for (place, kind) in ASKABLE.into_iter().enumerate() {
                    @let id = format!("kind-{}", kind.name());
                    p {
                        input type="radio" id=(id) name="kind" value=(kind.name()) required checked[place == 0];
                        label for=(id) { (words.kind(kind)) }
                    }
                }
            }
            p.buttons { button type="submit" { (words.send) } }
        }
    };
    frame(words, words.title, Some(path), &body)
}

async fn form(State(app): State<Arc<App>>, Path(workspace): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let words = words(&uri, &headers);
    match (app.workspace(&workspace), &app.settings.mail) {
        (None, _) => gone(words),
        (_, None) => {
            let body = html! { p { (words.closed) } };
            preferences::answer(StatusCode::OK, frame(words, words.title, Some(uri.path()), &body))
        }
        _ => preferences::answer(StatusCode::OK, form_page(words, uri.path(), None)),
    }
}

async fn enter(
    State(app): State<Arc<App>>,
    Path(workspace): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let Some(workspace) = app.workspace(&workspace).filter(|_| app.settings.mail.is_some()) else {
        return Ok(gone(words));
    };
    let fields: std::collections::BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let email = fields.get("email").map(|email| email.trim().to_owned()).unwrap_or_default();
    let kind = fields.get("kind").and_then(|name| Kind::of_name(name)).filter(|kind| ASKABLE.contains(kind));
    let is_address = crate::erasure::identifier(&email).is_ok_and(|one| one.kind == "email");
    let (Some(kind), true) = (kind, is_address) else {
        return Ok(preferences::answer(StatusCode::BAD_REQUEST, form_page(words, uri.path(), Some(words.bad_address))));
    };
    let now = app.clock.now();
    if !app.entered.may(now.0) {
        return Err(ApiError::too_many("too many requests are being entered", "try again in a minute"));
    }
    let purpose = Purpose::administration();
    let access = Access { caller: Caller::Subject, workspace, purpose, at: now, sight: Sight::all() };
    let asked = Asked {
        kind,
        identifiers: vec![email],
        identified: None,
        corrections: Default::default(),
        purpose: None,
        regulation: None,
        received: None,
        note: None,
    };
    // Whether anything is held, or mail could be sent, is nobody's business who only knows an address.
    if let Err(error) = app.open_request(&access, asked, None, Some(words.code.to_owned())).await {
        tracing::warn!(error = error.message, "a request from the page");
    }
    let body = html! { p { (words.sent) } };
    Ok(preferences::answer(StatusCode::OK, frame(words, words.sent_title, None, &body)))
}

async fn read(app: &Arc<App>, text: String, what: What) -> Result<Option<(Token, super::Case)>, ApiError> {
    app.read(move |app, reader| {
        let token = Token::read(&text, what, app.clock.now(), &mut |workspace| preferences::secret(reader, workspace))?;
        Ok(match token {
            Some(token) => find(reader, token.workspace, &token.request).ok().map(|case| (token, case)),
            None => None,
        })
    })
    .await
}

async fn ask(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let Some((_, case)) = read(&app, text, What::Confirm).await? else { return Ok(gone(words)) };
    if case.status.is_final() {
        return Ok(gone(words));
    }
    let body = html! {
        p { (words.confirm) }
        p { strong { (words.kind(case.kind)) } }
        form method="post" action={ (uri.path()) "?lang=" (words.code) } {
            p.buttons { button type="submit" { (words.confirm_button) } }
        }
    };
    Ok(preferences::answer(StatusCode::OK, frame(words, words.confirm_title, Some(uri.path()), &body)))
}

async fn confirm(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let Some((token, _)) = read(&app, text, What::Confirm).await? else { return Ok(gone(words)) };
    let case = app.confirm_request(token.workspace, &token.request).await?;
    let due = case.due.to_string();
    let body = html! {
        p.done role="status" { (words.confirmed) }
        p { strong { (words.kind(case.kind)) } }
        p { (words.due) " " time datetime=(due) { (due.get(..10).unwrap_or_default()) } }
    };
    Ok(preferences::answer(StatusCode::OK, frame(words, words.confirmed_title, None, &body)))
}

async fn offer(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    if read(&app, text, What::Answer).await?.is_none() {
        return Ok(gone(words));
    }
    let body = html! {
        p { (words.answer) }
        form method="post" action={ (uri.path()) "?lang=" (words.code) } {
            p.buttons { button type="submit" { (words.download) } }
        }
    };
    Ok(preferences::answer(StatusCode::OK, frame(words, words.answer_title, Some(uri.path()), &body)))
}

async fn fetch(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let Some((token, case)) = read(&app, text, What::Answer).await? else { return Ok(gone(words)) };
    match app.request_answer(token.workspace, &case).await? {
        None => Ok(gone(words)),
        Some(zip) => Ok(zip_response(zip)),
    }
}

/// A ZIP that nobody keeps on the way.
pub(crate) fn zip_response(zip: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"data.zip\""),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, zip).into_response()
}
