//! The page of a form: the next questions, why they are asked, and a button. It works without scripts, alone or in a frame.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use onefold_model::{WorkspaceId, access::Access, command::IdentifierRef, rng};
use onefold_pipeline::{feed, views};
use onefold_state::Reader;
use serde_json::json;

use super::{Answer, Form, Question, SOURCE};
use crate::{
    ApiError, App,
    preferences::{self, Words},
};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 64 << 10;
const STYLE: &str = include_str!("../preferences/style.css");

/// The public pages.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/forms/{workspace}/{form}", get(show).post(answer))
        .route("/forms/{workspace}/{form}/snippet.js", get(snippet))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(app)
}

/// Words of the page itself, in the order of [`preferences::LANGUAGES`]: the button, another time, the end.
const WORDS: [(&str, [&str; 5]); 5] = [
    ("en", ["Send", "Not now", "Thank you.", "Yes", "No"]),
    ("de", ["Senden", "Jetzt nicht", "Vielen Dank.", "Ja", "Nein"]),
    ("pl", ["Wyślij", "Nie teraz", "Dziękujemy.", "Tak", "Nie"]),
    ("fr", ["Envoyer", "Pas maintenant", "Merci.", "Oui", "Non"]),
    ("es", ["Enviar", "Ahora no", "Gracias.", "Sí", "No"]),
];

fn own(language: &str) -> &'static [&'static str; 5] {
    WORDS.iter().find(|(code, _)| *code == language).map_or(&WORDS[0].1, |(_, words)| words)
}

/// Who answers.
enum Who {
    /// Whoever a signed link names.
    Known(IdentifierRef),
    /// A browser, by the id that the site's SDK gave it, or by a new one.
    Browser(String),
}

impl Who {
    fn text(&self) -> String {
        match self {
            Who::Known(subject) => format!("{}:{}", subject.kind, subject.value),
            Who::Browser(id) => format!("anonymous_id:{id}"),
        }
    }
}

/// What a request for the page says.
struct Asked {
    workspace: WorkspaceId,
    form: Form,
    who: Option<Who>,
    /// What the person has said already.
    known: BTreeSet<String>,
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_owned().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value)
}

async fn asked(app: &Arc<App>, workspace: &str, form: String, uri: &Uri) -> Result<Option<Asked>, ApiError> {
    let Some(workspace) = app.workspace_of(workspace) else { return Ok(None) };
    let (token, id) = (query(uri, "t"), query(uri, "anonymous_id").filter(|id| id.len() <= 200));
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, workspace)?;
        let Some(form) = app.form(&definitions, &form)? else { return Ok(None) };
        let who = match token {
            Some(token) => match preferences::subject_of(app, reader, &token)? {
                Some((theirs, subject)) if theirs == workspace => Some(Who::Known(subject)),
                _ => return Ok(None),
            },
            None => id.map(Who::Browser),
        };
        let known = match &who {
            Some(who) => known(app, reader, &app.operator(workspace), who)?,
            None => BTreeSet::new(),
        };
        Ok(Some(Asked { workspace, form, who, known }))
    })
    .await
}

/// The traits of whoever answers.
fn known(app: &App, reader: &mut dyn Reader, access: &Access, who: &Who) -> Result<BTreeSet<String>, ApiError> {
    let Some(id) = views::find(reader, access, &who.text())? else { return Ok(BTreeSet::new()) };
    let definitions = app.definitions(reader, access.workspace)?;
    let mut names = BTreeSet::new();
    feed::people(reader, access, &definitions, &[id], access.at, &mut |_, person| {
        for (_, _, _, traits) in person.iter().flat_map(|person| person.records()) {
            names.extend(traits.iter().map(|(name, _)| name.to_owned()));
        }
    })?;
    Ok(names)
}

