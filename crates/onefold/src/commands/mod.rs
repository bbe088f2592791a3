//! The commands: each says what it wants of the API and prints the answer.

pub mod backup;
#[cfg(feature = "cluster")]
mod cluster;
mod consent;
pub mod governance;
mod import;
mod link;
pub mod people;

use std::path::{Path, PathBuf};

use axum::http::Method;
use serde_json::{Value, json};

pub use import::{ImportJob, ImportReport, wait_applied};

use crate::{
    Failure,
    cli::{self, Cli, Command, Common},
    client::{Client, segment},
    output::{self, Format},
    serve,
    settings::Settings,
};

/// Carries out a command line.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let mut settings = Settings::read(&cli.common)?;
    telemetry(&settings, is_server(&cli.command));
    match cli.command {
        Command::Link(asked) => return link::run(&cli.common, &asked),
        Command::Backup(cli::Backup::Key { output }) => return backup::key(&output),
        #[cfg(feature = "cluster")]
        Command::Cluster(command) => return cluster::run(&settings, command),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        match cli.command {
            Command::Serve { listen, role } => {
                if role != "all" {
                    let cause =
                        format!("the role {role:?} needs PostgreSQL and Kafka, and this version has no Kafka log");
                    return Err(Failure::new(cause, "leave --role out: one process does everything"));
                }
                settings.server.listen = listen.unwrap_or(settings.server.listen);
                serve::serve(&settings, serve::asked_to_stop()).await
            }
            Command::Demo { keep } => crate::demo::run(&cli.common, &settings, keep).await,
            Command::Bench(bench) => crate::bench::run(&cli.common, bench).await,
            Command::Backup(cli::Backup::Verify { backup, from, key }) => {
                backup::verify(&cli.common, &settings, backup.as_deref(), from.as_deref(), key.as_deref()).await
            }
            Command::Restore(asked) => backup::restore(&cli.common, &settings, &asked).await,
            command => {
                let client = Client::open(&settings, &cli.common.workspace).await?;
                let result = with_client(&cli.common, &client, command).await;
                client.close().await?;
                result
            }
        }
    })
}

fn is_server(command: &Command) -> bool {
    match command {
        Command::Serve { .. } => true,
        #[cfg(feature = "cluster")]
        Command::Cluster(_) => true,
        _ => false,
    }
}

fn telemetry(settings: &Settings, server: bool) {
    use tracing_subscriber::EnvFilter;

    /// The Delta library tells of every look at a table. Ballista tells of plans and of errors, in which people's values stand: who
    /// asked is told of them. The setting may ask for all that by the same names.
    const QUIET: &str =
        "buoyant_kernel=warn,deltalake_core=warn,ballista_core=off,ballista_scheduler=off,ballista_executor=off";
    // A command at the shell speaks for itself; what the engine says matters there only when it warns.
    let filter = if server { settings.telemetry.log.as_str() } else { "error" };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{filter}")))
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    let installed = if settings.telemetry.format == "json" { builder.json().try_init() } else { builder.try_init() };
    if let Err(error) = installed {
        eprintln!("onefold: no log is written: {error}");
    }
}

