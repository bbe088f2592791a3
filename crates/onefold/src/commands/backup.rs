//! `onefold backup …` and `onefold restore`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use axum::http::Method;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use onefold_backup::{Checked, Error, Identity, Manifest, Place};
use onefold_log::{EventLog as _, SqliteLog};
use onefold_model::{Clock as _, clock::SystemClock};
use onefold_server::backup::{PutBack, SEAL_KEY, put_back};
use onefold_state::{SqliteSettings, SqliteStore, schema};
use serde_json::{Value, json};

use crate::{Failure, cli::Common, client::Client, output, settings::Settings, wiring};

#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Make the key that backups can be opened with, and print the other half, which they are encrypted to.
    Key {
        /// Where the key is written. Keep it away from this machine, and more than once: without it no backup can be opened.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Make a backup now.
    Now,
    /// The backups that there are.
    List,
    /// Whether a backup is whole: every part as it was written; with the key, every file opened and the log read.
    Verify {
        /// Which; absent: the newest.
        backup: Option<String>,
        /// Where it is; absent: where the settings say.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// The key's file.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Which; absent: the newest.
    pub backup: Option<String>,
    /// Where it is, a folder or the URL of a bucket; absent: where the settings say.
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// The key's file.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Who must have signed it, as `onefold backup list` says.
    #[arg(long, value_name = "PUBLIC KEY")]
    pub signed_by: Option<String>,
}

fn failed(error: Error) -> Failure {
    let cure = match &error {
        Error::Unknown(_) => "list them with `onefold backup list`",
        Error::Damaged(_) => "take another backup, and look who else can write to the place",
        _ => "check [backup] in the settings, --from and --key",
    };
    Failure::new(error.to_string(), cure)
}

/// Of backups that the server makes.
pub async fn run(common: &Common, client: &Client, command: &Backup) -> Result<(), Failure> {
    let answer = match command {
        Backup::Now => client.send(Method::POST, "/api/v1/backups", &json!({})).await?,
        _ => client.get("/api/v1/backups").await?,
    };
    output::print(common, &answer)
}

/// Makes the key.
pub fn key(path: &Path) -> Result<(), Failure> {
    use age::secrecy::ExposeSecret as _;
    let identity = Identity::generate();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(|error| {
        let cause = format!("{} cannot be written: {error}", path.display());
        Failure::new(cause, "give the path of a file that is not there yet")
    })?;
    let recipient = identity.to_public();
    writeln!(file, "# Opens Onefold's backups. public key: {recipient}\n{}", identity.to_string().expose_secret())?;
    file.sync_all()?;
    eprintln!("the key is in {}: keep it away from this machine, and more than once", path.display());
    output::raw(&format!("[backup]\nrecipient = \"{recipient}\"\n"))
}

fn identity(path: &Path) -> Result<Identity, Failure> {
    let wrong = |cause: String| Failure::new(cause, "give the file that `onefold backup key` made");
    let text =
        fs::read_to_string(path).map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    line.parse().map_err(|error| wrong(format!("{} holds no key of age: {error}", path.display())))
}

async fn manifest(place: &Place, id: Option<&str>, signed_by: Option<&str>) -> Result<(Manifest, String), Failure> {
    let newest = match id {
        Some(id) => Some(id.to_owned()),
        None => place.ids().await.map_err(failed)?.pop(),
    };
    let Some(id) = newest else {
        let cause = format!("there is no backup at {}", place.url());
        return Err(Failure::new(cause, "give the place where they are with --from"));
    };
    place.manifest(&id, signed_by).await.map_err(failed)
}

fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}

/// Puts the files of a backup into a folder that is not there yet, and reads the log.
async fn fetch(place: &Place, manifest: &Manifest, key: &Path, folder: &Path) -> Result<u64, Failure> {
    let (bar, identity) = (bar("reading"), identity(key)?);
    let progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    place.fetch(manifest, &identity, folder, &progress).await.map_err(failed)?;
    bar.finish_and_clear();
    let log = SqliteLog::open_read_only(&folder.join("log.db"))
        .map_err(|error| Failure::new(error.to_string(), "take another backup"))?;
    let mut records = 0;
    for partition in 0..log.partitions() {
        let mut faults = vec![];
        let verified = log.verify(partition, &mut |fault| faults.push(fault));
        let verified = verified.map_err(|error| Failure::new(error.to_string(), "take another backup"))?;
        if let Some(fault) = faults.first() {
            let cause = format!("the log in it is damaged at offset {}: {}", fault.offset, fault.what);
            return Err(Failure::new(cause, "take another backup"));
        }
        records += verified.records;
    }
    Ok(records)
}

