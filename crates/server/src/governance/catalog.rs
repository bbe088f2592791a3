//! The data directory: every field that ever came, who answers for it, what it holds, what it is for, and where it goes.
//!
//! What is seen (registry of properties), what is defined (segments, computed traits, destinations, models) and what people say
//! (owner, steward, notice) are put together when they are asked for.

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::{Timestamp, access::Class, event::Collection};
use onefold_pipeline::{definitions::Workspace, views};
use onefold_state::{Reader, Scan, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Governed, governed};
use crate::{ApiError, App};

/// What people say of a source or a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who keeps it in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steward: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is collected for; beside what the setting `collection` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The notice that tells people of it, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The setting `catalog`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// By source.
    #[serde(default)]
    pub sources: BTreeMap<String, Said>,
    /// By field.
    #[serde(default)]
    pub fields: BTreeMap<String, Said>,
}

impl Governed for Catalog {
    const NAME: &'static str = "catalog";

    fn problems(&self, definitions: &Workspace) -> Vec<String> {
        let known = &definitions.policy.purposes;
        let said = self.sources.iter().chain(&self.fields);
        let unknown = said.filter_map(|(name, said)| Some((name, said.purpose.as_ref()?)));
        unknown
            .filter(|(_, purpose)| !known.is_empty() && !known.contains_key(*purpose))
            .map(|(name, purpose)| format!("{name}: the consent policy has no purpose {purpose:?}"))
            .collect()
    }
}

/// Where a field goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Use {
    /// `segment`, `computed`, `destination`, `file`, `model`, `survivorship`, `identity`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// A field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldEntry {
    /// `trait`, `property` or `object`.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// The events that have it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub events: BTreeSet<String>,
    /// The source that it came from first, by name.
    pub source: String,
    /// JSON types that were seen.
    pub types: BTreeSet<String>,
    /// What it holds.
    #[schema(value_type = String)]
    pub class: Class,
    /// Whether a steward said so; else its name tells.
    pub class_said: bool,
    /// What it is for.
    pub purposes: BTreeSet<String>,
    /// When it came first.
    pub first_seen: String,
    /// When it came last.
    pub last_seen: String,
    /// What people say of it; what is not said of a field is what is said of its source.
    pub said: Said,
    /// Where it goes.
    pub uses: Vec<Use>,
    /// Whether it goes nowhere: it might as well not be collected.
    pub unused: bool,
}

/// A source.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceEntry {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub said: Said,
    /// How many fields came from it first.
    pub fields: u64,
}

/// The directory.
#[derive(Debug, Serialize, ToSchema)]
pub struct Directory {
    /// Sources.
    pub sources: Vec<SourceEntry>,
    /// Fields.
    pub fields: Vec<FieldEntry>,
}

/// Who uses which field.
struct Uses {
    of: BTreeMap<String, BTreeSet<Use>>,
    /// Destinations that get events: of each the names, `*` for all.
    of_events: Vec<(Use, Vec<String>)>,
}

impl Uses {
    fn put(&mut self, field: &str, kind: &'static str, name: &str) {
        self.of.entry(field.to_owned()).or_default().insert(Use { kind, name: name.to_owned() });
    }

    /// Of a field, and of what it is a part of.
    fn of(&self, scope: &str, name: &str, events: &BTreeSet<String>) -> Vec<Use> {
        let mut uses = BTreeSet::new();
        let mut whole = name;
        loop {
            uses.extend(self.of.get(whole).into_iter().flatten().cloned());
            match whole.rsplit_once('.') {
                Some((front, _)) => whole = front,
                None => break,
            }
        }
        if scope == "property" {
            let gets = |names: &Vec<String>| names.iter().any(|name| name == "*" || events.contains(name));
            uses.extend(self.of_events.iter().filter(|(_, names)| gets(names)).map(|(one, _)| one.clone()));
        }
        uses.into_iter().collect()
    }
}

fn uses(reader: &mut dyn Reader, definitions: &Workspace) -> Result<Uses, ApiError> {
    let mut uses = Uses { of: BTreeMap::new(), of_events: vec![] };
    for (name, segment) in &definitions.segments {
        segment.newest.condition.fields().iter().for_each(|field| uses.put(field, "segment", name));
    }
    for (name, computed) in &definitions.computed {
        computed.newest.fields().iter().for_each(|field| uses.put(field, "computed", name));
    }
    for name in definitions.survivorship.traits.keys() {
        uses.put(name, "survivorship", name);
    }
    for kind in definitions.rules.kinds.iter().map(|rule| rule.kind.as_str()) {
        uses.put(kind, "identity", kind);
    }
    let own = vec![Value::Int(definitions.id.0.into())];
    for row in reader.scan(&Scan::prefix(&schema::DESTINATION, own.clone(), usize::MAX))? {
        let name = row[1].as_text()?;
        let kind = if row[2].as_text()? == "file" { "file" } else { "destination" };
        if let Some(subscription) = definitions.subscriptions.get(name).filter(|of| !of.events.is_empty()) {
            uses.of_events.push((Use { kind, name: name.to_owned() }, subscription.events.clone()));
        }
        let config: serde_json::Value = serde_json::from_str(row[5].as_text()?).unwrap_or_default();
        for field in fields_in(&config) {
            uses.put(&field, kind, name);
        }
    }
    if let Some(version) = definitions.link_model {
        let key = vec![own[0].clone(), Value::Int(version.into())];
        if let Some(row) = reader.get(&schema::LINK_MODEL, &[key])?.pop().flatten() {
            let model: toml::Value =
                row[5].as_text()?.parse().map(toml::Value::Table).unwrap_or(toml::Value::Boolean(false));
            let model = serde_json::to_value(model).unwrap_or_default();
            let name = format!("linkage {version}");
            texts(&model, &mut |text| uses.put(text, "model", &name));
        }
    }
    Ok(uses)
}

