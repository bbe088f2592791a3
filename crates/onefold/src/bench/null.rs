//! The null server: the same HTTP stack, a body read, written to one plain file, `fdatasync` once per group, answered.
//! What it does not do (parse, validate, compress, number, index) is what ingest costs.

use std::{fs::File, io::Write as _, net::SocketAddr, path::Path};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    routing::post,
};
use tokio::sync::{mpsc, oneshot};

use crate::Failure;

type Job = (Bytes, oneshot::Sender<()>);

/// Starts it; it ends with the runtime.
pub async fn start(folder: &Path) -> Result<SocketAddr, Failure> {
    let mut file = File::create(folder.join("null.log"))?;
    let (sender, mut jobs) = mpsc::channel::<Job>(4096);
    std::thread::spawn(move || {
        let mut group = vec![];
        while let Some(first) = jobs.blocking_recv() {
            group.push(first);
            while let Ok(next) = jobs.try_recv() {
                group.push(next);
            }
            let written = group.iter().try_for_each(|(body, _)| file.write_all(body)).and_then(|()| file.sync_data());
            for (_, answer) in group.drain(..) {
                if written.is_ok() {
                    let _ = answer.send(());
                }
            }
        }
    });
    let take = |State(jobs): State<mpsc::Sender<Job>>, body: Bytes| async move {
        let (answer, answered) = oneshot::channel();
        let sent = jobs.send((body, answer)).await.is_ok() && answered.await.is_ok();
        if sent { Ok("{\"success\":true}") } else { Err(axum::http::StatusCode::SERVICE_UNAVAILABLE) }
    };
    let router = Router::new()
        .route("/v1/batch", post(take))
        .route("/v1/track", post(take))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