/// A folder that goes with this.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a backup is whole.
pub async fn verify(
    common: &Common,
    settings: &Settings,
    id: Option<&str>,
    from: Option<&str>,
    key: Option<&Path>,
) -> Result<(), Failure> {
    let place = wiring::backup_place(settings, from)?;
    let (manifest, public_key) = manifest(&place, id, None).await?;
    let Checked { parts, bytes, problems } = place.check(&manifest).await.map_err(failed)?;
    let mut answer =
        json!({ "id": manifest.id, "signed_by": public_key, "parts": parts, "bytes": bytes, "problems": problems });
    if let (Some(key), true) = (key, problems.is_empty()) {
        wiring::make_folder(&settings.data)?;
        let folder = Passing(settings.data.join("verify.tmp"));
        let _ = fs::remove_dir_all(&folder.0);
        answer["log_records"] = fetch(&place, &manifest, key, &folder.0).await?.into();
    }
    output::print(common, &answer)?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::new("the backup is not whole", "take another, and look who else can write to the place")),
    }
}

/// Puts a backup into an empty data folder, and has it forget whoever was erased since.
pub async fn restore(common: &Common, settings: &Settings, asked: &Restore) -> Result<(), Failure> {
    if settings.state.store != crate::settings::Store::Sqlite {
        let cure =
            "restore PostgreSQL with its own tools, or restore into a data folder with [state] store = \"sqlite\"";
        return Err(Failure::new("a backup holds the state in SQLite", cure));
    }
    wiring::make_folder(&settings.data)?;
    for name in ["log.db", "state.db"] {
        if settings.data.join(name).exists() {
            let cause = format!("{} has a {name} already", settings.data.display());
            return Err(Failure::new(cause, "give another folder with --data; nothing is written over"));
        }
    }
    let sealing = wiring::seal_key_file(settings);
    if sealing.exists() {
        let cause = format!("{} is there already, and the backup has a key of its own", sealing.display());
        return Err(Failure::new(cause, "name another file as [state] seal_key; nothing is written over"));
    }
    let place = wiring::backup_place(settings, asked.from.as_deref())?;
    let (manifest, public_key) = manifest(&place, asked.backup.as_deref(), asked.signed_by.as_deref()).await?;
    let folder = Passing(settings.data.join("restore.tmp"));
    let _ = fs::remove_dir_all(&folder.0);
    let records = fetch(&place, &manifest, &asked.key, &folder.0).await?;
    let identity = identity(&asked.key)?;
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    let target = |name: &str| match name {
        SEAL_KEY => wiring::seal_key_file(settings),
        name => settings.data.join(name),
    };
    // Before it is in its place, so that a folder in which it was not done is no folder yet.
    let theirs = Settings { data: folder.0.clone(), ..settings.clone() };
    let sealed =
        Settings { state: crate::settings::State { seal_key: PathBuf::new(), ..settings.state.clone() }, ..theirs };
    let done = prepare(&sealed, &place, &manifest, &identity, &public_key).await?;
    // Half a folder is none that something may start on.
    let marker = settings.data.join(wiring::RESTORING);
    fs::write(&marker, &manifest.id)?;
    for name in names {
        fs::rename(folder.0.join(name), target(name))
            .or_else(|_| fs::copy(folder.0.join(name), target(name)).map(drop))?;
    }
    fs::remove_file(marker)?;
    if done.erasures > 0 {
        eprintln!("forgetting {} erasures since then again …", done.erasures);
    }
    let erased = forget(settings, &manifest.id).await?;
    let answer = json!({
        "backup": manifest.id,
        "folder": settings.data,
        "signed_by": public_key,
        "log_records": records,
        "erasures_again": done.erasures,
        "receipts": erased,
        "paused_destinations": done.paused,
    });
    output::print(common, &answer)?;
    eprintln!(
        "consents withdrawn, keys revoked and people disabled after {} are as they were then: look at them before destinations go on",
        manifest.id
    );
    Ok(())
}

async fn prepare(
    settings: &Settings,
    place: &Place,
    manifest: &Manifest,
    identity: &Identity,
    public_key: &str,
) -> Result<PutBack, Failure> {
    let path = settings.data.join("state.db");
    let said = |error: onefold_state::Error| Failure::new(error.to_string(), "take another backup");
    let store = SqliteStore::open(path, schema::ALL, SqliteSettings::default()).map_err(said)?;
    let store = wiring::seal(settings, Box::new(store))?;
    let done = put_back(&store, place, manifest, identity, public_key, SystemClock.now()).await;
    done.map_err(|error| Failure::new(error.message, error.cure))
}

/// Starts on the folder, waits until the erasures are done, and gives their receipts.
async fn forget(settings: &Settings, backup: &str) -> Result<Vec<Value>, Failure> {
    let (theirs, runtime) = (settings.clone(), tokio::runtime::Handle::current());
    let started = tokio::task::spawn_blocking(move || {
        let _guard = runtime.enter();
        wiring::start(&theirs)
    });
    let app = started.await.map_err(|error| Failure::new(error.to_string(), ""))??.app;
    let done = match app.resume_erasures().await {
        Ok(()) => app.done_again(backup).await,
        Err(error) => Err(error),
    };
    app.stop().await;
    let done = done.map_err(|error| Failure::new(error.message, error.cure))?;
    Ok(done.into_iter().filter_map(|view| serde_json::to_value(view).ok()).collect())
}
