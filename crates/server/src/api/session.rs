//! Signing in and out, and what whoever is signed in may do.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use onefold_model::access::{Class, Mask, Purpose};
use onefold_role::Action;
use onefold_state::Reader;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ApiError, App,
    caller::{Identity, Whoever, is_of_own_page, session_of},
    people::{Account, Factor, SignedIn, Taken, cookie, no_cookie},
};

/// Who wants to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The account's e-mail address.
    pub email: String,
    /// Its password.
    pub password: String,
    /// The authenticator app's code, where the account has a second factor.
    #[serde(default)]
    pub code: Option<String>,
}

/// Whoever took an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// The token of the link.
    pub token: String,
    /// The first administrator's e-mail address; others have theirs already.
    #[serde(default)]
    pub email: Option<String>,
    /// What others call them.
    #[serde(default)]
    pub name: Option<String>,
    /// The password that they choose.
    pub password: String,
}

/// Whoever is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// `operator`, `user:7`, `key:3`.
    pub caller: String,
    /// The account's e-mail address; the key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What others call them.
    pub name: String,
    /// Whether a second factor was shown.
    pub second_factor: bool,
    /// What they may do, by workspace.
    pub workspaces: Vec<RoleHere>,
}

/// A role in a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleHere {
    /// The workspace.
    pub workspace: String,
    /// The role.
    pub role: String,
    /// The segments whose members are seen; absent: everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// What it permits.
    pub actions: Vec<String>,
    /// How much is seen of each class of fields.
    #[schema(value_type = BTreeMap<String, String>)]
    pub sees: std::collections::BTreeMap<String, Mask>,
}

fn me(app: &App, reader: &mut dyn Reader, identity: &Identity) -> Result<Me, ApiError> {
    let (email, name, second_factor) = match identity {
        Identity::Operator => (None, "operator".to_owned(), false),
        Identity::Person(one) => (Some(one.account.email.clone()), one.account.name.clone(), one.second_factor),
        Identity::Program(key) => (None, key.name.clone(), false),
    };
    let mut workspaces = vec![];
    for (workspace, title) in app.workspaces() {
        if matches!(identity, Identity::Operator) {
            let sees = Class::ALL.iter().map(|class| (class.name().to_owned(), Mask::Clear)).collect();
            let actions = Action::ALL.iter().map(|action| action.name().to_owned()).collect();
            workspaces.push(RoleHere { workspace: title, role: "operator".to_owned(), only: None, actions, sees });
            continue;
        }
        for (grant, rights) in app.roles_of(reader, identity, workspace, &Purpose::administration())? {
            let actions =
                Action::ALL.iter().filter(|action| rights.allow(**action)).map(|action| action.name().to_owned());
            let sees = Class::ALL.iter().map(|class| (class.name().to_owned(), rights.mask(*class).0));
            workspaces.push(RoleHere {
                workspace: title.clone(),
                role: grant.role,
                only: grant.only,
                actions: actions.collect(),
                sees: sees.collect(),
            });
        }
    }
    Ok(Me { caller: identity.caller().name().into_owned(), email, name, second_factor, workspaces })
}

/// Who I am, and what I may do.
#[utoipa::path(get, path = "/api/v1/session", responses((status = 200, body = Me), (status = 401, body = ApiError)))]
pub async fn show(State(app): State<Arc<App>>, Whoever(identity): Whoever) -> Result<Json<Me>, ApiError> {
    app.read(move |app, reader| me(app, reader, &identity).map(Json)).await
}

/// Whether the cookie is to be sent over TLS only. A proxy says what the browser sees.
fn is_secure(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    origin || headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https")
}

/// An answer that sets the session's cookie.
pub(crate) fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, ApiError> {
    let value = HeaderValue::from_str(cookie).map_err(|error| ApiError::internal(error.to_string()))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn signed(app: &Arc<App>, headers: &HeaderMap, who: SignedIn, token: &str) -> Result<Response, ApiError> {
    let me = app.read(move |app, reader| me(app, reader, &Identity::Person(who))).await?;
    with_cookie(Json(me).into_response(), &cookie(token, is_secure(headers)))
}

/// A page of somebody else must not sign people in: they would work in an account that is not theirs.
pub(crate) fn check_page(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.contains_key(header::ORIGIN) && !is_of_own_page(headers) {
        true => Err(ApiError::forbidden(
            "the request comes from a page of another host",
            "sign in on a page of this server",
        )),
        false => Ok(()),
    }
}

/// Sign in. The session is in a cookie.
#[utoipa::path(post, path = "/api/v1/session", request_body = Credentials, security(()), responses((status = 200, body = Me), (status = 401, body = ApiError), (status = 429, body = ApiError)))]
pub async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(Credentials { email, password, code }): Json<Credentials>,
) -> Result<Response, ApiError> {
    check_page(&headers)?;
    let (who, token) = app.block(move |app| app.sign_in(&email, &password, code.as_deref())).await?;
    signed(&app, &headers, who, &token).await
}