async fn with_client(common: &Common, client: &Client, command: Command) -> Result<(), Failure> {
    let print = |value: Value| output::print(common, &value);
    match command {
        Command::Workspace(cli::Workspace::Add { name }) => {
            print(client.send(Method::POST, "/api/v1/workspaces", &json!({ "name": name })).await?)
        }
        Command::Workspace(cli::Workspace::List) => print(client.get("/api/v1/workspaces").await?),
        Command::Source(command) => source(common, client, command).await,
        Command::Import(args) => import::run(common, client, args).await,
        Command::Profile(command) => profile(common, client, command).await,
        Command::Linkage(command) => linkage(common, client, command).await,
        Command::Segment(command) => segments(common, client, command).await,
        Command::Computed(command) => match command {
            cli::Computed::Set { file } => print(client.send(Method::PUT, "/api/v1/computed", &read(&file)?).await?),
            cli::Computed::List => print(client.get("/api/v1/computed").await?),
            cli::Computed::Remove { name } => print(remove(client, "computed", &name).await?),
        },
        Command::Object(cli::Object::Set { file }) => {
            print(client.send(Method::PUT, "/api/v1/object-types", &read(&file)?).await?)
        }
        Command::Object(cli::Object::List { kind: None }) => print(client.get("/api/v1/object-types").await?),
        Command::Object(cli::Object::List { kind: Some(kind) }) => {
            print(client.get(&format!("/api/v1/objects/{}", segment(&kind))).await?)
        }
        Command::Object(cli::Object::Show { kind, id }) => {
            print(client.get(&format!("/api/v1/objects/{}/{}", segment(&kind), segment(&id))).await?)
        }
        Command::Settings(cli::SettingsCommand::Show) => print(client.get("/api/v1/settings").await?),
        Command::Settings(cli::SettingsCommand::Set { file }) => {
            print(client.send(Method::PATCH, "/api/v1/settings", &read(&file)?).await?)
        }
        Command::Settings(cli::SettingsCommand::Try { file }) => {
            print(client.send(Method::POST, "/api/v1/settings/try", &read(&file)?).await?)
        }
        Command::Destination(command) => destination(common, client, command).await,
        Command::Consent(command) => consent::run(common, client, command).await,
        Command::Privacy(command) => privacy(common, client, command).await,
        Command::Request(command) => governance::request(common, client, command).await,
        Command::Governance(command) => governance::governance(common, client, command).await,
        Command::Approval(command) => governance::approval(common, client, command).await,
        Command::Catalog(asked) => governance::catalog(common, client, asked).await,
        Command::Retention(command) => governance::retention(common, client, command).await,
        Command::Report(command) => governance::report(common, client, command).await,
        Command::User(command) => people::user(common, client, command).await,
        Command::Role(command) => people::role(common, client, command).await,
        Command::Key(command) => people::key(common, client, command).await,
        Command::Backup(command) => backup::run(common, client, &command).await,
        Command::Audit(command) => people::audit(common, client, command).await,
        Command::Field(command) => people::field(common, client, command).await,
        Command::Deadletter(command) => match command {
            cli::Deadletter::List { limit } => print(client.get(&format!("/api/v1/dead-letters?limit={limit}")).await?),
            cli::Deadletter::Show { id } => print(client.get(&format!("/api/v1/dead-letters/{}", segment(&id))).await?),
            cli::Deadletter::Retry => print(client.send(Method::POST, "/api/v1/dead-letters/retry", &json!({})).await?),
        },
        Command::Sql { query, no_wait } => sql(common, client, query, !no_wait).await,
        Command::Stats => print(client.get("/api/v1/stats").await?),
        Command::Properties => print(client.get("/api/v1/properties").await?),
        Command::Alarms => print(client.get("/api/v1/alarms").await?),
        Command::Log(cli::Log::Dump { from }) => dump(client, from).await,
        Command::Log(cli::Log::Verify) => {
            let verified = client.send(Method::POST, "/api/v1/log/verify", &json!({})).await?;
            let whole = verified["whole"] == json!(true);
            print(verified)?;
            let cure = "restore log.db from a backup; what it held elsewhere can be exported from state";
            if whole { Ok(()) } else { Err(Failure::new("the log is damaged", cure)) }
        }
        Command::Rebuild => print(client.send(Method::POST, "/api/v1/rebuild", &json!({})).await?),
        Command::Serve { .. } | Command::Demo { .. } | Command::Link(_) | Command::Bench(_) | Command::Restore(_) => {
            Ok(())
        }
        #[cfg(feature = "cluster")]
        Command::Cluster(_) => Ok(()),
    }
}

/// A definition from a file, or from standard input (`-`).
fn text(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("{} cannot be read: {error}", path.display()), "give the path of a file, or -")
    })
}