/// The traits, properties and identifiers that a destination's configuration names: `traits.plan`, `identifiers.email`.
pub(crate) fn fields_in(config: &serde_json::Value) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    texts(config, &mut |text| {
        let places = ["traits.", "properties."].into_iter();
        for (at, frame) in places.flat_map(|frame| text.match_indices(frame)) {
            let rest = &text[at + frame.len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(rest.len());
            fields.insert(rest[..end].trim_end_matches('.').to_owned());
        }
        if let Some(identifier) = text.strip_prefix("identifiers.") {
            fields.insert(identifier.to_owned());
        }
    });
    fields
}

/// Every text in there.
fn texts(value: &serde_json::Value, on: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => on(text),
        serde_json::Value::Array(all) => all.iter().for_each(|one| texts(one, on)),
        serde_json::Value::Object(members) => members.values().for_each(|one| texts(one, on)),
        _ => {}
    }
}

fn purposes(collection: &Collection, scope: &str, name: &str, events: &BTreeSet<String>) -> BTreeSet<String> {
    let has = |names: &BTreeSet<String>| names.contains(name) || names.contains("*");
    let needs = |purpose: &&String| {
        let needs = &collection.purposes[*purpose];
        match scope {
            "trait" => has(&needs.traits),
            _ => needs.events.iter().any(|(event, names)| (event == "*" || events.contains(event)) && has(names)),
        }
    };
    collection.purposes.keys().filter(needs).cloned().collect()
}

impl Said {
    /// What is not said here, from there.
    fn or(self, other: Option<&Said>) -> Said {
        let Some(other) = other else { return self };
        Said {
            owner: self.owner.or_else(|| other.owner.clone()),
            steward: self.steward.or_else(|| other.steward.clone()),
            description: self.description,
            purpose: self.purpose.or_else(|| other.purpose.clone()),
            notice: self.notice.or_else(|| other.notice.clone()),
        }
    }
}

impl App {
    /// Everything that ever came, and where it goes.
    pub(crate) fn directory(&self, reader: &mut dyn Reader, definitions: &Workspace) -> Result<Directory, ApiError> {
        let catalog: Catalog = governed(definitions)?;
        let collection: Collection = governed(definitions)?;
        let uses = uses(reader, definitions)?;
        let names = views::sources(reader, &self.operator(definitions.id))?;
        let source = |number: i64| {
            u32::try_from(number)
                .ok()
                .and_then(|number| names.get(&number).cloned())
                .unwrap_or_else(|| number.to_string())
        };
        let mut fields: BTreeMap<(String, String), FieldEntry> = BTreeMap::new();
        let own = vec![Value::Int(definitions.id.0.into())];
        for row in reader.scan(&Scan::prefix(&schema::PROPERTY, own, usize::MAX))? {
            let (scope, event, name) = (row[1].as_text()?.to_owned(), row[2].as_text()?, row[3].as_text()?.to_owned());
            let (first, last) = (Timestamp(row[6].as_int()?).to_string(), Timestamp(row[7].as_int()?).to_string());
            let from = source(row[8].as_int()?);
            let entry = fields.entry((scope.clone(), name.clone())).or_insert_with(|| FieldEntry {
                class: definitions.classes.get(&name).copied().unwrap_or_else(|| Class::guess(&name)),
                class_said: definitions.classes.contains_key(&name),
                said: catalog.fields.get(&name).cloned().unwrap_or_default().or(catalog.sources.get(&from)),
                scope,
                name,
                events: BTreeSet::new(),
                source: from.clone(),
                types: BTreeSet::new(),
                purposes: BTreeSet::new(),
                first_seen: first.clone(),
                last_seen: last.clone(),
                uses: vec![],
                unused: false,
            });
            if !event.is_empty() {
                entry.events.insert(event.to_owned());
            }
            entry.types.extend(row[4].as_text()?.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned));
            if first < entry.first_seen {
                (entry.first_seen, entry.source) = (first, from);
            }
            if last > entry.last_seen {
                entry.last_seen = last;
            }
        }
        let mut counts: BTreeMap<String, u64> = names.values().map(|name| (name.clone(), 0)).collect();
        for entry in fields.values_mut() {
            entry.purposes = purposes(&collection, &entry.scope, &entry.name, &entry.events);
            entry.purposes.extend(entry.said.purpose.clone());
            entry.uses = uses.of(&entry.scope, &entry.name, &entry.events);
            entry.unused = entry.uses.is_empty();
            *counts.entry(entry.source.clone()).or_default() += 1;
        }
        let sources = counts.into_iter().map(|(name, fields)| SourceEntry {
            said: catalog.sources.get(&name).cloned().unwrap_or_default(),
            name,
            fields,
        });
        Ok(Directory { sources: sources.collect(), fields: fields.into_values().collect() })
    }
}
