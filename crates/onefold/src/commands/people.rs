//! `onefold user|role|key|field …`: who works here, what they may, and what fields hold.

use std::path::PathBuf;

use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{read, text};
use crate::{
    Failure,
    cli::Common,
    client::{Client, segment},
    output,
};

/// Who works here.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Invite somebody: prints a link by which they choose a password, once, within three days.
    Add {
        /// Their e-mail address, by which the account is called.
        email: String,
        /// What others call them.
        #[arg(long, default_value = "")]
        name: String,
        /// A role to begin with; `onefold role list` names them.
        #[arg(long)]
        role: Option<String>,
        /// Segments whose members they see, and nobody else.
        #[arg(long, value_name = "SEGMENT", requires = "role")]
        only: Vec<String>,
        /// The role holds in all workspaces.
        #[arg(long, requires = "role", conflicts_with = "only")]
        everywhere: bool,
    },
    /// All accounts.
    List,
    /// A new link for somebody who has lost their password or second factor. Their sessions end.
    Link { email: String },
    /// Sign somebody out and let them in no more.
    Disable { email: String },
    /// Let them in again.
    Enable { email: String },
    /// Put somebody into a team.
    Join { email: String, team: String },
    /// Take them out of it.
    Part { email: String, team: String },
}

/// What roles may do, and who has them.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Who has which role here.
    List,
    /// Give a role.
    Grant {
        /// An e-mail address, `team:NAME` or `key:NUMBER`.
        holder: String,
        role: String,
        /// Segments whose members they see, and nobody else.
        #[arg(long, value_name = "SEGMENT")]
        only: Vec<String>,
        /// In all workspaces.
        #[arg(long, conflicts_with = "only")]
        everywhere: bool,
    },
    /// Take a role back.
    Revoke {
        /// An e-mail address, `team:NAME` or `key:NUMBER`.
        holder: String,
        role: String,
        /// The one that holds in all workspaces.
        #[arg(long)]
        everywhere: bool,
    },
    /// What a role may do and see, and which policies say so.
    Try {
        role: String,
        /// Policies to try in place of the workspace's own.
        #[arg(long, value_name = "FILE")]
        policies: Option<PathBuf>,
        #[arg(long)]
        purpose: Option<String>,
        #[arg(long, value_name = "TEAM")]
        team: Vec<String>,
        /// As if a second factor had been shown.
        #[arg(long)]
        second_factor: bool,
    },
    /// The workspace's own policies, in Cedar: shown, or set from a file.
    Policies {
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Keys of programs.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key; it is shown this once.
    Add {
        name: String,
        role: String,
        /// For so many days; without it until it is revoked.
        #[arg(long)]
        days: Option<u32>,
        /// Segments whose members it sees, and nobody else.
        #[arg(long, value_name = "SEGMENT")]
        only: Vec<String>,
    },
    /// All keys with a role here.
    List,
    /// Revoke a key, for good.
    Revoke { number: u32 },
}

/// What fields hold.
#[derive(Debug, Subcommand)]
pub enum Field {
    /// Every field that was seen, and its class.
    List,
    /// Say what a field holds: identifier, contact, sensitive, special_category, financial, free; `guess`: as its name tells.
    Set { name: String, class: String },
}

/// Who read people's data in bulk, changed something, or was refused.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Entries, the newest first.
    List {
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Of one caller: operator, user:7, key:3.
        #[arg(long)]
        caller: Option<String>,
    },
    /// The signed head, to be kept elsewhere.
    Head,
    /// Check that no entry was changed, taken out, swapped or cut off.
    Verify {
        /// A head that was kept elsewhere.
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
}

/// An absent list is everybody; an empty one would be nobody.
fn some(only: Vec<String>) -> Option<Vec<String>> {
    (!only.is_empty()).then_some(only)
}

async fn change_user(client: &Client, email: &str, change: Value) -> Result<Value, Failure> {
    client.send(Method::PATCH, &format!("/api/v1/people/{}", segment(email)), &change).await
}

/// A link is shown with the address of the server that runs.
fn whole(client: &Client, mut invited: Value) -> Value {
    if let (Some(path), Some(server)) = (invited["link"].as_str(), client.url()) {
        invited["link"] = format!("{server}{path}").into();
    }
    invited
}