fn read(path: &Path) -> Result<Value, Failure> {
    serde_json::from_str(&text(path)?)
        .map_err(|error| Failure::new(format!("{} is no JSON: {error}", path.display()), "correct it at that place"))
}

async fn remove(client: &Client, kind: &str, name: &str) -> Result<Value, Failure> {
    client.call(Method::DELETE, &format!("/api/v1/{kind}/{}", segment(name)), vec![]).await?.json()
}

async fn source(common: &Common, client: &Client, command: cli::Source) -> Result<(), Failure> {
    let answer = match command {
        cli::Source::Add { name, kind, config } => {
            let config = config.as_deref().map(read).transpose()?;
            let body = json!({ "name": name, "kind": kind, "config": config });
            client.send(Method::POST, "/api/v1/sources", &body).await?
        }
        cli::Source::List => client.get("/api/v1/sources").await?,
        cli::Source::Show { name } => {
            let all = client.get("/api/v1/sources").await?;
            let one = all.as_array().into_iter().flatten().find(|source| source["name"] == json!(name)).cloned();
            one.ok_or_else(|| {
                Failure::new(format!("there is no source {name:?}"), "list them with `onefold source list`")
            })?
        }
        cli::Source::Pause { name, resume } => {
            let path = format!("/api/v1/sources/{}", segment(&name));
            client.send(Method::PATCH, &path, &json!({ "enabled": resume })).await?
        }
        cli::Source::Quality { name, events } => {
            client.get(&format!("/api/v1/sources/{}/quality?events={events}", segment(&name))).await?
        }
        cli::Source::Prepare { name, set, replay, r#try, events, remove } => {
            let path = format!("/api/v1/sources/{}/preparation", segment(&name));
            match (set, r#try) {
                (Some(file), _) => {
                    let mut body = read(&file)?;
                    body["replay"] = replay.into();
                    client.send(Method::PUT, &path, &body).await?
                }
                (None, Some(file)) => {
                    let given = file.as_deref().map(read).transpose()?;
                    let steps = given.map(|given| given["steps"].clone());
                    let mut body = json!({ "events": events });
                    if let Some(steps) = steps {
                        body["steps"] = steps;
                    }
                    client.send(Method::POST, &format!("{path}/try"), &body).await?
                }
                (None, None) if remove => client.call(Method::DELETE, &path, vec![]).await?.json()?,
                (None, None) => client.get(&path).await?,
            }
        }
        cli::Source::Key { name } => {
            client.send(Method::POST, &format!("/api/v1/sources/{}/key", segment(&name)), &json!({})).await?
        }
    };
    output::print(common, &answer)
}

