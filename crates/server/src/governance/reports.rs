//! Reports: the record of processing (GDPR, Article 30), and who was exposed to a destination (Articles 33, 34).

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::{NodeId, ProfileId, Timestamp, access::Access, access::Class};
use onefold_pipeline::definitions::Workspace;
use onefold_state::{Reader, Row, Scan, Value, schema};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Retention, governed, retention::Rule};
use crate::{ApiError, App};

/// What data are processed for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Processing {
    /// The purpose.
    pub purpose: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// On which legal ground; by jurisdiction where that differs.
    #[schema(value_type = Object)]
    pub basis: BTreeMap<String, String>,
    /// Categories of data, with the fields in each that are declared for it.
    #[schema(value_type = Object)]
    pub data: BTreeMap<String, Vec<String>>,
    /// To whom data go for it.
    pub recipients: Vec<Recipient>,
    /// The notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Who gets data.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recipient {
    /// The destination.
    pub destination: String,
    /// Its kind.
    pub kind: String,
    /// What it gets.
    pub gets: Vec<String>,
}

/// The record of processing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Record {
    /// When it was made.
    pub at: String,
    /// By purpose.
    pub processing: Vec<Processing>,
    /// Fields that no purpose declares.
    pub undeclared: Vec<String>,
    /// How long things are kept.
    pub retention: Vec<Rule>,
    /// Where data come from.
    pub sources: Vec<String>,
    /// How many people it is about.
    pub people: u64,
    /// What keeps them safe.
    pub safeguards: Vec<&'static str>,
}

/// Who was exposed to a destination.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exposure {
    /// The destination.
    pub destination: String,
    /// From then on.
    pub from: String,
    /// Until then.
    pub to: String,
    /// How many deliveries.
    pub deliveries: u64,
    /// How many people.
    pub people: u64,
    /// What they were about: events by name, segments.
    #[schema(value_type = Object)]
    pub about: BTreeMap<String, u64>,
    /// The people, by profile id.
    pub profiles: Vec<String>,
}

/// People that one report names.
const PROFILES_MAX: usize = 1_000_000;

impl App {
    /// The record of processing as it stands.
    pub(crate) fn record_of_processing(
        &self,
        reader: &mut dyn Reader,
        definitions: &Workspace,
    ) -> Result<Record, ApiError> {
        let directory = self.directory(reader, definitions)?;
        let own = vec![Value::Int(definitions.id.0.into())];
        let destinations = reader.scan(&Scan::prefix(&schema::DESTINATION, own.clone(), usize::MAX))?;
        let mut processing = vec![];
        for (name, purpose) in &definitions.policy.purposes {
            let mut basis = BTreeMap::from([("everywhere".to_owned(), named(&purpose.basis))]);
            for (place, law) in &definitions.policy.jurisdictions {
                basis.extend(law.basis.get(name).map(|basis| (place.clone(), named(basis))));
            }
            let mut data: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for field in directory.fields.iter().filter(|field| field.purposes.contains(name)) {
                data.entry(named(&field.class)).or_default().push(field.name.clone());
            }
            let recipient = |row: &Row| {
                let destination = row[1].as_text().ok()?;
                let of = definitions.subscriptions.get(destination)?;
                (of.purpose.as_ref() == Some(name)).then(|| Recipient {
                    destination: destination.to_owned(),
                    kind: row[2].as_text().unwrap_or_default().to_owned(),
                    gets: of.segments.iter().chain(&of.events).cloned().collect(),
                })
            };
            processing.push(Processing {
                purpose: name.clone(),
                title: purpose.title.clone(),
                description: purpose.description.clone(),
                basis,
                data,
                recipients: destinations.iter().filter_map(recipient).collect(),
                notice: purpose.notice.as_ref().map(|notice| format!("{} {}", notice.id, notice.version)),
            });
        }
        let undeclared: BTreeSet<String> = directory
            .fields
            .iter()
            .filter(|field| field.purposes.is_empty() && field.class != Class::Free)
            .map(|field| field.name.clone())
            .collect();
        Ok(Record {
            at: self.clock.now().to_string(),
            processing,
            undeclared: undeclared.into_iter().collect(),
            retention: governed::<Retention>(definitions)?.rules,
            sources: directory.sources.into_iter().map(|source| source.name).collect(),
            people: reader.count(&schema::PROFILE, &[own[0].clone(), Value::Int(0)])?,
            safeguards: vec![
                "roles with masks and row filters in every read (docs/people.md)",
                "consent decided at every use (docs/consent.md)",
                "an audit log that shows every change to it (docs/audit.md)",
                "credentials sealed, backups encrypted (docs/operate.md)",
            ],
        })
    }

    /// Who was exposed to a destination in a time.
    pub(crate) fn exposure(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        destination: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Exposure, ApiError> {
        let workspace = Value::Int(access.workspace.0.into());
        let prefix = vec![workspace, Value::Text(destination.to_owned())];
        let mut after =
            Some([prefix.clone(), vec![Value::Int(from.0 - 1), Value::Int(i64::MAX), Value::Int(i64::MAX)]].concat());
        let (mut deliveries, mut people, mut about) = (0, BTreeSet::new(), BTreeMap::<String, u64>::new());
        loop {
            let scan = Scan {
                index: Some("recent"),
                after,
                until: Some(Value::Int(to.0)),
                ..Scan::prefix(&schema::RECEIPT, prefix.clone(), 10_000)
            };
            let rows = reader.scan(&scan)?;
            for row in &rows {
                if row[8].as_text()? == "delivered" {
                    deliveries += 1;
                    people.insert(row[7].as_int()?);
                    let what = match row[6].as_text()? {
                        "" => row[5].as_text()?,
                        segment => segment,
                    };
                    *about.entry(what.to_owned()).or_default() += 1;
                }
            }
            after =
                rows.last().filter(|_| rows.len() == 10_000).map(|row| schema::RECEIPT.position(Some("recent"), row));
            if after.is_none() || people.len() > PROFILES_MAX {
                break;
            }
        }
        Ok(Exposure {
            destination: destination.to_owned(),
            from: from.to_string(),
            to: to.to_string(),
            deliveries,
            people: people.len() as u64,
            about,
            profiles: people.into_iter().map(|node| ProfileId(NodeId(node)).to_string()).collect(),
        })
    }
}

/// As it is written in settings.
fn named(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
