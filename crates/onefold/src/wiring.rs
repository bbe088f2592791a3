//! The whole program, put together in one function.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use onefold_backup::Place;
use onefold_lake::Budget;
use onefold_lake_delta::{DeltaLake, Engine};
use onefold_log::{Codec, EventLog, SqliteLog, SqliteLogSettings};
use onefold_model::{
    Clock,
    clock::SystemClock,
    event::Limits,
    rng::{self, SystemRng},
};
use onefold_server::{
    App, AppSettings, Components, LakeComponents, LakeSettings,
    backup::{BackupSettings, SEAL_KEY},
    ingest::IngestSettings,
    requests::{MailSettings, OpenDsrSettings},
};
use onefold_state::{
    PostgresSettings, PostgresStore, SealKey, SealedStore, SqliteSettings, SqliteStore, StateStore, schema,
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use url::Url;

use crate::{
    Failure,
    settings::{self, EngineKind, Settings, Store},
};

/// The file that stands in a data folder while a backup is put into it.
pub const RESTORING: &str = "restoring";

/// What was put together.
pub struct Started {
    /// The app.
    pub app: Arc<App>,
    /// What answers SQL.
    pub engine: Arc<Engine>,
}

/// Makes the components that the settings name, and starts the app on the current runtime.
pub fn start(settings: &Settings) -> Result<Started, Failure> {
    make_folder(&settings.data)?;
    if settings.data.join(RESTORING).exists() {
        let cause = format!("a restore into {} was cut short", settings.data.display());
        return Err(Failure::new(cause, "empty the folder, and restore again"));
    }
    let token = token(&settings.data)?;
    let log_settings = SqliteLogSettings {
        partitions: settings.log.partitions,
        codec: match settings.log.codec {
            settings::Codec::Lz4 => Codec::Lz4,
            settings::Codec::Zstd => Codec::Zstd,
            settings::Codec::Plain => Codec::Plain,
        },
        waiting_bytes_max: settings.log.waiting_bytes_max,
        ..SqliteLogSettings::default()
    };
    let log: Arc<dyn EventLog> =
        Arc::new(SqliteLog::open(&settings.data.join("log.db"), log_settings).map_err(|error| {
            let cure =
                "if another onefold runs on this folder, stop it, or let it finish; else run `onefold log verify`";
            Failure::new(error.to_string(), cure)
        })?);
    let store: Box<dyn StateStore> = match settings.state.store {
        Store::Sqlite => {
            let options = SqliteSettings { cache_bytes: settings.state.cache_bytes, ..SqliteSettings::default() };
            Box::new(SqliteStore::open(settings.data.join("state.db"), schema::ALL, options).map_err(state_failure)?)
        }
        Store::Postgres => {
            let options = PostgresSettings {
                schema: settings.state.schema.clone(),
                ..PostgresSettings::new(settings.state.url.as_str())
            };
            Box::new(PostgresStore::connect(schema::ALL, &options).map_err(state_failure)?)
        }
    };
    let store: Arc<dyn StateStore> = Arc::new(seal(settings, store)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lake = Arc::new(DeltaLake::open(lake_settings(settings)?, clock.clone()).map_err(lake_failure)?);
    let engine = Arc::new(engine(settings, lake.clone())?);
    let lake = LakeComponents { engine: engine.clone(), lake };
    let components = Components { log, store, clock, rng: Arc::new(SystemRng), lake };
    let app = App::start(components, app_settings(settings, token)?);
    app.map(|app| Started { app, engine }).map_err(|error| Failure::new(error.message, error.cure))
}

/// What answers SQL.
fn engine(settings: &Settings, lake: Arc<DeltaLake>) -> Result<Engine, Failure> {
    match settings.engine.kind {
        EngineKind::Embedded => Ok(Engine::new(lake)),
        #[cfg(feature = "cluster")]
        EngineKind::Ballista => Ok(Engine::on_cluster(lake, settings.engine.scheduler.clone())),
        #[cfg(not(feature = "cluster"))]
        EngineKind::Ballista => Err(Failure::new(
            "this onefold was built without the cluster engine",
            "build it with `--features cluster`, or set [engine] kind to \"embedded\"",
        )),
    }
}

fn state_failure(error: onefold_state::Error) -> Failure {
    Failure::new(error.to_string(), "check [state] in the settings, and that the store can be reached and written")
}

/// Where the tables are: in the data folder, if nothing else is said.
pub fn lake_settings(settings: &Settings) -> Result<onefold_lake_delta::Settings, Failure> {
    let own = &settings.lake;
    let url = if own.url.is_empty() {
        let folder = std::path::absolute(settings.data.join("lake"))?;
        make_folder(&folder)?;
        Url::from_directory_path(&folder)
            .map_err(|()| lake_failure(format!("the folder {} is no URL", folder.display())))?
    } else {
        Url::parse(&own.url).map_err(|error| lake_failure(format!("{:?} is no URL: {error}", own.url)))?
    };
    Ok(onefold_lake_delta::Settings {
        options: own.options.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        retention: Duration::from_secs(own.retention_hours * 60 * 60),
        ..onefold_lake_delta::Settings::new(url)
    })
}

/// An option as its store reads it: from the environment `true` and `1` come as what they look like.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lake_failure(cause: String) -> Failure {
    Failure::new(cause, "check [lake] in the settings: file:///…, s3://bucket/…, gs://… or az://…, and its options")
}

fn app_settings(settings: &Settings, token: String) -> Result<AppSettings, Failure> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let rate = settings.ingest.source_events_per_s_max;
    Ok(AppSettings {
        data_folder: settings.data.clone(),
        token,
        ingest: IngestSettings {
            limits: Limits { event_bytes_max: settings.ingest.event_bytes_max, ..Limits::default() },
            body_bytes_max: settings.ingest.body_bytes_max,
            source_events_per_s_max: (rate > 0).then_some(rate),
            public_url: given(&settings.server.public_url),
            sdk_folder: given(&settings.ingest.sdk_folder).map(PathBuf::from),
            ..IngestSettings::default()
        },
        pipeline: onefold_pipeline::Settings {
            dedupe_days: settings.pipeline.dedupe_days,
            cache_bytes_max: settings.pipeline.cache_bytes_max,
            ..onefold_pipeline::Settings::default()
        },
        delivery: onefold_activate::Settings {
            attempts_max: settings.delivery.attempts_max,
            ..onefold_activate::Settings::default()
        },
        audience_bytes_max: settings.audience.bytes_max,
        lake: LakeSettings { every: Duration::from_secs(settings.lake.every_s.max(1)), budget: budget(settings) },
        egress_allowed: settings.egress.allowed.clone(),
        exports_allowed: settings.egress.exports_allowed.clone(),
        process: settings.pipeline.run,
        mail: mail_settings(settings)?,
        opendsr: opendsr_settings(settings)?,
        backup: backup_settings(settings)?,
    })
}

