//! A connection to the target's database, under the egress guard.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{config::ConfigError, egress::Egress};

/// The longest that connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A client, and the task that moves its bytes, which ends with it.
pub struct Connected {
    pub client: Client,
    task: JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How to connect.
pub struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    egress: Arc<Egress>,
}

impl Connector {
    /// Reads the URL. Certificates are verified whenever TLS is used; personal data goes unencrypted only to a host
    /// that the operator lists.
    pub fn new(url: &str, egress: Arc<Egress>) -> Result<Connector, ConfigError> {
        let wrong = |cause: &str, cure: &str| Err(ConfigError::new("url", cause, cure));
        let Ok(mut config) = url.parse::<Config>() else {
            // The parser's words may repeat the password.
            return wrong("no PostgreSQL URL", "Write postgresql://user:password@host:5432/database");
        };
        if config.get_hosts().is_empty() {
            return wrong("no host is named", "Write postgresql://user:password@host:5432/database");
        }
        if !config.get_hostaddrs().is_empty() {
            return wrong("hostaddr is not taken", "Write the address as the host");
        }
        for host in config.get_hosts() {
            let listed = egress.lists(&name(host));
            match host {
                Host::Unix(_) if !listed => {
                    return wrong("a Unix socket", "Write a host, or have the operator list the socket's folder");
                }
                Host::Tcp(host) => {
                    if let Err(error) = egress.check_literal(host) {
                        return wrong(&error.to_string(), "Use a public address, or have the operator list this one");
                    }
                    if config.get_ssl_mode() == SslMode::Disable && !listed {
                        return wrong("sslmode=disable", "Leave it out, or have the operator list this host");
                    }
                }
                Host::Unix(_) => {}
            }
        }
        let all_listed = config.get_hosts().iter().all(|host| egress.lists(&name(host)));
        if config.get_ssl_mode() == SslMode::Prefer && !all_listed {
            config.ssl_mode(SslMode::Require);
        }
        config.application_name("onefold");
        Ok(Connector { tls: tls()?, config, egress })
    }

    /// Connects to the first of the hosts that answers.
    pub async fn connect(&self) -> Result<Connected, String> {
        let mut cause = String::from("no host");
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let port = match self.config.get_ports() {
                [] => 5432,
                [port] => *port,
                ports => ports.get(index).copied().unwrap_or(5432),
            };
            match tokio::time::timeout(CONNECT, self.connect_to(host, port)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => cause = error,
                Err(_) => cause = format!("connecting took longer than {} ms", CONNECT.as_millis()),
            }
        }
        Err(cause)
    }

    async fn connect_to(&self, host: &Host, port: u16) -> Result<Connected, String> {
        match host {
            Host::Tcp(host) => {
                let addresses = self.egress.resolve(host).await.map_err(|error| error.to_string())?;
                let addresses: Vec<_> = addresses.into_iter().map(|address| (address, port).into()).collect();
                let stream = connect_any(&addresses).await.map_err(|error| error.to_string())?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.tls.clone(), host)
                    .map_err(|error| error.to_string())?;
                let (client, connection) = self.config.connect_raw(stream, tls).await.map_err(|error| words(&error))?;
                Ok(Connected { client, task: tokio::spawn(async { drop(connection.await) }) })
            }
            Host::Unix(folder) => {
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
                let (client, connection) =
                    self.config.connect_raw(stream, NoTls).await.map_err(|error| words(&error))?;
                Ok(Connected { client, task: tokio::spawn(async { drop(connection.await) }) })
            }
        }
    }
}

async fn connect_any(addresses: &[std::net::SocketAddr]) -> std::io::Result<TcpStream> {
    TcpStream::connect(addresses).await
}

fn name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => Path::display(path).to_string(),
    }
}

fn tls() -> Result<MakeRustlsConnect, ConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            let cause = format!("TLS cannot be set up ({error})");
            ConfigError::new("url", cause, "Check the TLS certificates of this machine")
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The server's message without its detail, which may repeat values; or the client's own.
pub fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} (SQLSTATE {})", error.severity(), error.code().code()),
        None => {
            let source = std::error::Error::source(error).map(|source| format!(": {source}"));
            format!("{error}{}", source.unwrap_or_default())
        }
    }
}
