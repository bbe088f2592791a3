//! The preference centre: a public page for each person, by a signed link, and the one-click unsubscribe of RFC 8058.
//!
//! A GET changes nothing, whoever fetches it: mail scanners open every link. A POST enters what the person chose as their explicit
//! choice, the strongest there is. Whoever has the link is taken for the person, so it shows kinds of data and no values.

pub(crate) mod code;
mod link;
mod page;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use onefold_model::{
    Timestamp, WorkspaceId,
    access::{Access, Caller, Purpose as AccessPurpose, Sight},
    clock::DAY_MS,
    command::{Command, IdentifierRef},
    consent::{Basis, EVERYTHING, Particulars, Policy, State as ConsentState, Strength, policy::Purpose},
};
use onefold_pipeline::{definitions::Workspace, feed, views};
use onefold_state::Reader;

use self::{
    link::Link,
    page::{Choice, Shown},
};
pub(crate) use self::{link::secret, words::Words};
use crate::{ApiError, App};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 64 << 10;
/// Days for which a link is good, where nothing else is said, and at most.
pub const DAYS: u32 = 90;
/// See [`DAYS`].
pub const DAYS_MAX: u32 = 3650;

/// The public pages.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/preferences/{token}", get(show).post(save))
        .route("/preferences/{token}/unsubscribe", get(ask).post(unsubscribe))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(app)
}

/// The paths of a person's page and of its unsubscribe.
pub struct Paths {
    /// Of the page.
    pub page: String,
    /// Of the unsubscribe.
    pub unsubscribe: String,
    /// Until when they are good.
    pub expires: Timestamp,
}

impl App {
    /// Makes a signed link for whoever has this identifier. `of`: what its unsubscribe is about; `None`: everything.
    pub(crate) fn preference_link(
        &self,
        access: &Access,
        identifier: &str,
        of: Option<(String, Option<String>)>,
        days: u32,
    ) -> Result<Paths, ApiError> {
        let (_, node) = crate::api::profiles::node(&mut *self.store.reader()?, access, identifier)?;
        let secret = made_secret(self, access.workspace)?;
        let expires = access.at.plus(i64::from(days) * DAY_MS);
        let token = Link::new(access.workspace, node, expires, of).sign(&secret)?;
        let page = format!("/preferences/{token}");
        Ok(Paths { unsubscribe: format!("{page}/unsubscribe"), page, expires })
    }
}

/// The workspace's secret for links, made where there is none yet.
pub(crate) fn made_secret(app: &App, workspace: WorkspaceId) -> Result<Vec<u8>, ApiError> {
    if let Some(secret) = link::secret(&mut *app.store.reader()?, workspace)? {
        return Ok(secret);
    }
    let mut txn = app.store.begin_shared()?;
    let secret = link::make_secret(&mut *txn, workspace, &*app.rng)?;
    txn.commit()?;
    Ok(secret)
}

/// Whom a person's link names, and in which workspace.
pub(crate) fn subject_of(
    app: &App,
    reader: &mut dyn Reader,
    token: &str,
) -> Result<Option<(WorkspaceId, IdentifierRef)>, ApiError> {
    Ok(find(app, reader, token)?.map(|found| (found.access.workspace, found.subject)))
}

/// Whoever a link names.
struct Person {
    link: Link,
    access: Access,
    subject: IdentifierRef,
    definitions: Arc<Workspace>,
    person: feed::Person,
}

fn find(app: &App, reader: &mut dyn Reader, token: &str) -> Result<Option<Person>, ApiError> {
    let now = app.clock.now();
    let found = Link::read(token, now, &mut |workspace| link::secret(reader, workspace))?;
    let Some(link) = found else { return Ok(None) };
    let purpose = AccessPurpose::administration();
    let access = Access { caller: Caller::Subject, workspace: link.workspace, purpose, at: now, sight: Sight::all() };
    let Some(named) = views::named(reader, &access, &[link.node])?.pop().flatten() else { return Ok(None) };
    let Some((kind, value)) = named.identifier.split_once(':') else { return Ok(None) };
    let subject = IdentifierRef { kind: kind.to_owned(), value: value.to_owned() };
    let definitions = app.definitions(reader, access.workspace)?;
    let mut person = None;
    feed::people(reader, &access, &definitions, &[named.profile], now, &mut |_, known| person = known)?;
    Ok(person.map(|person| Person { link, access, subject, definitions, person }))
}