fn mail_settings(settings: &Settings) -> Result<Option<MailSettings>, Failure> {
    let own = &settings.mail;
    if own.url.is_empty() {
        return Ok(None);
    }
    let read = MailSettings::read(&own.url, &own.from, &settings.server.public_url);
    read.map(Some).map_err(|cause| Failure::new(cause, "correct the settings; see config.default.toml"))
}

fn opendsr_settings(settings: &Settings) -> Result<Option<OpenDsrSettings>, Failure> {
    let own = &settings.opendsr;
    if own.domain.is_empty() {
        return Ok(None);
    }
    let failure = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        let cause = format!("the {what} of [opendsr], {}, cannot be read: {error}", path.display());
        Failure::new(cause, "give the paths of PEM files, as [opendsr] certificate and key")
    };
    let certificate =
        fs::read_to_string(&own.certificate).map_err(|error| failure("certificate", &own.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| failure("key", &own.key, &error))?;
    let read = OpenDsrSettings::new(own.domain.clone(), certificate, key.secret_der());
    read.map(Some).map_err(|cause| Failure::new(cause, "give an RSA key: openssl req -newkey rsa:2048"))
}

/// Where backups are kept: `to`, or what the settings name.
pub fn backup_place(settings: &Settings, to: Option<&str>) -> Result<Place, Failure> {
    let own = &settings.backup;
    let to = to.unwrap_or(&own.to);
    if to.is_empty() {
        let cure = "give --from, or set [backup] to in the settings; see docs/operate.md";
        return Err(Failure::new("nothing says where backups are", cure));
    }
    let options = own.options.iter().map(|(name, value)| (name.clone(), plain(value)));
    Place::open(to, options).map_err(|error| Failure::new(error.to_string(), "check [backup] in the settings"))
}