/// Take an invitation: choose a password, and be signed in.
#[utoipa::path(post, path = "/api/v1/session/welcome", request_body = Welcome, security(()), responses((status = 200, body = Me), (status = 401, body = ApiError)))]
pub async fn welcome(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(Welcome { token, email, name, password }): Json<Welcome>,
) -> Result<Response, ApiError> {
    check_page(&headers)?;
    let taken = app.block(move |app| {
        let (email, name) = (email.as_deref(), name.as_deref());
        app.take_invitation(&Taken { token: &token, email, name, password: &password })
    });
    let (who, token) = taken.await?;
    signed(&app, &headers, who, &token).await
}

/// Sign out.
#[utoipa::path(delete, path = "/api/v1/session", responses((status = 200, body = super::Done)))]
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = session_of(&headers) {
        app.block(move |app| app.sign_out(&token)).await?;
    }
    with_cookie(super::done().into_response(), &no_cookie())
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The one until now.
    pub old: String,
    /// The one from now on.
    pub new: String,
}

fn person(identity: Identity) -> Result<SignedIn, ApiError> {
    match identity {
        Identity::Person(one) => Ok(one),
        _ => Err(ApiError::bad_request(
            "no_account",
            "neither a key nor the token has a password",
            "sign in as a person",
        )),
    }
}

/// Change my password. My other sessions end.
#[utoipa::path(post, path = "/api/v1/session/password", request_body = NewPassword, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn change_password(
    State(app): State<Arc<App>>,
    Whoever(identity): Whoever,
    headers: HeaderMap,
    Json(NewPassword { old, new }): Json<NewPassword>,
) -> Result<Response, ApiError> {
    let who = person(identity)?;
    let token = app.block(move |app| app.change_password(&who, &old, &new)).await?;
    with_cookie(super::done().into_response(), &cookie(&token, is_secure(&headers)))
}

/// A second factor that is to be confirmed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorOffered {
    /// What an authenticator app reads, as a URL.
    pub url: String,
    /// The secret in base 32, for typing.
    pub secret: String,
}

/// A secret for a second factor. It counts once a code of it was given.
#[utoipa::path(post, path = "/api/v1/session/second-factor", responses((status = 200, body = FactorOffered)))]
pub async fn offer_factor(
    State(app): State<Arc<App>>,
    Whoever(identity): Whoever,
) -> Result<Json<FactorOffered>, ApiError> {
    let who = person(identity)?;
    let mut secret = [0; 20];
    app.rng.fill(&mut secret);
    let factor = Factor::new(&secret, &who.account.email)?;
    Ok(Json(FactorOffered { url: factor.url()?, secret: factor.secret() }))
}

/// The second factor, with a code that shows that the app has it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorTaken {
    /// The secret as it was offered.
    pub secret: String,
    /// The app's code now.
    pub code: String,
    /// The password again: a session alone must not be able to lock its owner out.
    pub password: String,
}

/// Ask for a second factor from now on.
#[utoipa::path(put, path = "/api/v1/session/second-factor", request_body = FactorTaken, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn take_factor(
    State(app): State<Arc<App>>,
    Whoever(identity): Whoever,
    Json(taken): Json<FactorTaken>,
) -> Result<Json<super::Done>, ApiError> {
    let who = person(identity)?;
    app.block(move |app| {
        let secret = totp_rs::Secret::try_from_base32(&taken.secret).map_err(|error| {
            ApiError::bad_request("bad_secret", error.to_string(), "give the secret that was offered")
        })?;
        let secret = secret.as_bytes().to_vec();
        let step = Factor::new(&secret, &who.account.email)?.step(&taken.code, app.clock.now(), 0);
        let step = step.ok_or_else(|| {
            let cure = "look at the clock of the device that shows the code, and give the newest";
            ApiError::bad_request("wrong_code", "the code is not that of this secret and minute", cure)
        })?;
        app.change_factor(&who, &taken.password, Some((secret, step)))
    })
    .await?;
    Ok(super::done())
}

/// A password, once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordAgain {
    /// The account's.
    pub password: String,
}

/// Ask for no second factor any more.
#[utoipa::path(delete, path = "/api/v1/session/second-factor", request_body = PasswordAgain, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn drop_factor(
    State(app): State<Arc<App>>,
    Whoever(identity): Whoever,
    Json(again): Json<PasswordAgain>,
) -> Result<Json<super::Done>, ApiError> {
    let who = person(identity)?;
    app.block(move |app| app.change_factor(&who, &again.password, None)).await?;
    Ok(super::done())
}

impl App {
    fn change_factor(&self, who: &SignedIn, password: &str, factor: Option<(Vec<u8>, i64)>) -> Result<(), ApiError> {
        if !crate::people::is_good(password, who.account.password.as_deref()) {
            return Err(ApiError::bad_request(
                "wrong_password",
                "the password is wrong",
                "give the one you signed in with",
            ));
        }
        let mut txn = self.store.begin_shared()?;
        let account = Account::numbered(&mut *txn, who.account.number)?;
        let mut account = account.ok_or_else(|| ApiError::not_found("account", &who.account.email, "sign in again"))?;
        (account.totp, account.totp_step) = factor.map_or((None, 0), |(secret, step)| (Some(secret), step));
        account.put(&mut *txn)?;
        Ok(txn.commit()?)
    }
}
