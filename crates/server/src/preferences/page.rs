//! The page as HTML: one form, no script, nothing from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words::{LANGUAGES, Words};

/// What the page shows of a person.
pub struct Shown {
    /// Their identifier, as far as it may be shown to whoever has the link.
    pub who: String,
    /// What they may choose.
    pub choices: Vec<Choice>,
    /// Uses that ask nobody: of each its title and its legal ground.
    pub needed: Vec<(String, &'static str)>,
    /// Of each source what kinds of data it gave.
    pub held: Vec<(String, Vec<String>)>,
    /// For which purposes data are passed on.
    pub passed_on: Vec<String>,
}

/// A purpose that the person may choose about.
pub struct Choice {
    /// Its name in the policy.
    pub purpose: String,
    /// What people call it.
    pub title: String,
    /// What is done, in plain words.
    pub description: Option<String>,
    /// Of a notice, its id and version.
    pub notice: Option<String>,
    /// Whether it may only be objected to.
    pub objectable: bool,
    /// Of each channel, or of the purpose itself, whether it is allowed now.
    pub ticks: Vec<(Option<String>, bool)>,
}

/// The name of a form field.
pub fn field(purpose: &str, channel: Option<&str>) -> String {
    // Encoded, neither holds a bar.
    let encoded = |name: &str| url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    channel.map_or_else(|| encoded(purpose), |channel| format!("{}|{}", encoded(purpose), encoded(channel)))
}

const STYLE: &str = include_str!("style.css");

fn frame(words: &Words, title: &str, languages: Option<&str>, body: &Markup) -> String {
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
                main {
                    h1 { (title) }
                    (body)
                }
                @if let Some(path) = languages {
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

/// The page with all choices. `path`: where it is.
pub fn choices(words: &Words, path: &str, shown: &Shown, saved: bool) -> String {
    let body = html! {
        @if saved { p.done role="status" { (words.saved) } }
        p { strong { (shown.who) } }
        p { (words.intro) }
        h2 { (words.choices) }
        form method="post" action={ (path) "?lang=" (words.code) } {
            @if shown.choices.is_empty() { p { (words.nothing_to_choose) } }
            @for (number, choice) in shown.choices.iter().enumerate() { (fieldset(words, number, choice)) }
            p.buttons {
                @if !shown.choices.is_empty() { button type="submit" name="do" value="save" { (words.save) } }
                button.other type="submit" name="do" value="refuse" { (words.refuse_all) }
            }
        }
        @if !shown.needed.is_empty() {
            h2 { (words.needed) }
            ul { @for (title, ground) in &shown.needed { li { (title) ": " (ground) } } }
        }
        h2 { (words.held) }
        table {
            thead { tr { th scope="col" { (words.source) } th scope="col" { (words.values) } } }
            tbody { @for (source, names) in &shown.held { tr { th scope="row" { (source) } td { (names.join(", ")) } } } }
        }
        @if !shown.passed_on.is_empty() { p { (words.given_to) ": " (shown.passed_on.join(", ")) } }
    };
    frame(words, words.title, Some(path), &body)
}

fn fieldset(words: &Words, number: usize, choice: &Choice) -> Markup {
    let about = format!("about-{number}");
    html! {
        fieldset aria-describedby=(about) {
            legend { (choice.title) }
            div id=(about) {
                @if let Some(description) = &choice.description { p { (description) } }
                @if choice.objectable { p { (words.you_may_object) } }
                @if let Some(notice) = &choice.notice { p.notice { (words.notice) ": " (notice) } }
            }
            @for (place, (channel, allowed)) in choice.ticks.iter().enumerate() {
                @let id = format!("choice-{number}-{place}");
                p {
                    input type="checkbox" id=(id) name=(field(&choice.purpose, channel.as_deref())) value="yes" checked[*allowed];
                    label for=(id) { (channel.as_deref().map_or(words.by_any_channel, |channel| words.channel(channel))) }
                }
            }
        }
    }
}

/// The page that asks whether to unsubscribe. `of`: from what.
pub fn unsubscribe(words: &Words, path: &str, of: &str) -> String {
    let body = html! {
        p { (words.unsubscribe_from) }
        p { strong { (of) } }
        form method="post" action={ (path) "?lang=" (words.code) } {
            p.buttons { button type="submit" name="do" value="unsubscribe" { (words.confirm) } }
        }
    };
    frame(words, words.unsubscribe, Some(path), &body)
}

/// After that. `all`: where all choices are.
pub fn unsubscribed(words: &Words, of: &str, all: &str) -> String {
    let body = html! {
        p.done role="status" { (words.unsubscribed) }
        p { strong { (of) } }
        p { a href={ (all) "?lang=" (words.code) } { (words.all_choices) } }
    };
    frame(words, words.unsubscribe, None, &body)
}

/// A link that is none, or no more.
pub fn gone(words: &Words) -> String {
    frame(words, words.gone_title, None, &html! { p { (words.gone) } })
}
