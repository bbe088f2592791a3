//! The server: listens, ticks, and stops in good order.

use std::{
    fs,
    future::{Future, IntoFuture as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use onefold_server::{App, SqlGate};
use tokio::net::TcpListener;

use crate::{
    Failure,
    client::{Running, SERVER_FILE},
    settings::Settings,
    tls::TlsListener,
    wiring::{self, Started},
};

/// How often timers look at the clock.
const TICK: Duration = Duration::from_millis(250);

/// A server that runs.
pub struct Server {
    /// Its app.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    file: std::path::PathBuf,
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    grace: Duration,
}

impl Server {
    /// Starts the server.
    pub async fn start(settings: &Settings) -> Result<Server, Failure> {
        let theirs = settings.clone();
        let runtime = tokio::runtime::Handle::current();
        let Started { app, engine } = tokio::task::spawn_blocking(move || {
            let _guard = runtime.enter();
            wiring::start(&theirs)
        })
        .await
        .map_err(|error| Failure::new(error.to_string(), ""))??;
        let listener = TcpListener::bind(&settings.server.listen)
            .await
            .map_err(|error| not_listening(&settings.server.listen, &error, "choose another address with --listen"))?;
        let address = listener.local_addr()?;
        let sql = match settings.lake.listen.as_str() {
            "" => None,
            listen => {
                let refused = |error| not_listening(listen, &error, "choose another address as [lake] listen");
                let listener = std::net::TcpListener::bind(listen).map_err(refused)?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                engine.listen(listener, Arc::new(SqlGate::of(&app)), wiring::budget(settings));
                tracing::info!(%address, "answering SQL over PostgreSQL's protocol");
                Some(address.to_string())
            }
        };
        let tls = TlsListener::open(&settings.server).await?;
        let tls_address = tls.as_ref().map(|tls| tls.address().to_string());
        let running =
            Running { url: format!("http://{address}"), pid: std::process::id(), sql, tls: tls_address.clone() };
        let file = settings.data.join(SERVER_FILE);
        fs::write(&file, serde_json::to_vec(&running).unwrap_or_default())?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let router = onefold_server::router(&app);
        let shutdown = |mut stopping: tokio::sync::watch::Receiver<bool>| async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let (with_tls, of_tls) = (router.clone(), shutdown(stopped.clone()));
        let plain = axum::serve(listener, router).with_graceful_shutdown(shutdown(stopped.clone()));
        let task = tokio::spawn(async move {
            let encrypted = async {
                match tls {
                    Some(tls) => axum::serve(tls, with_tls).with_graceful_shutdown(of_tls).await,
                    None => Ok(()),
                }
            };
            let (plain, encrypted) = tokio::join!(plain.into_future(), encrypted);
            for error in [plain, encrypted].into_iter().filter_map(Result::err) {
                tracing::error!(%error, "the server ended");
            }
        });
        tokio::spawn(tick(app.clone(), stopped));
        if let Some(address) = tls_address {
            tracing::info!(address, "listening with TLS");
        }
        tracing::info!(%address, data = %settings.data.display(), "listening");
        let grace = Duration::from_secs(settings.server.grace_s);
        Ok(Server { app, address, file, stop, task, grace })
    }

    /// Says where the first administrator begins, while nobody has an account.
    pub async fn greet(&self) -> Result<(), Failure> {
        let app = self.app.clone();
        let path = tokio::task::spawn_blocking(move || app.first_welcome()).await;
        let failed = |error: &dyn std::fmt::Debug| Failure::new(format!("accounts cannot be read: {error:?}"), "");
        if let Some(path) = path.map_err(|error| failed(&error))?.map_err(|error| failed(&error))? {
            eprintln!("nobody has an account yet; the first administrator begins at http://{}{path}", self.address);
        }
        Ok(())
    }

    /// Stops: takes no more requests, finishes those under way, then the pipeline and the deliveries.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(self.grace, self.task).await.is_err() {
            tracing::warn!("requests under way were cut off");
        }
        self.app.stop().await;
        let _ = fs::remove_file(self.file);
    }
}

fn not_listening(address: &str, error: &std::io::Error, cure: &str) -> Failure {
    Failure::new(format!("cannot listen on {address}: {error}"), cure)
}

async fn tick(app: Arc<App>, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = interval.tick() => app.tick(),
            _ = stopped.changed() => return,
        }
    }
}

/// Serves until asked to stop.
pub async fn serve(settings: &Settings, until: impl Future<Output = ()>) -> Result<(), Failure> {
    let server = Server::start(settings).await?;
    eprintln!("onefold listens on http://{}", server.address);
    server.greet().await?;
    until.await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

/// Ends when the process is asked to: Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