pub async fn user(common: &Common, client: &Client, command: User) -> Result<(), Failure> {
    let member = |team: &str, email: &str| format!("/api/v1/teams/{}/members/{}", segment(team), segment(email));
    let answer = match command {
        User::Add { email, name, role, only, everywhere } => {
            let new =
                json!({ "email": email, "name": name, "role": role, "only": some(only), "everywhere": everywhere });
            whole(client, client.send(Method::POST, "/api/v1/people", &new).await?)
        }
        User::List => client.get("/api/v1/people").await?,
        User::Link { email } => {
            let path = format!("/api/v1/people/{}/link", segment(&email));
            whole(client, client.send(Method::POST, &path, &json!({})).await?)
        }
        User::Disable { email } => change_user(client, &email, json!({ "enabled": false })).await?,
        User::Enable { email } => change_user(client, &email, json!({ "enabled": true })).await?,
        User::Join { email, team } => client.send(Method::PUT, &member(&team, &email), &json!({})).await?,
        User::Part { email, team } => client.send(Method::DELETE, &member(&team, &email), &json!({})).await?,
    };
    output::print(common, &answer)
}

pub async fn role(common: &Common, client: &Client, command: Role) -> Result<(), Failure> {
    const POLICIES: &str = "/api/v1/access-policies";
    let answer = match command {
        Role::List => client.get("/api/v1/grants").await?,
        Role::Grant { holder, role, only, everywhere } => {
            let grant = json!({ "holder": holder, "role": role, "only": some(only), "everywhere": everywhere });
            client.send(Method::PUT, "/api/v1/grants", &grant).await?
        }
        Role::Revoke { holder, role, everywhere } => {
            let asked = format!("holder={}&role={}&everywhere={everywhere}", segment(&holder), segment(&role));
            client.send(Method::DELETE, &format!("/api/v1/grants?{asked}"), &json!({})).await?
        }
        Role::Try { role, policies, purpose, team, second_factor } => {
            let policies = policies.map(|file| text(&file)).transpose()?;
            let asked = json!({
                "role": role, "policies": policies, "purpose": purpose, "teams": team, "second_factor": second_factor
            });
            let said = client.send(Method::POST, &format!("{POLICIES}/try"), &asked).await?;
            return output::print(common, &as_rows(&said));
        }
        Role::Policies { file: None } => {
            let all = client.get(POLICIES).await?;
            for part in ["defaults", "policies"] {
                println!("{}", all[part].as_str().unwrap_or_default());
            }
            return Ok(());
        }
        Role::Policies { file: Some(file) } => {
            client.send(Method::PUT, POLICIES, &json!({ "policies": text(&file)? })).await?
        }
    };
    output::print(common, &answer)
}

/// What policies say, a row for each action and class.
fn as_rows(said: &Value) -> Value {
    let of = |part: &str| said[part].as_object().cloned().unwrap_or_default();
    let action = |(name, ruling): (String, Value)| json!({ "what": name, "allowed": if ruling["allowed"] == true { "yes" } else { "no" }, "by": ruling["by"] });
    let class = |(name, mask): (String, Value)| json!({ "what": format!("see {name}"), "allowed": mask["mask"], "by": mask["by"] });
    of("actions").into_iter().map(action).chain(of("sees").into_iter().map(class)).collect()
}

pub async fn key(common: &Common, client: &Client, command: Key) -> Result<(), Failure> {
    let answer = match command {
        Key::Add { name, role, days, only } => {
            let new = json!({ "name": name, "role": role, "days": days, "only": some(only) });
            client.send(Method::POST, "/api/v1/keys", &new).await?
        }
        Key::List => client.get("/api/v1/keys").await?,
        Key::Revoke { number } => client.send(Method::DELETE, &format!("/api/v1/keys/{number}"), &json!({})).await?,
    };
    output::print(common, &answer)
}

pub async fn audit(common: &Common, client: &Client, command: Audit) -> Result<(), Failure> {
    let answer = match command {
        Audit::List { limit, caller } => {
            let caller = caller.map_or(String::new(), |caller| format!("&caller={}", segment(&caller)));
            client.get(&format!("/api/v1/audit?limit={limit}{caller}")).await?
        }
        Audit::Head => client.get("/api/v1/audit/head").await?,
        Audit::Verify { head } => {
            let head = head.map(|file| read(&file)).transpose()?;
            let checked = client.send(Method::POST, "/api/v1/audit/check", &json!({ "head": head })).await?;
            let whole = checked["problems"].as_array().is_some_and(Vec::is_empty);
            output::print(common, &checked)?;
            let cure = "somebody changed the store beside Onefold; compare with a backup from before";
            return if whole { Ok(()) } else { Err(Failure::new("the audit log is not whole", cure)) };
        }
    };
    output::print(common, &answer)
}

pub async fn field(common: &Common, client: &Client, command: Field) -> Result<(), Failure> {
    let answer = match command {
        Field::List => client.get("/api/v1/fields").await?,
        Field::Set { name, class } => {
            let class = (class != "guess").then_some(class);
            client.send(Method::PUT, &format!("/api/v1/fields/{}", segment(&name)), &json!({ "class": class })).await?
        }
    };
    output::print(common, &answer)
}
