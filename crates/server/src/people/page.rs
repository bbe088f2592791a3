//! The pages of an invitation and of signing in. They work without scripts.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use super::{Account, NOBODY, Taken, cookie};
use crate::{
    ApiError, App,
    api::session::{check_page, with_cookie},
    caller::session_of,
};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 16 << 10;

const STYLE: &str = include_str!("../preferences/style.css");

/// The public pages.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/welcome/{token}", get(welcome).post(choose))
        .route("/sign-in", get(sign_in).post(enter))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(app)
}

/// Where an invitation is taken.
pub fn path(token: &str) -> String {
    format!("/welcome/{token}")
}

fn page(status: StatusCode, title: &str, body: &Markup) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                title { (title) " – Onefold" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    let mut response = (status, html.into_string()).into_response();
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn wrong(error: Option<&ApiError>) -> Markup {
    html! {
        @if let Some(error) = error { p.done role="alert" id="wrong" { strong { (error.message) "." } " " (error.cure) "." } }
    }
}

fn status(error: Option<&ApiError>) -> StatusCode {
    error.map_or(StatusCode::OK, ApiError::status)
}

fn welcome_page(account: &Account, path: &str, error: Option<&ApiError>) -> Response {
    let (email, name, is_first) = (&account.email, &account.name, account.number == NOBODY);
    let body = html! {
        (wrong(error))
        @if is_first {
            p { "Nobody has an account here yet. This makes yours, as an administrator of all workspaces. The link is good once." }
        } @else {
            p { "This is for " strong { (email) } ". Choose a password; the link is good once." }
        }
        form method="post" action=(path) {
            @if is_first {
                p { label for="email" { "Your e-mail address" } br; input id="email" name="email" type="email" value=(email) autocomplete="username" required; }
            }
            p { label for="name" { "Your name" } br; input id="name" name="name" value=(name) autocomplete="name" maxlength="100"; }
            p {
                label for="password" { "Password, 12 characters or more" } br;
                input id="password" name="password" type="password" autocomplete="new-password" minlength="12" required;
            }
            p.buttons { button type="submit" { "Set the password and sign in" } }
        }
    };
    page(status(error), "Welcome", &body)
}

async fn welcome(State(app): State<Arc<App>>, Path(token): Path<String>) -> Response {
    let path = path(&token);
    match app.read(move |app, reader| app.invited(reader, &token)).await {
        Ok(account) => welcome_page(&account, &path, None),
        Err(error) => page(error.status(), "Welcome", &wrong(Some(&error))),
    }
}

/// What the form of an invitation says.
#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    password: String,
}

async fn choose(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Response {
    let (path, asked) = (path(&token), token.clone());
    let (email, name) = (chosen.email.clone(), chosen.name.clone());
    let taken = match check_page(&headers) {
        Ok(()) => {
            let take = move |app: &App| {
                let Chosen { email, name, password } = &chosen;
                app.take_invitation(&Taken { token: &token, email: Some(email), name: Some(name), password })
            };
            app.block(take).await
        }
        Err(error) => Err(error),
    };
    match taken {
        Ok((_, session)) => signed(&headers, &session),
        Err(error) => match app.read(move |app, reader| app.invited(reader, &asked)).await {
            Ok(account) => {
                let email = if account.number == NOBODY { email } else { account.email };
                welcome_page(&Account { email, name, ..account }, &path, Some(&error))
            }
            Err(gone) => page(gone.status(), "Welcome", &wrong(Some(&gone))),
        },
    }
}

fn signed(headers: &HeaderMap, session: &str) -> Response {
    let secure = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let response = Redirect::to("/console/").into_response();
    with_cookie(response, &cookie(session, secure)).unwrap_or_else(ApiError::into_response)
}

fn sign_in_page(email: &str, with_code: bool, error: Option<&ApiError>) -> Response {
    let body = html! {
        (wrong(error))
        form method="post" action="/sign-in" {
            p { label for="email" { "E-mail" } br; input id="email" name="email" type="email" value=(email) autocomplete="username" required; }
            p {
                label for="password" { "Password" } br;
                input id="password" name="password" type="password" autocomplete="current-password" required;
            }
            p {
                label for="code" { @if with_code { "Code of the authenticator app" } @else { "Code of the authenticator app, if you have one" } } br;
                input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required[with_code];
            }
            p.buttons { button type="submit" { "Sign in" } }
        }
    };
    page(status(error), "Sign in", &body)
}

async fn sign_in(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(token) = session_of(&headers) else { return sign_in_page("", false, None) };
    match app.read(move |app, reader| app.signed_in(reader, &token)).await {
        Ok(Some(_)) => Redirect::to("/console/").into_response(),
        Ok(None) => sign_in_page("", false, None),
        Err(error) => sign_in_page("", false, Some(&error)),
    }
}

/// What the form for signing in says.
#[derive(Deserialize)]
struct Entered {
    email: String,
    password: String,
    #[serde(default)]
    code: String,
}

async fn enter(State(app): State<Arc<App>>, headers: HeaderMap, Form(entered): Form<Entered>) -> Response {
    let email = entered.email.clone();
    let entered = match check_page(&headers) {
        Ok(()) => app.block(move |app| app.sign_in(&entered.email, &entered.password, Some(&entered.code))).await,
        Err(error) => Err(error),
    };
    match entered {
        Ok((_, session)) => signed(&headers, &session),
        Err(error) => sign_in_page(&email, error.code == "second_factor", Some(&error)),
    }
}