impl Asked {
    /// What is asked now.
    fn next(&self) -> Vec<&Question> {
        let open = self.form.questions.iter().filter(|question| !self.known.contains(&question.r#trait));
        open.take(self.form.at_a_time).collect()
    }
}

fn framed(status: StatusCode, language: &str, title: &str, body: &Markup) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang=(language) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    let mut response = preferences::answer(status, html.into_string());
    // It may stand in a frame of any site; it knows nobody by cookies.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn gone(words: &Words) -> Response {
    framed(StatusCode::NOT_FOUND, words.code, words.gone_title, &html! { p { (words.gone) } })
}

fn question(question: &Question, language: &str) -> Markup {
    let (name, ask) = (&question.r#trait, question.ask.of(language));
    let own = own(language);
    let one_of = |kind: &str, options: &[(String, String)]| {
        html! {
            fieldset {
                legend { (ask) }
                @for (value, text) in options {
                    @let id = format!("{name}-{value}");
                    p { input type=(kind) id=(id) name=(name) value=(value); label for=(id) { (text) } }
                }
            }
        }
    };
    let line =
        |kind: &str| html! { p { label for=(name) { (ask) } br; input type=(kind) id=(name) name=(name) step="any"; } };
    let options: Vec<(String, String)> =
        question.options.iter().map(|(value, text)| (value.clone(), text.of(language).to_owned())).collect();
    match question.answer {
        Answer::Text => line("text"),
        Answer::Email => line("email"),
        Answer::Number => line("number"),
        Answer::Date => line("date"),
        Answer::YesNo => {
            one_of("radio", &[("yes".to_owned(), own[3].to_owned()), ("no".to_owned(), own[4].to_owned())])
        }
        Answer::Choice => one_of("radio", &options),
        Answer::Several => one_of("checkbox", &options),
        Answer::Scale => {
            let numbers: Vec<(String, String)> =
                (0..=10).map(|number| (number.to_string(), number.to_string())).collect();
            one_of("radio", &numbers)
        }
    }
}

fn page(words: &Words, path: &str, asked: &Asked) -> Response {
    let (language, form) = (words.code, &asked.form);
    let next = asked.next();
    let title = form.title.of(language);
    if next.is_empty() {
        return thanks(words, form);
    }
    let body = html! {
        p { (form.why.of(language)) }
        @if !form.gain.of(language).is_empty() { p { strong { (form.gain.of(language)) } } }
        form method="post" action=(path) {
            @for one in next { (question(one, language)) }
            p.notice { (words.notice) ": " (form.notice) }
            p.buttons {
                button type="submit" name="do" value="send" { (own(language)[0]) }
                button.other type="submit" name="do" value="skip" { (own(language)[1]) }
            }
        }
    };
    framed(StatusCode::OK, language, title, &body)
}

fn thanks(words: &Words, form: &Form) -> Response {
    let text = Some(form.thanks.of(words.code)).filter(|text| !text.is_empty()).unwrap_or(own(words.code)[2]);
    framed(StatusCode::OK, words.code, form.title.of(words.code), &html! { p.done role="status" { (text) } })
}

async fn show(
    State(app): State<Arc<App>>,
    Path((workspace, form)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = preferences::words(&uri, &headers);
    let Some(asked) = asked(&app, &workspace, form, &uri).await? else { return Ok(gone(words)) };
    Ok(page(words, &uri.to_string(), &asked))
}

async fn answer(
    State(app): State<Arc<App>>,
    Path((workspace, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let words = preferences::words(&uri, &headers);
    let Some(asked) = asked(&app, &workspace, name.clone(), &uri).await? else { return Ok(gone(words)) };
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    if fields.iter().any(|(field, value)| field == "do" && value == "skip") {
        return Ok(thanks(words, &asked.form));
    }
    let said: serde_json::Map<String, serde_json::Value> = asked
        .form
        .questions
        .iter()
        .filter_map(|question| Some((question.r#trait.clone(), question.read(&fields)?)))
        .collect();
    if said.is_empty() {
        return Ok(page(words, &uri.to_string(), &asked));
    }
    let mut event = json!({
        "type": "identify",
        "messageId": format!("form-{}", rng::hex(&*app.rng, 16)),
        "traits": said,
        "context": { "form": { "name": name, "purpose": asked.form.purpose, "notice": asked.form.notice } },
    });
    let (mut to, who) = (uri.to_string(), asked.who.unwrap_or_else(|| Who::Browser(rng::hex(&*app.rng, 16))));
    match &who {
        Who::Known(subject) if subject.kind == "user_id" => event["userId"] = subject.value.clone().into(),
        Who::Known(subject) if subject.kind == "anonymous_id" => event["anonymousId"] = subject.value.clone().into(),
        Who::Known(subject) => {
            event["context"]["externalIds"] = json!([{ "type": subject.kind, "id": subject.value }]);
        }
        Who::Browser(id) => {
            event["anonymousId"] = id.clone().into();
            if query(&uri, "anonymous_id").is_none() {
                let mark = if uri.query().is_some() { '&' } else { '?' };
                to.push_str(&format!("{mark}anonymous_id={id}"));
            }
        }
    }
    let landed = onefold_activate::Arrivals::land(&*app.ingest, asked.workspace, SOURCE, event.to_string()).await;
    landed.map_err(|_| ApiError::unavailable("the answer cannot be taken at the moment"))?;
    // The next question, once what was said is known.
    let end = app.log.end(asked.workspace.partition(app.log.partitions()))?;
    app.wait(asked.workspace, end, false).await?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
}

/// A script that puts the form into a page of the site: `<script src="…/snippet.js" data-anonymous-id="…" async></script>`.
async fn snippet(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    let (scheme, host) = app.ingest.address(&uri, &headers);
    let page = format!("{scheme}://{host}{}", uri.path().trim_end_matches("/snippet.js"));
    let script = format!(
        "(function () {{\n  var script = document.currentScript;\n  var id = script.dataset.anonymousId;\n  var frame = document.createElement('iframe');\n  \
         frame.src = {page:?} + (id ? '?anonymous_id=' + encodeURIComponent(id) : '');\n  frame.title = script.dataset.title || 'Form';\n  \
         frame.style.cssText = 'width:100%;min-height:24rem;border:0';\n  script.parentNode.insertBefore(frame, script);\n}})();\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, script).into_response()
}