async fn profile(common: &Common, client: &Client, command: cli::Profile) -> Result<(), Failure> {
    let answer = match command {
        cli::Profile::Show { identifier, explain } => {
            let path = format!("/api/v1/profiles/{}", segment(&identifier));
            let mut profile = client.get(&path).await?;
            if explain {
                profile["timeline"] = client.get(&format!("{path}/timeline?limit=20")).await?;
            }
            profile
        }
        cli::Profile::List { limit, after } => {
            let after = after.map(|after| format!("&after={}", segment(&after))).unwrap_or_default();
            client.get(&format!("/api/v1/profiles?limit={limit}{after}")).await?
        }
        cli::Profile::Merge { a, b } => {
            client.send(Method::POST, "/api/v1/profiles/merge", &json!({ "a": a, "b": b })).await?
        }
        cli::Profile::Unmerge { a, b } => {
            client.send(Method::POST, "/api/v1/profiles/unmerge", &json!({ "a": a, "b": b })).await?
        }
        cli::Profile::Override { identifier, name, value, withdraw } => {
            let path = format!("/api/v1/profiles/{}/traits/{}", segment(&identifier), segment(&name));
            match value {
                Some(text) if !withdraw => {
                    // As it was written: a number keeps all its digits.
                    let json = match serde_json::from_str::<&serde_json::value::RawValue>(&text) {
                        Ok(_) => text,
                        Err(_) => Value::String(text).to_string(),
                    };
                    client.call(Method::PUT, &path, format!("{{\"value\":{json}}}").into_bytes()).await?.json()?
                }
                _ => client.call(Method::DELETE, &path, vec![]).await?.json()?,
            }
        }
        cli::Profile::Conflicts { of, limit, after } => {
            let given = |name: &str, value: Option<String>| value.map(|v| format!("&{name}={}", segment(&v)));
            let more = [given("trait", of), given("after", after)].into_iter().flatten().collect::<String>();
            client.get(&format!("/api/v1/conflicts?limit={limit}{more}")).await?
        }
        cli::Profile::Evidence { identifier } => {
            client.get(&format!("/api/v1/profiles/{}/evidence", segment(&identifier))).await?
        }
        cli::Profile::Then { identifier, at } => {
            client.get(&format!("/api/v1/profiles/{}/then?at={}", segment(&identifier), segment(&at))).await?
        }
        cli::Profile::Withdraw { identifier, evidence, since, dry_run } => {
            let body = json!({ "evidence": evidence, "since": since, "dry_run": dry_run });
            client.send(Method::POST, &format!("/api/v1/profiles/{}/withdraw", segment(&identifier)), &body).await?
        }
    };
    output::print(common, &answer)
}

async fn privacy(common: &Common, client: &Client, command: cli::Privacy) -> Result<(), Failure> {
    const OF: &str = "/api/v1/privacy";
    let answer = match command {
        cli::Privacy::Erase { mut identifiers, file, yes } => {
            if let Some(path) = file {
                let failed = |error: std::io::Error| {
                    let cause = format!("{} cannot be read: {error}", path.display());
                    Failure::new(cause, "give the path of a text file with an identifier a line")
                };
                let text = std::fs::read_to_string(&path).map_err(failed)?;
                identifiers.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
            }
            let body = json!({ "identifiers": identifiers });
            if !yes {
                output::print(common, &client.send(Method::POST, &format!("{OF}/erasures/preview"), &body).await?)?;
                let cure = "look at who is meant, part whoever does not belong together (`onefold profile unmerge`), and give --yes";
                return Err(Failure::new("nothing was erased yet", cure));
            }
            client.send(Method::POST, &format!("{OF}/erasures"), &body).await?
        }
        cli::Privacy::Access { identifier, output } => {
            let body = serde_json::to_vec(&json!({ "identifier": identifier })).unwrap_or_default();
            let zip = client.call(Method::POST, &format!("{OF}/access"), body).await?.body;
            std::fs::write(&output, &zip).map_err(|error| {
                Failure::new(
                    format!("{} cannot be written: {error}", output.display()),
                    "give a path that can be written",
                )
            })?;
            json!({ "file": output, "bytes": zip.len() })
        }
        cli::Privacy::Link { identifier, purpose, channel, days } => {
            let of = json!({ "identifier": identifier, "purpose": purpose, "channel": channel, "days": days });
            client.send(Method::POST, &format!("{OF}/links"), &of).await?
        }
        cli::Privacy::Requests => client.get(&format!("{OF}/requests")).await?,
        cli::Privacy::Show { request } => client.get(&format!("{OF}/requests/{}", segment(&request))).await?,
        cli::Privacy::Check { file } => {
            client.send(Method::POST, &format!("{OF}/receipts/check"), &read(&file)?).await?
        }
        cli::Privacy::Suppress { identifiers } => {
            client.send(Method::POST, &format!("{OF}/suppressions"), &json!({ "identifiers": identifiers })).await?
        }
        cli::Privacy::Suppressed { identifier } => {
            client.get(&format!("{OF}/suppressions?identifier={}", segment(&identifier))).await?
        }
        cli::Privacy::Lift { identifiers } => {
            client
                .send(Method::POST, &format!("{OF}/suppressions/lift"), &json!({ "identifiers": identifiers }))
                .await?
        }
    };
    output::print(common, &answer)
}

