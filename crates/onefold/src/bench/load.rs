//! The load: connections that send prepared requests one after the other and count the answers.
//!
//! It speaks just enough HTTP/1.1 to do so, because on two cores a client that does more would be measured with the
//! server.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use onefold_model::{Clock as _, clock::SystemClock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Failure;

/// An event of 800 bytes as web shops send them; `n` makes it another one, of another person.
pub fn event(n: u64) -> String {
    event_of(n, &format!("user-{:07}", n % 1_000_000), &format!("8f3c2a10-{n:012}"))
}

/// The same, of somebody.
pub fn event_of(n: u64, user: &str, browser: &str) -> String {
    let head = format!(
        r#"{{"type":"track","event":"Product Viewed","messageId":"bench-{n:016}","userId":"{user}","anonymousId":"{browser}","timestamp":"2026-11-21T12:00:00.000Z","properties":{{"product_id":"sku-{:05}","category":"cat{:02}","price":19.90,"currency":"EUR","quantity":1,"list":"Recommended for you"}},"context":{{"library":{{"name":"analytics.js","version":"3.0.1"}},"page":{{"url":"https://shop.example/products/{:05}","path":"/products/{:05}","referrer":"https://shop.example/","title":"A product"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36","locale":"de-DE","timezone":"Europe/Berlin","pad":""#,
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

/// A prepared request for `path` with the API's token.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// A connection on which one request follows the other.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, answer: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads its answer to the end; says whether it is 200.
    pub async fn exchange(&mut self, request: &[u8]) -> std::io::Result<bool> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        while !whole(&self.answer) {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(std::io::Error::other("the server closed the connection"));
            }
        }
        Ok(&self.answer[9..12] == b"200")
    }
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
    for place in 0..connections {
        let requests = requests.clone();
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut answered = 0u64;
            let mut next = place * 7919;
            while SystemClock.now() < until {
                if connection.exchange(&requests[next % requests.len()]).await? {
                    answered += 1;
                } else {
                    // Turned away for load: a client would wait.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                next += 1;
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

/// Sends what `next` gives for 0, 1, 2, … at `per_s` a second from `started` over `connections` connections for
/// `seconds`; gives the rate that was reached and, sorted, how long each took from the instant it was due: a late start counts.
///
/// Each connection has a thread of its own, which sleeps until an instant to some 60 µs; the timers of the async runtime
/// are to the millisecond, and its threads are the server's.
pub async fn paced(
    address: SocketAddr,
    started: Instant,
    next: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
    connections: u64,
    per_s: u64,
    seconds: u64,
) -> Result<(f64, Vec<Duration>), Failure> {
    let next = Arc::new(next);
    let all = per_s * seconds;
    let mut tasks = tokio::task::JoinSet::new();
    for place in 0..connections {
        let next = next.clone();
        tasks.spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let (mut took, mut answer) = (vec![], vec![]);
            for n in (place..all).step_by(connections as usize) {
                let due = started + Duration::from_micros(n * 1_000_000 / per_s);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                stream.write_all(&next(n))?;
                answer.clear();
                while !whole(&answer) {
                    let had = answer.len();
                    answer.resize(had + (16 << 10), 0);
                    let read = stream.read(&mut answer[had..])?;
                    answer.truncate(had + read);
                    if read == 0 {
                        return Err(std::io::Error::other("the server closed the connection"));
                    }
                }
                took.push(due.elapsed());
            }
            Ok(took)
        });
    }
    let mut took = vec![];
    while let Some(task) = tasks.join_next().await {
        took.extend(task.map_err(|error| Failure::new(error.to_string(), ""))??);
    }
    took.sort_unstable();
    Ok((took.len() as f64 / started.elapsed().as_secs_f64(), took))
}

/// Milliseconds, with two places, at the quantile of what is sorted.
pub fn quantile_ms(sorted: &[Duration], quantile: f64) -> Option<f64> {
    let place = (sorted.len() as f64 * quantile) as usize;
    let took = sorted.get(place.min(sorted.len().checked_sub(1)?))?;
    Some((took.as_secs_f64() * 100_000.0).round() / 100.0)
}

/// Whether an answer with a Content-Length is all there.
fn whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    answer.len() >= end + 4 + length.unwrap_or(0)
}
