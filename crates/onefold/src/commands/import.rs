//! Importing files: read and mapped here, sent to the API in requests of a few thousand rows.
//!
//! A row's message id follows from the file's digest and the row's number, and is remembered for ever; so an import that
//! was stopped is resumed by starting it again, and nothing enters twice.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use axum::http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use onefold_collect::{Batches, BindError, Events, Guess, Mapper, Mapping, Rows, SAMPLE_ROWS, Shift, guess, sample};
use onefold_model::{Clock as _, Timestamp, clock::SystemClock};
use serde::Serialize;
use serde_json::json;

use crate::{
    Failure,
    cli::{Common, Import},
    client::{Client, segment},
    output,
};

/// Bytes of one request.
const REQUEST_BYTES: usize = 2 << 20;

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Files read.
    pub files: u64,
    /// Rows read.
    pub rows: u64,
    /// Events in the log. Those of rows imported before are dropped by the pipeline.
    pub accepted: u64,
    /// Rows among the dead letters, with their line numbers.
    pub refused: u64,
    /// Milliseconds until all was durable.
    pub durable_ms: u64,
    /// Milliseconds until all profiles were up to date; absent with --no-wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_ms: Option<u64>,
}

/// An import of one file.
pub struct ImportJob<'a> {
    /// The way to the API.
    pub client: &'a Client,
    /// The source's name.
    pub source: &'a str,
    /// The file.
    pub file: &'a Path,
    /// How its rows become events.
    pub mapping: &'a Mapping,
    /// Whether all times move so that the last is now.
    pub shift_to_now: bool,
    /// Whether rows are known by their content, and not by their place in this file.
    pub incremental: bool,
    /// Whether a progress bar is shown.
    pub progress: bool,
}

/// Carries out the command.
pub async fn run(common: &Common, client: &Client, args: Import) -> Result<(), Failure> {
    let downloads = tempfile::tempdir()?;
    let files = expand(&args.files, downloads.path()).await?;
    let sources = client.get("/api/v1/sources").await?;
    let known = sources.as_array().into_iter().flatten().any(|source| source["name"] == json!(args.source));
    if !known && !args.dry_run {
        let body = json!({ "name": args.source, "kind": "import" });
        client.send(Method::POST, "/api/v1/sources", &body).await?;
    }
    let started = SystemClock.now();
    let mut report = ImportReport::default();
    let mut next_offset = 0;
    for file in &files {
        let mapping = mapping_of(&args, file)?;
        if args.dry_run {
            show_first_events(file, &mapping, &args.source)?;
            continue;
        }
        let job = ImportJob {
            client,
            source: &args.source,
            file,
            mapping: &mapping,
            shift_to_now: args.shift_to_now,
            incremental: args.incremental,
            progress: true,
        };
        let (one, end) = job.run().await?;
        report.files += 1;
        report.rows += one.rows;
        report.accepted += one.accepted;
        report.refused += one.refused;
        next_offset = next_offset.max(end);
    }
    if args.dry_run {
        return Ok(());
    }
    let elapsed = || (SystemClock.now().0 - started.0).max(0) as u64;
    report.durable_ms = elapsed();
    if !args.no_wait {
        wait_applied(client, next_offset, true).await?;
        report.applied_ms = Some(elapsed());
    }
    if report.refused > 0 {
        eprintln!("{} rows were refused; see `onefold deadletter list`", report.refused);
    }
    output::print(common, &serde_json::to_value(&report).unwrap_or_default())
}

/// Waits until the pipeline has applied all before `offset`.
pub async fn wait_applied(client: &Client, offset: u64, progress: bool) -> Result<(), Failure> {
    let bar = bar(progress, "profiles");
    loop {
        let stats = client.get(&format!("/api/v1/stats?wait_for={offset}")).await?;
        let applied = stats["applied"].as_u64().unwrap_or(0);
        bar.set_length(offset);
        bar.set_position(applied.min(offset));
        if applied >= offset {
            bar.finish_and_clear();
            return Ok(());
        }
    }
}

/// The files that are meant, those of the web brought to `downloads`.
async fn expand(patterns: &[String], downloads: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = vec![];
    for (place, pattern) in patterns.iter().enumerate() {
        if pattern.starts_with("https://") || pattern.starts_with("http://") {
            let folder = downloads.join(place.to_string());
            std::fs::create_dir(&folder)?;
            files.push(download(pattern, &folder).await?);
            continue;
        }
        if !pattern.contains(['*', '?']) {
            files.push(PathBuf::from(pattern));
            continue;
        }
        let path = Path::new(pattern);
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut found = vec![];
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if matches(name.as_bytes(), entry.file_name().to_string_lossy().as_bytes()) {
                found.push(entry.path());
            }
        }
        found.sort();
        if found.is_empty() {
            return Err(Failure::new(
                format!("no file matches {pattern}"),
                "check the pattern; only its last part may have * and ?",
            ));
        }
        files.extend(found);
    }
    Ok(files)
}

