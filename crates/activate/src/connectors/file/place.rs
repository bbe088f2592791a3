//! Where files go: a local folder, or a folder of an object store.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
};

use super::config::Config;
use crate::{config::ConfigError, destination::Context, egress::GuardedConnector};

/// The longest one request of an object store may take.
const REQUEST: Duration = Duration::from_secs(30);

/// What a destination may set. Others name files of this machine or further hosts that credentials come from.
const S3_OPTIONS: &[AmazonS3ConfigKey] = &[
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::SecretAccessKey,
    AmazonS3ConfigKey::Token,
    AmazonS3ConfigKey::Region,
    AmazonS3ConfigKey::Endpoint,
    AmazonS3ConfigKey::VirtualHostedStyleRequest,
    AmazonS3ConfigKey::SkipSignature,
    AmazonS3ConfigKey::UnsignedPayload,
];

/// A folder.
#[derive(Clone)]
pub enum Place {
    /// On this machine.
    Local(PathBuf),
    /// In an object store, below a prefix.
    Store(Arc<dyn ObjectStore>, object_store::path::Path),
}

impl Place {
    /// The configured place, made where it is local and not there.
    pub fn open(config: &Config, context: &Context) -> Result<Place, ConfigError> {
        match config.location.split_once("://") {
            Some(("s3", _)) => Place::s3(config, context),
            Some(("file", path)) => Place::local(Path::new(path), context),
            Some((scheme, _)) => {
                let cause = format!("no object store is known for {scheme}:");
                Err(ConfigError::new("location", cause, "Write a folder, file:///folder or s3://bucket/folder"))
            }
            None => Place::local(Path::new(&config.location), context),
        }
    }

    /// Relative paths stand below `exports/` and the workspace's number, so that workspaces do not share files.
    fn local(path: &Path, context: &Context) -> Result<Place, ConfigError> {
        let wrong = |cause: String, cure: &str| ConfigError::new("location", cause, cure);
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(wrong("the path has .. in it".into(), "Write the path without its parent steps"));
        }
        let own = context.data_folder.join("exports").join(context.workspace.0.to_string());
        let folder = own.join(path);
        let allowed = |folder: &Path| {
            let roots = std::iter::once(&own).chain(&context.exports_allowed);
            roots.into_iter().any(|root| folder.starts_with(root))
        };
        let outside = || {
            let cause = format!("{} is outside of the folders for exports", folder.display());
            wrong(
                cause,
                "Write a relative path, which stands below the data folder's exports, or have the operator allow this folder",
            )
        };
        if !allowed(&folder) {
            return Err(outside());
        }
        let failed = |error: io::Error| {
            wrong(format!("{} cannot be made ({error})", folder.display()), "See that Onefold may write there")
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        // A link may lead elsewhere: what counts is where the folder is.
        let real = folder.canonicalize().map_err(failed)?;
        let roots = std::iter::once(&own).chain(&context.exports_allowed);
        let inside = roots.filter_map(|root| root.canonicalize().ok()).any(|root| real.starts_with(root));
        if inside { Ok(Place::Local(real)) } else { Err(outside()) }
    }

    fn s3(config: &Config, context: &Context) -> Result<Place, ConfigError> {
        let mut builder = AmazonS3Builder::new().with_url(&config.location);
        for (name, value) in &config.options {
            let field = format!("options.{name}");
            let known = name.parse().ok().filter(|key| S3_OPTIONS.contains(key));
            let key = known.ok_or_else(|| {
                let cure =
                    "Write aws_access_key_id, aws_secret_access_key, aws_session_token, aws_region or aws_endpoint";
                ConfigError::new(&field, "no option that a destination may set", cure)
            })?;
            if key == AmazonS3ConfigKey::Endpoint {
                context.egress.check_url(&field, value)?;
            }
            builder = builder.with_config(key, value);
        }
        let retry = RetryConfig { max_retries: 2, retry_timeout: REQUEST, ..RetryConfig::default() };
        let wrong = |error: &dyn std::fmt::Display| {
            ConfigError::new("location", error.to_string(), "Check the URL and the options of the object store")
        };
        // Whether http is allowed was decided above, with the guard's list.
        let store = builder
            .with_allow_http(true)
            .with_retry(retry)
            .with_http_connector(GuardedConnector::new(Arc::clone(&context.egress), REQUEST))
            .build()
            .map_err(|error| wrong(&error))?;
        let url = url::Url::parse(&config.location).map_err(|error| wrong(&error))?;
        let prefix = object_store::path::Path::from_url_path(url.path()).map_err(|error| wrong(&error))?;
        Ok(Place::Store(Arc::new(store), prefix))
    }

    /// The content of a file; `None` where there is none.
    pub async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self {
            Place::Local(folder) => {
                let path = folder.join(name);
                blocking(move || match fs::read(&path) {
                    Ok(content) => Ok(Some(content)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                })
                .await
            }
            Place::Store(store, prefix) => match store.get(&prefix.clone().join(name)).await {
                Ok(found) => Ok(Some(found.bytes().await.map_err(|error| error.to_string())?.to_vec())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// The names of the files, in no order.
    pub async fn list(&self) -> Result<Vec<String>, String> {
        match self {
            Place::Local(folder) => {
                let folder = folder.clone();
                blocking(move || {
                    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
                    names.filter_map(Result::transpose).collect()
                })
                .await
            }
            Place::Store(store, prefix) => {
                let listed = store.list_with_delimiter(Some(prefix)).await.map_err(|error| error.to_string())?;
                let name = |found: object_store::ObjectMeta| found.location.filename().map(str::to_owned);
                Ok(listed.objects.into_iter().filter_map(name).collect())
            }
        }
    }

    /// Writes a file whole, or not at all; it is durable when this returns.
    pub async fn write(&self, name: &str, content: Vec<u8>) -> Result<(), String> {
        match self {
            Place::Local(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || write_local(&folder, &name, &content)).await
            }
            Place::Store(store, prefix) => {
                let path = prefix.clone().join(name);
                store.put(&path, content.into()).await.map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// Removes a file; none there is no error.
    pub async fn remove(&self, name: &str) -> Result<(), String> {
        match self {
            Place::Local(folder) => {
                let path = folder.join(name);
                blocking(move || match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                })
                .await
            }
            Place::Store(store, prefix) => match store.delete(&prefix.clone().join(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// Beside the file and then renamed over it, each step made durable before the next.
fn write_local(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!(".{name}.part"));
    let mut file = fs::File::create(&beside)?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