/// The page's language: as asked for, or as the browser would rather have.
pub(crate) fn language(uri: &Uri, headers: &HeaderMap) -> &'static str {
    words(uri, headers).code
}

pub(crate) fn words(uri: &Uri, headers: &HeaderMap) -> &'static Words {
    let asked = query(uri).into_iter().find(|(name, _)| name == "lang");
    asked.map_or_else(|| Words::accepted(headers), |(_, code)| Words::of(&code))
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A page that nobody keeps, and that loads nothing.
pub(crate) fn answer(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ];
    let mut response = (status, html).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn show(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let saved = query(&uri).iter().any(|(name, _)| name == "saved");
    let path = uri.path().to_owned();
    app.read(move |app, reader| {
        Ok(match find(app, reader, &token)? {
            None => answer(StatusCode::NOT_FOUND, page::gone(words)),
            Some(found) => {
                let shown = shown(reader, words, &found)?;
                answer(StatusCode::OK, page::choices(words, &path, &shown, saved))
            }
        })
    })
    .await
}

/// What may be shown of a person.
fn shown(reader: &mut dyn Reader, words: &Words, found: &Person) -> Result<Shown, ApiError> {
    let policy = &found.definitions.policy;
    let title = |name: &str| {
        policy.purposes.get(name).and_then(|purpose| purpose.title.clone()).unwrap_or_else(|| name.to_owned())
    };
    let (mut choices, mut needed) = (vec![], vec![]);
    for (name, purpose) in &policy.purposes {
        let basis = basis(found, name);
        if !may_choose(basis) {
            needed.push((title(name), words.ground(basis)));
            continue;
        }
        let ticks = uses(purpose).into_iter().map(|channel| {
            let allowed = found.person.consent(policy, name, channel.as_deref()).allowed;
            (channel, allowed)
        });
        choices.push(Choice {
            purpose: name.clone(),
            title: title(name),
            description: purpose.description.clone(),
            notice: purpose.notice.as_ref().map(|notice| format!("{} {}", notice.id, notice.version)),
            objectable: basis != Basis::Consent,
            ticks: ticks.collect(),
        });
    }
    let sources = views::sources(reader, &found.access)?;
    let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, _, _, traits) in found.person.records() {
        for (name, said) in traits.iter() {
            for observed in said {
                let source = sources.get(&observed.source).cloned().unwrap_or_else(|| observed.source.to_string());
                held.entry(source).or_default().insert(name.to_owned());
            }
        }
    }
    let uses: BTreeSet<String> =
        found.definitions.subscriptions.values().filter_map(|of| of.purpose.as_deref().map(title)).collect();
    Ok(Shown {
        who: partly_hidden(&found.subject.value),
        choices,
        needed,
        held: held.into_iter().map(|(source, names)| (source, names.into_iter().collect())).collect(),
        passed_on: uses.into_iter().collect(),
    })
}

fn basis(found: &Person, purpose: &str) -> Basis {
    let policy: &Policy = &found.definitions.policy;
    let law = policy.law(found.person.jurisdiction(), found.access.at);
    let there = law.and_then(|law| law.basis.get(purpose)).copied();
    there.or(policy.purposes.get(purpose).map(|purpose| purpose.basis)).unwrap_or_default()
}

fn may_choose(basis: Basis) -> bool {
    matches!(basis, Basis::Consent | Basis::LegitimateInterest | Basis::PublicTask)
}

/// What may be chosen about a purpose: its channels, or itself.
fn uses(purpose: &Purpose) -> Vec<Option<String>> {
    match purpose.channels.is_empty() {
        true => vec![None],
        false => purpose.channels.iter().cloned().map(Some).collect(),
    }
}

/// So much of an identifier that its owner knows it again.
fn partly_hidden(value: &str) -> String {
    let (name, domain) = value.split_once('@').map_or((value, None), |(name, domain)| (name, Some(domain)));
    let first: String = name.chars().take(if name.chars().count() > 4 { 2 } else { 1 }).collect();
    domain.map_or_else(|| format!("{first}…"), |domain| format!("{first}…@{domain}"))
}

