//! `onefold consent …`: what people allow.

use std::path::Path;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::read;
use crate::{
    Failure,
    cli::{Common, Consent},
    client::Client,
    output,
};

const OF: &str = "/api/v1/consents";

/// Rows sent at a time.
const ROWS_AT_ONCE: usize = 5000;

pub async fn run(common: &Common, client: &Client, command: Consent) -> Result<(), Failure> {
    let answer = match command {
        Consent::Policy { file: None, .. } => {
            client.get("/api/v1/settings").await?.get("consent_policy").cloned().unwrap_or_default()
        }
        Consent::Policy { file: Some(file), try_it } => {
            let policy = read(&file)?;
            match try_it {
                true => {
                    let tried = json!({ "consent_policy": policy });
                    client.send(Method::POST, &format!("{OF}/policy/try"), &tried).await?
                }
                false => client.send(Method::PUT, &format!("{OF}/policy"), &policy).await?,
            }
        }
        Consent::Set { identifier, purpose, state, channel, by_person, expires, proof } => {
            let by = if by_person { "person" } else { "operator" };
            let terms = json!({ "expires": expires, "proof": proof });
            let consent = json!({ "identifier": identifier, "purpose": purpose, "channel": channel, "state": state, "by": by, "terms": terms });
            client.send(Method::POST, OF, &consent).await?
        }
        Consent::Import { file } => import(client, &file).await?,
        Consent::Decide { identifier, purpose, channel } => {
            let asked = json!({ "identifier": identifier, "purpose": purpose, "channel": channel });
            client.send(Method::POST, &format!("{OF}/decide"), &asked).await?
        }
        Consent::Reach { condition, purpose, channel } => {
            let asked = json!({ "text": condition, "purpose": purpose, "channel": channel });
            client.send(Method::POST, &format!("{OF}/reach"), &asked).await?
        }
        Consent::Verify => {
            let verified = client.get(&format!("{OF}/ledger")).await?;
            let whole = verified["broken"].as_array().is_some_and(Vec::is_empty);
            output::print(common, &verified)?;
            let cure = "somebody changed state.db beside Onefold; compare with a backup from before";
            return if whole { Ok(()) } else { Err(Failure::new("the ledger is not whole", cure)) };
        }
    };
    output::print(common, &answer)
}

/// Sends the rows of a CSV file; what was refused is told by its line.
async fn import(client: &Client, file: &Path) -> Result<Value, Failure> {
    let failed = |error: csv::Error| {
        let cure = "give a CSV file in UTF-8 whose first line names the columns: identifier,purpose,state,…";
        Failure::new(format!("{} cannot be read: {error}", file.display()), cure)
    };
    let mut rows = csv::Reader::from_path(file).map_err(failed)?;
    let names = rows.headers().map_err(failed)?.clone();
    let (mut entered, mut refused) = (0, vec![]);
    let mut waiting: Vec<(u64, Value)> = vec![];
    let mut rows = rows.into_records();
    loop {
        let row = rows.next().transpose().map_err(failed)?;
        let ended = row.is_none();
        if let Some(row) = row {
            let line = row.position().map_or(0, csv::Position::line);
            waiting.push((line, consent(names.iter().zip(&row))?));
        }
        if waiting.len() == ROWS_AT_ONCE || (ended && !waiting.is_empty()) {
            let consents: Vec<&Value> = waiting.iter().map(|(_, consent)| consent).collect();
            let answer = client.send(Method::POST, OF, &json!({ "consents": consents })).await?;
            entered += answer["entered"].as_u64().unwrap_or_default();
            for one in answer["refused"].as_array().into_iter().flatten() {
                let place = one["place"].as_u64().unwrap_or_default() as usize;
                let line = waiting.get(place).map(|(line, _)| *line);
                refused.push(json!({ "line": line, "why": one["why"] }));
            }
            waiting.clear();
        }
        if ended {
            return Ok(json!({ "entered": entered, "refused": refused }));
        }
    }
}

/// A row as the API takes it. Empty cells are left out.
fn consent<'r>(cells: impl Iterator<Item = (&'r str, &'r str)>) -> Result<Value, Failure> {
    let (mut consent, mut terms, mut notice) = (Map::new(), Map::new(), Map::new());
    for (name, cell) in cells.map(|(name, cell)| (name.trim(), cell.trim())).filter(|(_, cell)| !cell.is_empty()) {
        let of = match name {
            "identifier" | "purpose" | "state" | "channel" | "by" => &mut consent,
            "effective" | "expires" | "jurisdiction" | "basis" | "proof" => &mut terms,
            "notice_id" | "notice_version" => &mut notice,
            other => {
                let cure = "name the columns as `onefold consent import --help` says";
                return Err(Failure::new(format!("there is no column {other:?}"), cure));
            }
        };
        of.insert(name.trim_start_matches("notice_").to_owned(), cell.into());
    }
    if !notice.is_empty() {
        terms.insert("notice".to_owned(), notice.into());
    }
    consent.insert("terms".to_owned(), terms.into());
    Ok(consent.into())
}