async fn linkage(common: &Common, client: &Client, command: cli::Linkage) -> Result<(), Failure> {
    let decide = |a: String, b: String, decision: Option<&'static str>| async move {
        let body = json!({ "a": a, "b": b, "decision": decision });
        client.send(Method::POST, "/api/v1/linkage/decide", &body).await
    };
    let activate = |version: Option<u32>| async move {
        client.send(Method::PUT, "/api/v1/linkage/active", &json!({ "version": version })).await
    };
    let answer = match command {
        cli::Linkage::Train { model } => {
            let file = |path: &PathBuf| {
                std::fs::read_to_string(path).map_err(|error| {
                    let cause = format!("{} cannot be read: {error}", path.display());
                    Failure::new(cause, "give the path of a model file; `onefold link --guess` makes one")
                })
            };
            let model = model.as_ref().map(file).transpose()?;
            let made = client.send(Method::POST, "/api/v1/linkage/models", &json!({ "model": model })).await?;
            json!({ "version": made["version"], "would": made["would"] })
        }
        cli::Linkage::Models => client.get("/api/v1/linkage/models").await?,
        cli::Linkage::Model { version } => {
            let file = client.get(&format!("/api/v1/linkage/models/{version}")).await?;
            return output::raw(file["model"].as_str().unwrap_or_default());
        }
        cli::Linkage::Activate { version } => activate(Some(version)).await?,
        cli::Linkage::Off => activate(None).await?,
        cli::Linkage::Queue { state, limit } => {
            client.get(&format!("/api/v1/linkage/queue?state={}&limit={limit}", segment(&state))).await?
        }
        cli::Linkage::Accept { a, b } => decide(a, b, Some("accept")).await?,
        cli::Linkage::Reject { a, b } => decide(a, b, Some("reject")).await?,
        cli::Linkage::Never { a, b } => decide(a, b, Some("never")).await?,
        cli::Linkage::Undo { a, b } => decide(a, b, None).await?,
        cli::Linkage::Explain { a, b } => {
            client.get(&format!("/api/v1/linkage/explain?a={}&b={}", segment(&a), segment(&b))).await?
        }
        cli::Linkage::Suspects { bits, limit } => {
            client.get(&format!("/api/v1/linkage/suspects?bits={bits}&limit={limit}")).await?
        }
    };
    output::print(common, &answer)
}

async fn segments(common: &Common, client: &Client, command: cli::Segment) -> Result<(), Failure> {
    let answer = match command {
        cli::Segment::Set { file, name, text } => {
            let definition = match (file, name, text) {
                (Some(file), ..) => read(&file)?,
                (None, Some(name), Some(text)) => json!({ "name": name, "condition": text }),
                _ => return Err(Failure::new("no definition is given", "give a JSON file, or --name and --text")),
            };
            client.send(Method::PUT, "/api/v1/segments", &definition).await?
        }
        cli::Segment::List => client.get("/api/v1/segments").await?,
        cli::Segment::Count { name } => client.get(&format!("/api/v1/segments/{}/count", segment(&name))).await?,
        cli::Segment::Members { name } => return members(common, client, &name).await,
        cli::Segment::Export { segment, with, csv } => {
            let accept = if csv { "text/csv" } else { "application/x-ndjson" };
            let body = json!({ "segment": segment, "traits": with });
            return client.stream("/api/v1/segments/export", accept, &body, &mut output::bytes).await;
        }
        cli::Segment::Anonymous { segment, by, k } => {
            let column = |text: String| match text.split_once('=') {
                Some((name, how)) => (name.to_owned(), json!(how)),
                None => (text, json!("as_is")),
            };
            let columns: serde_json::Map<String, Value> = by.into_iter().map(column).collect();
            let body = json!({ "segment": segment, "columns": columns, "k": k });
            client.send(Method::POST, "/api/v1/segments/export/anonymous", &body).await?
        }
        cli::Segment::History { name, days } => {
            client.get(&format!("/api/v1/segments/{}/history?days={days}", segment(&name))).await?
        }
        cli::Segment::Explain { name, identifier } => {
            let path = format!("/api/v1/segments/{}/explain?identifier={}", segment(&name), segment(&identifier));
            client.get(&path).await?
        }
        cli::Segment::Preview { text, by } => {
            client.send(Method::POST, "/api/v1/segments/preview", &json!({ "text": text, "by": by })).await?
        }
        cli::Segment::Overlap { segments } => {
            client.send(Method::POST, "/api/v1/segments/overlap", &json!({ "segments": segments })).await?
        }
        cli::Segment::Remove { name } => remove(client, "segments", &name).await?,
    };
    output::print(common, &answer)
}

