//! The whole program, put together in one function.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use onefold_log::{Codec, EventLog, SqliteLog, SqliteLogSettings};
use onefold_model::{
    clock::SystemClock,
    event::Limits,
    rng::{self, SystemRng},
};
use onefold_server::{App, AppSettings, Components, ingest::IngestSettings};
use onefold_state::{PostgresSettings, PostgresStore, SqliteSettings, SqliteStore, StateStore, schema};

use crate::{
    Failure,
    settings::{self, Settings, Store},
};

/// Makes the components that the settings name, and starts the app on the current runtime.
pub fn start(settings: &Settings) -> Result<Arc<App>, Failure> {
    make_folder(&settings.data)?;
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
    let store: Arc<dyn StateStore> = match settings.state.store {
        Store::Sqlite => {
            let options = SqliteSettings { cache_bytes: settings.state.cache_bytes, ..SqliteSettings::default() };
            Arc::new(SqliteStore::open(settings.data.join("state.db"), schema::ALL, options).map_err(state_failure)?)
        }
        Store::Postgres => {
            let options = PostgresSettings {
                schema: settings.state.schema.clone(),
                ..PostgresSettings::new(settings.state.url.as_str())
            };
            Arc::new(PostgresStore::connect(schema::ALL, &options).map_err(state_failure)?)
        }
    };
    let components = Components { log, store, clock: Arc::new(SystemClock), rng: Arc::new(SystemRng) };
    App::start(components, app_settings(settings, token)).map_err(|error| Failure::new(error.message, error.cure))
}

fn state_failure(error: onefold_state::Error) -> Failure {
    Failure::new(error.to_string(), "check [state] in the settings, and that the store can be reached and written")
}

fn app_settings(settings: &Settings, token: String) -> AppSettings {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let rate = settings.ingest.source_events_per_s_max;
    AppSettings {
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
        egress_allowed: settings.egress.allowed.clone(),
        exports_allowed: settings.egress.exports_allowed.clone(),
        process: settings.pipeline.run,
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
    let path = folder.join("token");
    if let Ok(token) = fs::read_to_string(&path)
        && !token.trim().is_empty()
    {
        return Ok(token.trim().to_owned());
    }
    let token = rng::hex(&SystemRng, 32);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&path)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    Ok(token)
}