fn backup_settings(settings: &Settings) -> Result<Option<BackupSettings>, Failure> {
    let own = &settings.backup;
    if own.to.is_empty() {
        return Ok(None);
    }
    let recipient = own.recipient.parse().map_err(|error| {
        let cause = format!("[backup] recipient is no key that backups can be encrypted to: {error}");
        Failure::new(cause, "make one with `onefold backup key`")
    })?;
    Ok(Some(BackupSettings {
        place: backup_place(settings, None)?,
        recipient,
        every: (own.every_hours > 0).then(|| Duration::from_secs(own.every_hours * 60 * 60)),
        keep: own.keep,
        seal_key: seal_key_file(settings),
    }))
}

/// The file with the key that secrets are sealed with.
pub fn seal_key_file(settings: &Settings) -> PathBuf {
    match settings.state.seal_key.as_os_str().is_empty() {
        true => settings.data.join(SEAL_KEY),
        false => settings.state.seal_key.clone(),
    }
}

/// The store with its secrets sealed.
pub fn seal(settings: &Settings, store: Box<dyn StateStore>) -> Result<SealedStore, Failure> {
    let path = seal_key_file(settings);
    let text = secret_file(&path, SealKey::BYTES)?;
    let byte = |at: usize| text.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len().div_ceil(2)).map(byte).collect();
    let key = bytes.and_then(|bytes| SealKey::new(&bytes)).ok_or_else(|| {
        let cause = format!("{} holds no key: {} bytes in hex", path.display(), SealKey::BYTES);
        Failure::new(cause, "put back the one that was there; without it what it sealed has to be entered again")
    })?;
    SealedStore::new(store, key, schema::ALL).map_err(state_failure)
}

/// What a query may take.
pub fn budget(settings: &Settings) -> Budget {
    Budget {
        time: Duration::from_secs(settings.lake.query_seconds_max),
        memory_bytes: settings.lake.query_bytes_max,
        rows_max: settings.lake.query_rows_max,
    }
}

/// The data folder, readable by its owner alone.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    let failure = |error: std::io::Error| {
        Failure::new(
            format!("the data folder {} cannot be made: {error}", folder.display()),
            "give another with --data",
        )
    };
    fs::create_dir_all(folder).map_err(failure)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failure)?;
    }
    Ok(())
}

/// The operator's token: made at the first start, kept in the data folder, readable by its owner alone.
pub fn token(folder: &Path) -> Result<String, Failure> {
    secret_file(&folder.join("token"), 32)
}

/// What stands in a file that its owner alone may read; so many random bytes in hex, where there is none yet.
fn secret_file(path: &Path, bytes: usize) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let cause = format!("{} cannot be read: {error}", path.display());
            return Err(Failure::new(cause, "let the user that Onefold runs as read it"));
        }
        _ => {}
    }
    let secret = rng::hex(&SystemRng, bytes);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    Ok(secret)
}