async fn sql(common: &Common, client: &Client, query: String, now: bool) -> Result<(), Failure> {
    let query = if query == "-" { std::io::read_to_string(std::io::stdin())? } else { query };
    let answer = client.send(Method::POST, "/api/v1/sql", &json!({ "sql": query, "now": now })).await?;
    match common.format() {
        Format::Json => output::print(common, &answer),
        Format::Table => output::raw(&format!("{}\n", output::rows(&answer["columns"], &answer["rows"]))),
        Format::Ndjson => output::print(common, &answer["rows"]),
    }
}

async fn members(common: &Common, client: &Client, name: &str) -> Result<(), Failure> {
    const PAGE: usize = 5000;
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/segments/{}/members?limit={PAGE}{after}", segment(name));
        let page = client.call(Method::GET, &path, vec![]).await?.text();
        let last = page.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        if common.format() == Format::Table {
            let items: Vec<Value> = page.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            output::raw(&format!("{}\n", output::table(&items)))?;
        } else {
            output::raw(&page)?;
        }
        match last.as_ref().and_then(|last| last["id"].as_str()) {
            Some(id) if page.lines().count() == PAGE => after = format!("&after={id}"),
            _ => return Ok(()),
        }
    }
}

async fn destination(common: &Common, client: &Client, command: cli::Destination) -> Result<(), Failure> {
    let path = |name: &str, what: &str| format!("/api/v1/destinations/{}/{what}", segment(name));
    let answer = match command {
        cli::Destination::Set { file } => client.send(Method::PUT, "/api/v1/destinations", &read(&file)?).await?,
        cli::Destination::List => client.get("/api/v1/destinations").await?,
        cli::Destination::Test { name } => client.send(Method::POST, &path(&name, "test"), &json!({})).await?,
        cli::Destination::Sync { name } => client.send(Method::POST, &path(&name, "sync"), &json!({})).await?,
        cli::Destination::Receipts { name } => client.get(&path(&name, "receipts")).await?,
        cli::Destination::Replay { name, from, to, dry_run } => {
            let query = format!("replay?from={}&to={}&dry_run={dry_run}", segment(&from), segment(&to));
            client.send(Method::POST, &path(&name, &query), &json!({})).await?
        }
        cli::Destination::Remove { name } => remove(client, "destinations", &name).await?,
    };
    output::print(common, &answer)
}

async fn dump(client: &Client, mut from: u64) -> Result<(), Failure> {
    loop {
        let page = client.call(Method::GET, &format!("/api/v1/log/records?from={from}"), vec![]).await?.text();
        let (records, last) = page.trim_end().rsplit_once('\n').unwrap_or(("", page.trim_end()));
        if !records.is_empty() {
            output::raw(&format!("{records}\n"))?;
        }
        let next = serde_json::from_str::<Value>(last).ok().and_then(|last| last["next_offset"].as_u64());
        match next {
            Some(next) if next > from => from = next,
            _ => return Ok(()),
        }
    }
}
