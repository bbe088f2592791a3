//! Declared data: forms that ask a person one more thing at a time, say why, and what they get for it.
//!
//! What somebody answers is an `identify` event of the source [`SOURCE`], whose party is `declared`: it outranks whatever else is said
//! or inferred of them. Who it is: the person of a signed link, or an anonymous id. A GET stores nothing.

mod page;

use std::{collections::BTreeMap, sync::Arc};

use onefold_model::{
    WorkspaceId,
    access::Access,
    command::Command,
    profile::survivorship::{Party, Terms},
};
use onefold_pipeline::definitions::Workspace;
use serde::{Deserialize, Serialize};

pub use page::router;

use crate::{
    ApiError, App,
    governance::{Governed, governed},
};

/// The source that answers come by.
pub const SOURCE: &str = "forms";

/// Questions of one form.
const QUESTIONS_MAX: usize = 100;

/// A text by language; English where there is none in the reader's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// None.
    #[default]
    None,
    /// One for all.
    One(String),
    /// By language code.
    Many(BTreeMap<String, String>),
}

impl Text {
    /// In a language.
    pub fn of(&self, language: &str) -> &str {
        match self {
            Text::None => "",
            Text::One(text) => text,
            Text::Many(texts) => {
                let found = texts.get(language).or_else(|| texts.get("en")).or_else(|| texts.values().next());
                found.map_or("", String::as_str)
            }
        }
    }

    fn is_none(&self) -> bool {
        self.of("en").is_empty()
    }
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A line of text.
    #[default]
    Text,
    /// An e-mail address.
    Email,
    /// A number.
    Number,
    /// A day.
    Date,
    /// Yes or no.
    YesNo,
    /// One of the options.
    Choice,
    /// Some of the options: a list.
    Several,
    /// 0 to 10: how likely somebody is to recommend.
    Scale,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The trait that the answer becomes.
    pub r#trait: String,
    /// The question.
    pub ask: Text,
    /// How it is answered.
    #[serde(default)]
    pub answer: Answer,
    /// What may be chosen: value and text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Text>,
}

/// A form, quiz or survey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// What it is called.
    pub title: Text,
    /// Why one is asked.
    pub why: Text,
    /// What one gets for it.
    #[serde(default)]
    pub gain: Text,
    /// What is said at the end.
    #[serde(default)]
    pub thanks: Text,
    /// What the answers are for.
    pub purpose: String,
    /// The notice that tells of it, with its version.
    pub notice: String,
    /// Questions asked at a time; the rest another time.
    #[serde(default = "one")]
    pub at_a_time: usize,
    /// The questions; one whose trait is known already is not asked again.
    pub questions: Vec<Question>,
}

fn one() -> usize {
    1
}

/// The setting `forms`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Forms(pub BTreeMap<String, Form>);

impl Governed for Forms {
    const NAME: &'static str = "forms";