async fn save(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let found = app.read(move |app, reader| find(app, reader, &token)).await?;
    let Some(found) = found else { return Ok(answer(StatusCode::NOT_FOUND, page::gone(words))) };
    let commands = match fields.get("do").map(String::as_str) {
        Some("refuse") => vec![refusal(&found, EVERYTHING, None, ConsentState::Withdrawn)],
        Some("save") => chosen(&found, &fields),
        _ => vec![],
    };
    app.commands(&found.access, commands).await?;
    let place = format!("{}?lang={}&saved", uri.path(), words.code);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response())
}

/// What the person chose otherwise than it stood.
fn chosen(found: &Person, fields: &BTreeMap<String, String>) -> Vec<Command> {
    let policy = &found.definitions.policy;
    let mut commands = vec![];
    for (name, purpose) in &policy.purposes {
        let basis = basis(found, name);
        for channel in uses(purpose).into_iter().filter(|_| may_choose(basis)) {
            let wanted = fields.contains_key(&page::field(name, channel.as_deref()));
            if wanted == found.person.consent(policy, name, channel.as_deref()).allowed {
                continue;
            }
            let state = match (wanted, basis) {
                (true, _) => ConsentState::Granted,
                (false, Basis::Consent) => ConsentState::Withdrawn,
                (false, _) => ConsentState::Objected,
            };
            commands.push(refusal(found, name, channel, state));
        }
    }
    commands
}

fn refusal(found: &Person, purpose: &str, channel: Option<String>, state: ConsentState) -> Command {
    let notice = found.definitions.policy.purposes.get(purpose).and_then(|purpose| purpose.notice.clone());
    let jurisdiction = found.person.jurisdiction().map(str::to_owned);
    Command::Consent {
        subject: found.subject.clone(),
        purpose: purpose.to_owned(),
        channel,
        state,
        by: Strength::Person,
        terms: Particulars { notice, jurisdiction, ..Particulars::default() },
    }
}

/// What a link's unsubscribe is about, in words.
fn about(words: &Words, found: &Person) -> String {
    let Some((purpose, channel)) = &found.link.of else { return words.everything.to_owned() };
    let title = found.definitions.policy.purposes.get(purpose).and_then(|purpose| purpose.title.as_deref());
    let title = title.unwrap_or(purpose);
    channel.as_ref().map_or_else(|| title.to_owned(), |channel| format!("{title}, {}", words.channel(channel)))
}

async fn ask(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let found = app.read(move |app, reader| find(app, reader, &token)).await?;
    Ok(match found {
        None => answer(StatusCode::NOT_FOUND, page::gone(words)),
        Some(found) => answer(StatusCode::OK, page::unsubscribe(words, uri.path(), &about(words, &found))),
    })
}

/// One click by the person, or by their mail program (RFC 8058): `List-Unsubscribe=One-Click`.
async fn unsubscribe(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = words(&uri, &headers);
    let found = app.read(move |app, reader| find(app, reader, &token)).await?;
    let Some(found) = found else { return Ok(answer(StatusCode::NOT_FOUND, page::gone(words))) };
    let (purpose, channel) = found.link.of.clone().unwrap_or((EVERYTHING.to_owned(), None));
    let state = match basis(&found, &purpose) {
        Basis::LegitimateInterest | Basis::PublicTask => ConsentState::Objected,
        _ => ConsentState::Withdrawn,
    };
    app.commands(&found.access, vec![refusal(&found, &purpose, channel, state)]).await?;
    let all = uri.path().trim_end_matches("/unsubscribe");
    Ok(answer(StatusCode::OK, page::unsubscribed(words, &about(words, &found), all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_known_again_and_not_told() {
        assert_eq!(partly_hidden("ada.lovelace@example.com"), "ad…@example.com");
        assert_eq!(partly_hidden("a@b.c"), "a…@b.c");
        assert_eq!(partly_hidden("u-12345"), "u-…");
        assert_eq!(partly_hidden("łódź"), "ł…");
    }
}
