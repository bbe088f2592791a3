//! A listener with TLS, beside the plain one: for who connects from elsewhere without a proxy before it.
//!
//! The certificate is looked at again every so often and whenever the process gets SIGHUP, so that a new one counts for the next
//! connection without a restart. One that cannot be read is told of, and the one before it stays.

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::serve::Listener;
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Failure, settings};

/// A handshake takes so long at most.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections whose handshake is done and that are not taken yet.
const WAITING: usize = 64;
/// Handshakes at a time; who comes then waits.
const HANDSHAKES_MAX: usize = 256;
/// The files are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The certificate in force, and where it comes from.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    read: RwLock<Read>,
}

#[derive(Debug, Clone)]
struct Read {
    certified: Arc<CertifiedKey>,
    /// The files as they were read.
    files: (Vec<u8>, Vec<u8>),
}

impl Certificate {
    /// Reads the certificate chain and the key, both PEM.
    pub fn open(chain: PathBuf, key: PathBuf) -> Result<Certificate, Failure> {
        let read = read(&chain, &key).map_err(|cause| {
            let cure = "give the certificate chain and its key as PEM files, [server] tls_certificate and tls_key";
            Failure::new(format!("TLS cannot be offered: {cause}"), cure)
        })?;
        Ok(Certificate { chain, key, read: RwLock::new(read) })
    }

    /// Reads the files again; `true`: there is another certificate.
    pub fn renew(&self) -> Result<bool, String> {
        let read = read(&self.chain, &self.key)?;
        if read.files == self.read.read().files {
            return Ok(false);
        }
        *self.read.write() = read;
        Ok(true)
    }
}

fn read(chain: &PathBuf, key: &PathBuf) -> Result<Read, String> {
    let file = |path: &PathBuf| fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
    let files = (file(chain)?, file(key)?);
    let certificates: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&files.0).collect();
    let certificates = certificates.map_err(|error| format!("{}: {error}", chain.display()))?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate", chain.display()));
    }
    let private = PrivateKeyDer::from_pem_slice(&files.1).map_err(|error| format!("{}: {error}", key.display()))?;
    let certified = CertifiedKey::from_der(certificates, private, &ring::default_provider());
    let certified = certified.map_err(|error| format!("{} and {}: {error}", chain.display(), key.display()))?;
    Ok(Read { certified: Arc::new(certified), files })
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.read.read().certified.clone())
    }
}

/// Connections whose handshake is done.
pub struct TlsListener {
    address: SocketAddr,
    done: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Listens as the settings say; `None` where they name no address.
    pub async fn open(settings: &settings::Server) -> Result<Option<TlsListener>, Failure> {
        if settings.tls_listen.is_empty() {
            return Ok(None);
        }
        let certificate = Arc::new(Certificate::open(settings.tls_certificate.clone(), settings.tls_key.clone())?);
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("TLS cannot be offered: {error}"), ""))?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        let listener = TcpListener::bind(&settings.tls_listen).await.map_err(|error| {
            let cause = format!("cannot listen on {}: {error}", settings.tls_listen);
            Failure::new(cause, "choose another address as [server] tls_listen")
        })?;
        let address = listener.local_addr()?;
        let (send, done) = mpsc::channel(WAITING);
        tokio::spawn(shake_hands(listener, TlsAcceptor::from(Arc::new(config)), send.clone()));
        tokio::spawn(keep(certificate, send));
        Ok(Some(TlsListener { address, done }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Shakes hands with whoever connects, several at a time: one who is slow holds up nobody.
async fn shake_hands(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    send: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let places = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES_MAX));
    while !send.is_closed() {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = send.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, as a rule: it goes by.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, send) = (acceptor.clone(), send.clone());
        tokio::spawn(async move {
            let _place = place;
            match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(send.send((stream, address)).await),
                Ok(Err(error)) => tracing::debug!(%error, %address, "a handshake failed"),
                Err(_) => tracing::debug!(%address, "a handshake took too long"),
            }
        });
    }
}

/// Looks for a new certificate, while somebody listens.
async fn keep(certificate: Arc<Certificate>, send: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    #[cfg(unix)]
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
    loop {
        #[cfg(unix)]
        let asked = async {
            match &mut hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        #[cfg(not(unix))]
        let asked = std::future::pending::<()>();
        tokio::select! {
            _ = look.tick() => {}
            () = asked => {}
            () = send.closed() => return,
        }
        match certificate.renew() {
            Ok(false) => {}
            Ok(true) => tracing::info!("there is a new certificate"),
            Err(cause) => tracing::warn!(cause, "the certificate cannot be read again; the one before stays"),
        }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.done.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