    fn problems(&self, definitions: &Workspace) -> Vec<String> {
        let known = &definitions.policy.purposes;
        let mut problems = vec![];
        for (name, form) in &self.0 {
            if form.questions.is_empty() || form.questions.len() > QUESTIONS_MAX || form.at_a_time == 0 {
                problems.push(format!("{name}: it asks nothing, or more than {QUESTIONS_MAX} questions"));
            }
            if form.title.is_none() || form.why.is_none() || form.notice.is_empty() {
                problems.push(format!("{name}: it must have a title, say why one is asked, and name its notice"));
            }
            if !known.is_empty() && !known.contains_key(&form.purpose) {
                problems.push(format!("{name}: the consent policy has no purpose {:?}", form.purpose));
            }
            for question in &form.questions {
                if CONTACTS.contains(&question.r#trait.as_str()) {
                    let cause = "it identifies people: whoever types another's would be taken for them, and see what was said of them";
                    problems.push(format!("{name}: {:?}: {cause}", question.r#trait));
                }
                let chooses = matches!(question.answer, Answer::Choice | Answer::Several);
                if question.r#trait.is_empty() || question.ask.is_none() || chooses == question.options.is_empty() {
                    let cause = "a question has a trait, a text, and options exactly where one chooses";
                    problems.push(format!("{name}: {:?}: {cause}", question.r#trait));
                }
            }
        }
        problems
    }
}

/// Traits that join whoever says them to a person.
const CONTACTS: [&str; 2] = ["email", "phone"];

impl Question {
    /// What the fields of the form say; `None`: it is not answered, or not so.
    fn read(&self, fields: &[(String, String)]) -> Option<serde_json::Value> {
        let given: Vec<&str> =
            fields.iter().filter(|(name, _)| *name == self.r#trait).map(|(_, value)| value.trim()).collect();
        let first = given.iter().copied().find(|value| !value.is_empty())?;
        match self.answer {
            Answer::Text => (first.len() <= 2000).then(|| first.into()),
            Answer::Email => {
                crate::erasure::identifier(first).ok().filter(|one| one.kind == "email").map(|one| one.value.into())
            }
            Answer::Number => first.replace(',', ".").parse::<serde_json::Number>().ok().map(Into::into),
            Answer::Date => {
                let day = onefold_model::Timestamp::parse(first).filter(|_| first.len() == "2026-01-02".len());
                day.map(|_| first.into())
            }
            Answer::YesNo => match first {
                "yes" => Some(true.into()),
                "no" => Some(false.into()),
                _ => None,
            },
            Answer::Choice => self.options.contains_key(first).then(|| first.into()),
            Answer::Several => {
                let chosen: Vec<&str> = given.into_iter().filter(|value| self.options.contains_key(*value)).collect();
                (!chosen.is_empty()).then(|| chosen.into())
            }
            Answer::Scale => first.parse::<u8>().ok().filter(|number| *number <= 10).map(Into::into),
        }
    }
}

impl App {
    /// The form of this name.
    fn form(&self, definitions: &Workspace, name: &str) -> Result<Option<Form>, ApiError> {
        Ok(governed::<Forms>(definitions)?.0.remove(name))
    }

    /// Makes the source that answers come by, whose word counts before all others'.
    pub(crate) async fn open_forms(self: &Arc<Self>, access: &Access) -> Result<(), ApiError> {
        let workspace = access.workspace;
        let source = match self.ingest.sources.named(workspace, SOURCE) {
            Some(source) => source.id,
            None => self.block(move |app| app.add_source(workspace, SOURCE, "form", "{}")).await?.0.id,
        };
        let definitions = self.read(move |app, reader| app.definitions(reader, workspace)).await?;
        let mut rules = definitions.survivorship.as_ref().clone();
        if rules.party(source) == Party::Declared {
            return Ok(());
        }
        rules.parties.insert(source, Terms { party: Party::Declared, ..Terms::default() });
        self.command(access, Command::Survivorship(rules), true).await.map(drop)
    }

    fn workspace_of(&self, name: &str) -> Option<WorkspaceId> {
        self.workspace(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_its_kind_or_none() {
        let question = |answer: Answer| Question {
            r#trait: "t".to_owned(),
            ask: Text::One("?".to_owned()),
            answer,
            options: BTreeMap::from([("a".to_owned(), Text::None), ("b".to_owned(), Text::None)]),
        };
        let read = |answer, given: &[&str]| {
            let fields: Vec<_> = given.iter().map(|value| ("t".to_owned(), (*value).to_owned())).collect();
            question(answer).read(&fields).map(|value| value.to_string())
        };
        assert_eq!(read(Answer::Text, &[" x "]).as_deref(), Some("\"x\""));
        assert_eq!(read(Answer::Text, &[""]), None);
        assert_eq!(read(Answer::Email, &["A@B.C"]).as_deref(), Some("\"a@b.c\""));
        assert_eq!(read(Answer::Email, &["a"]), None);
        assert_eq!(read(Answer::Number, &["1,5"]).as_deref(), Some("1.5"));
        assert_eq!(read(Answer::Number, &["one"]), None);
        assert_eq!(read(Answer::Date, &["2026-02-28"]).as_deref(), Some("\"2026-02-28\""));
        assert_eq!(read(Answer::Date, &["2026-02-31"]), None);
        assert_eq!(read(Answer::YesNo, &["no"]).as_deref(), Some("false"));
        assert_eq!(read(Answer::Choice, &["b"]).as_deref(), Some("\"b\""));
        assert_eq!(read(Answer::Choice, &["c"]), None);
        assert_eq!(read(Answer::Several, &["b", "c", "a"]).as_deref(), Some("[\"b\",\"a\"]"));
        assert_eq!(read(Answer::Scale, &["10"]).as_deref(), Some("10"));
        assert_eq!(read(Answer::Scale, &["11"]), None);
    }
}
