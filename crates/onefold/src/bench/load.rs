//! The load: connections that send prepared requests one after the other and count the answers.
//!
//! It speaks just enough HTTP/1.1 to do so, because on two cores a client that does more would be measured with the
//! server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use onefold_model::{Clock as _, clock::SystemClock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Failure;

/// An event of 800 bytes as web shops send them; `n` makes it another one.
pub fn event(n: u64) -> String {
    let head = format!(
        r#"{{"type":"track","event":"Product Viewed","messageId":"bench-{n:016}","userId":"user-{:07}","anonymousId":"8f3c2a10-{n:012}","timestamp":"2026-11-21T12:00:00.000Z","properties":{{"product_id":"sku-{:05}","category":"cat{:02}","price":19.90,"currency":"EUR","quantity":1,"list":"Recommended for you"}},"context":{{"library":{{"name":"analytics.js","version":"3.0.1"}},"page":{{"url":"https://shop.example/products/{:05}","path":"/products/{:05}","referrer":"https://shop.example/","title":"A product"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36","locale":"de-DE","timezone":"Europe/Berlin","pad":""#,
        n % 1_000_000,
        n % 99_991,
        n % 40,
        n % 99_991,
        n % 99_991,
    );
    let pad = 800usize.saturating_sub(head.len() + 3);
    format!("{head}{}\"}}}}", "x".repeat(pad))
}

/// A prepared request to `path` with `body`.
pub fn request(path: &str, key: &str, body: &str) -> Vec<u8> {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {auth}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends `requests` in turn over `connections` connections for `seconds`; gives the answered requests a second.
pub async fn run(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    connections: usize,
    seconds: u64,
) -> Result<f64, Failure> {
    let clock = SystemClock;
    let until = clock.now().plus(seconds as i64 * 1000);
    let started = clock.now();
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let requests = requests.clone();
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut buffer = vec![0u8; 4096];
            let mut answered = 0u64;
            let mut next = connection * 7919;
            while SystemClock.now() < until {
                stream.write_all(&requests[next % requests.len()]).await?;
                next += 1;
                let mut length = 0;
                loop {
                    let read = stream.read(&mut buffer[length..]).await?;
                    if read == 0 {
                        return Err(std::io::Error::other("the server closed the connection"));
                    }
                    length += read;
                    if whole(&buffer[..length]) {
                        break;
                    }
                }
                if &buffer[9..12] == b"200" {
                    answered += 1;
                } else {
                    // Turned away for load: a client would wait.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Ok::<u64, std::io::Error>(answered)
        });
    }
    let mut answered = 0;
    while let Some(task) = tasks.join_next().await {
        answered += task.map_err(|error| Failure::new(error.to_string(), ""))??;
    }
    Ok(answered as f64 * 1000.0 / (clock.now().0 - started.0).max(1) as f64)
}

/// Whether an answer with a Content-Length is all there.
fn whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    answer.len() >= end + 4 + length.unwrap_or(0)
}