/// Brings a file of the web into `folder`, under its own name: that tells its format.
async fn download(url: &str, folder: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        let cure = "check the address, or download the file yourself and give its path";
        Failure::new(format!("{url} cannot be read: {error}"), cure)
    };
    let address = reqwest::Url::parse(url).map_err(|error| failed(&error))?;
    let name = address.path_segments().and_then(|mut parts| parts.next_back()).filter(|name| !name.is_empty());
    let path = folder.join(name.unwrap_or("download"));
    let mut file = File::create(&path)?;
    let answer = reqwest::get(address.clone()).await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| failed(&error.without_url()))?;
    while let Some(bytes) = answer.chunk().await.map_err(|error| failed(&error.without_url()))? {
        file.write_all(&bytes)?;
    }
    Ok(path)
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((b'?', rest)) => !text.is_empty() && matches(rest, &text[1..]),
        Some((byte, rest)) => text.first() == Some(byte) && matches(rest, &text[1..]),
    }
}

fn mapping_of(args: &Import, file: &Path) -> Result<Mapping, Failure> {
    if let Some(path) = &args.mapping {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!("{} cannot be read: {error}", path.display()), "give the path of a mapping file")
        })?;
        return Mapping::parse(&text)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "compare it with docs/import.md"));
    }
    let sample = sample(file, &Default::default(), SAMPLE_ROWS).map_err(unreadable)?;
    let Guess { toml, problems } = guess::guess(&sample);
    eprintln!("no mapping is given; this one is guessed from {}:\n\n{toml}", file.display());
    if !problems.is_empty() {
        let cure = "save the mapping above to a file, complete it, and give it with --mapping";
        return Err(Failure::new(problems.join("; "), cure));
    }
    let mapping = Mapping::parse(&toml).map_err(|error| {
        Failure::new(format!("the guess does not fit: {error}"), "write a mapping and give it with --mapping")
    })?;
    if args.yes || args.dry_run || !std::io::stdin().is_terminal() {
        return Ok(mapping);
    }
    eprint!("import with it? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(mapping);
    }
    Err(Failure::new("nothing was imported", "save the mapping to a file, change it, and give it with --mapping"))
}

fn unreadable(error: onefold_collect::OpenError) -> Failure {
    Failure::new(error.to_string(), "docs/import.md lists the formats")
}

fn show_first_events(file: &Path, mapping: &Mapping, source: &str) -> Result<(), Failure> {
    let (mut rows, mapper) = bind(file, mapping, source, false)?;
    let mut events = Events::default();
    while events.len() < 5 {
        match rows.next() {
            None => break,
            Some(Ok(row)) => {
                if let Err(bad) = mapper.apply(&row, &mut events) {
                    eprintln!("{bad}");
                }
            }
            Some(Err(error)) => eprintln!("{error}"),
        }
    }
    output::raw(&events.iter().fold(String::new(), |all, event| all + event + "\n"))
}

fn bind(file: &Path, mapping: &Mapping, source: &str, incremental: bool) -> Result<(Box<dyn Rows>, Mapper), Failure> {
    onefold_collect::bind(file, mapping, source, incremental).map_err(|error| match error {
        BindError::Open(error) => unreadable(error),
        BindError::Read(error) => error.into(),
        BindError::Mapping(error) => {
            Failure::new(format!("{}: {error}", file.display()), "correct the mapping; see docs/import.md")
        }
    })
}

impl ImportJob<'_> {
    /// Imports the file. Gives what it did, and the offset after its last event.
    pub async fn run(&self) -> Result<(ImportReport, u64), Failure> {
        let (rows, mut mapper) = bind(self.file, self.mapping, self.source, self.incremental)?;
        if self.shift_to_now {
            let latest = latest_time(self.file, self.mapping, self.source)?;
            mapper.set_shift(Shift::to_now(latest, SystemClock.now()));
        }
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = format!("/api/v1/import?source={}&file={}", segment(self.source), segment(&name));
        let bar = bar(self.progress, &name);
        let mut report = ImportReport::default();
        let mut next_offset = 0;
        let stopped = |error: onefold_collect::RowError| {
            let cure = "start the import again when the cause is gone: rows that are in are not imported twice";
            Failure::new(error.to_string(), cure)
        };
        for batch in Batches::new((rows, mapper), REQUEST_BYTES) {
            let batch = batch.map_err(stopped)?;
            let answer = self.client.call_again(Method::POST, &path, batch.body).await?.json()?;
            report.rows += batch.rows;
            report.accepted += answer["accepted"].as_u64().unwrap_or(0);
            report.refused += answer["refused"].as_u64().unwrap_or(0);
            next_offset = answer["next_offset"].as_u64().unwrap_or(next_offset);
            bar.set_length(batch.progress.total_bytes);
            bar.set_position(batch.progress.read_bytes);
        }
        bar.finish_and_clear();
        Ok((report, next_offset))
    }
}

/// The time of the file's last event.
fn latest_time(file: &Path, mapping: &Mapping, source: &str) -> Result<Timestamp, Failure> {
    let (mut rows, mapper) = bind(file, mapping, source, false)?;
    let mut latest = None;
    while let Some(row) = rows.next() {
        if let Ok(row) = row {
            latest = latest.max(mapper.time_of(&row));
        }
    }
    latest.ok_or_else(|| {
        Failure::new(format!("{} has no time to move", file.display()), "name a timestamp column in the mapping")
    })
}

fn bar(shown: bool, what: &str) -> ProgressBar {
    if !shown || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent}% {elapsed} (eta {eta})");
    let bar = ProgressBar::new(0).with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
