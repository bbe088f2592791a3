//! `onefold request …`, `governance …`, `approval …`, `catalog`, `retention …` and `report …`.

use std::path::PathBuf;

use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::read;
use crate::{
    Failure,
    cli::Common,
    client::{Client, segment},
    output,
};

#[derive(Debug, Subcommand)]
pub enum Request {
    /// Enter a request; nothing is carried out yet.
    Add {
        /// access, portability, rectify, restrict, object, opt_out_of_sale, limit_sensitive, no_automated, erase.
        kind: String,
        /// Who asks: an e-mail address, a phone number with +, a user id, `kind:value`; all of one person.
        #[arg(required = true)]
        identifiers: Vec<String>,
        /// How you know that the person asked; absent: they are asked by e-mail.
        #[arg(long)]
        identified: Option<String>,
        /// Of a request to rectify: TRAIT=VALUE, as often as need be; VALUE is JSON, or text.
        #[arg(long = "set", value_name = "TRAIT=VALUE")]
        corrections: Vec<String>,
        /// Of an objection: to which purpose.
        #[arg(long)]
        purpose: Option<String>,
        /// gdpr or ccpa.
        #[arg(long)]
        regulation: Option<String>,
        /// When it came, where that was earlier.
        #[arg(long, value_name = "TIME")]
        received: Option<String>,
        /// For whoever carries it out.
        #[arg(long)]
        note: Option<String>,
    },
    /// The requests, the newest first.
    List {
        /// open, overdue, or a state.
        #[arg(long)]
        status: Option<String>,
    },
    /// A request, and whether more than one person may be meant.
    Show { id: String },
    /// Say how the person was identified.
    Verify { id: String, how: String },
    /// Extend the deadline, once, and say why.
    Extend { id: String, why: String },
    /// End it without carrying it out, and say why.
    Cancel { id: String, why: String },
    /// Carry it out.
    CarryOut {
        id: String,
        /// Although more than one person may be meant.
        #[arg(long)]
        despite_warning: bool,
    },
    /// Fetch the answer to a request for access or portability.
    Answer {
        id: String,
        /// Where the ZIP is written.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// How requests go: how many came, are open, late, done, and in how many days.
    Statistics,
}

#[derive(Debug, Subcommand)]
pub enum Governance {
    /// A setting: collection, approvals, catalog, retention, forms.
    Show { name: String },
    /// Set it from a JSON file (`-`: standard input).
    Set {
        name: String,
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Approval {
    /// What was asked for, the newest first.
    List,
    /// Let somebody do what they asked for.
    Approve {
        id: String,
        #[arg(default_value = "")]
        why: String,
    },
    /// Do not.
    Reject {
        id: String,
        #[arg(default_value = "")]
        why: String,
    },
}

#[derive(Debug, Args)]
pub struct Catalog {
    /// Only this field and its parts.
    pub field: Option<String>,
    /// Only fields that go nowhere.
    #[arg(long)]
    pub unused: bool,
}

#[derive(Debug, Subcommand)]
pub enum Retention {
    /// What is kept too long, and would go.
    Preview,
    /// Take it out now; it is done once a day by itself.
    Run,
}

#[derive(Debug, Subcommand)]
pub enum Report {
    /// The record of processing activities.
    Processing,
    /// Who was exposed to a destination in a time.
    Exposure {
        destination: String,
        /// From then on: 2026-11-21 or 2026-11-21T12:00:00Z.
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Until then; now, if not said.
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
}

pub async fn request(common: &Common, client: &Client, command: Request) -> Result<(), Failure> {
    const OF: &str = "/api/v1/requests";
    let of = |id: &str, what: &str| format!("{OF}/{}/{what}", segment(id));
    let why = |why: String| json!({ "why": why });
    let answer = match command {
        Request::Add { kind, identifiers, identified, corrections, purpose, regulation, received, note } => {
            let corrections =
                corrections.iter().map(|text| correction(text)).collect::<Result<serde_json::Map<_, _>, _>>()?;
            let mut body = json!({ "kind": kind, "identifiers": identifiers, "corrections": corrections });
            let given = [
                ("identified", identified),
                ("purpose", purpose),
                ("regulation", regulation),
                ("received", received),
                ("note", note),
            ];
            for (name, value) in given {
                if let Some(value) = value {
                    body[name] = value.into();
                }
            }
            client.send(Method::POST, OF, &body).await?
        }
        Request::List { status } => {
            let query = status.map(|status| format!("?status={}", segment(&status))).unwrap_or_default();
            client.get(&format!("{OF}{query}")).await?
        }
        Request::Show { id } => client.get(&format!("{OF}/{}", segment(&id))).await?,
        Request::Verify { id, how } => client.send(Method::POST, &of(&id, "verify"), &why(how)).await?,
        Request::Extend { id, why: text } => client.send(Method::POST, &of(&id, "extend"), &why(text)).await?,
        Request::Cancel { id, why: text } => client.send(Method::POST, &of(&id, "cancel"), &why(text)).await?,
        Request::CarryOut { id, despite_warning } => {
            client.send(Method::POST, &of(&id, "carry-out"), &json!({ "despite_warning": despite_warning })).await?
        }
        Request::Answer { id, output } => {
            let zip = client.call(Method::GET, &of(&id, "answer"), vec![]).await?.body;
            std::fs::write(&output, &zip).map_err(|error| {
                let cause = format!("{} cannot be written: {error}", output.display());
                Failure::new(cause, "give a path that can be written")
            })?;
            json!({ "file": output, "bytes": zip.len() })
        }
        Request::Statistics => client.get(&format!("{OF}/statistics")).await?,
    };
    output::print(common, &answer)
}

fn correction(text: &str) -> Result<(String, Value), Failure> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Failure::new(format!("{text:?} corrects nothing"), "give --set TRAIT=VALUE"))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

pub async fn governance(common: &Common, client: &Client, command: Governance) -> Result<(), Failure> {
    let of = |name: &str| format!("/api/v1/governance/{}", segment(name));
    let answer = match command {
        Governance::Show { name } => client.get(&of(&name)).await?,
        Governance::Set { name, file } => client.send(Method::PUT, &of(&name), &read(&file)?).await?,
    };
    output::print(common, &answer)
}

pub async fn approval(common: &Common, client: &Client, command: Approval) -> Result<(), Failure> {
    let decide = |id: String, approve: bool, why: String| async move {
        let body = json!({ "approve": approve, "why": why });
        client.send(Method::POST, &format!("/api/v1/approvals/{}", segment(&id)), &body).await
    };
    let answer = match command {
        Approval::List => client.get("/api/v1/approvals").await?,
        Approval::Approve { id, why } => decide(id, true, why).await?,
        Approval::Reject { id, why } => decide(id, false, why).await?,
    };
    output::print(common, &answer)
}

pub async fn catalog(common: &Common, client: &Client, Catalog { field, unused }: Catalog) -> Result<(), Failure> {
    let field = field.map(|field| format!("&field={}", segment(&field))).unwrap_or_default();
    let directory = client.get(&format!("/api/v1/catalog?unused={unused}{field}")).await?;
    match common.format() {
        output::Format::Table => output::print(common, &directory["fields"]),
        _ => output::print(common, &directory),
    }
}

pub async fn retention(common: &Common, client: &Client, command: Retention) -> Result<(), Failure> {
    let answer = match command {
        Retention::Preview => client.get("/api/v1/retention").await?,
        Retention::Run => client.send(Method::POST, "/api/v1/retention", &json!({})).await?,
    };
    output::print(common, &answer)
}

pub async fn report(common: &Common, client: &Client, command: Report) -> Result<(), Failure> {
    let answer = match command {
        Report::Processing => client.get("/api/v1/reports/processing").await?,
        Report::Exposure { destination, from, to } => {
            let to = to.map(|to| format!("&to={}", segment(&to))).unwrap_or_default();
            let path =
                format!("/api/v1/reports/exposure?destination={}&from={}{to}", segment(&destination), segment(&from));
            client.get(&path).await?
        }
    };
    output::print(common, &answer)
}
