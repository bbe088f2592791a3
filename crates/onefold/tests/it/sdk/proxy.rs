//! A server in front of the server that fails as it is told. On plain sockets, since no HTTP library lets a handler
//! cut the connection instead of answering.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use crate::support::http;

/// What becomes of one request that brings events; others are passed on.
pub enum Fault {
    /// It is answered with this status, and this many seconds of `Retry-After`, and does not reach the server.
    Answer(u16, Option<u32>),
    /// The server takes it; its answer is lost with the connection.
    CutAfterCommit,
}

type Faults = Arc<Mutex<VecDeque<Fault>>>;

/// Listens for as long as the process lives; gives its address, and the faults that are yet to come.
pub fn proxy<const N: usize>(server: &str, faults: [Fault; N]) -> (String, Faults) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let faults: Faults = Arc::new(Mutex::new(faults.into_iter().collect()));
    let (server, left) = (server.to_owned(), faults.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (server, faults) = (server.clone(), faults.clone());
            std::thread::spawn(move || serve(stream.unwrap(), &server, &faults));
        }
    });
    (url, left)
}

/// One request of one connection. Its end is the connection's.
fn serve(mut stream: TcpStream, server: &str, faults: &Faults) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let [method, path] = [0, 1].map(|place| first.split(' ').nth(place).unwrap().to_owned());
    let (mut length, mut headers) = (0, vec![]);
    for line in reader.by_ref().lines() {
        let line = line.unwrap();
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "connection" => {}
            _ => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();

    // `/v1/m` takes what Segment's browser SDK measures of itself.
    let events = method == "POST" && path.starts_with("/v1/") && path != "/v1/m";
    let fault = if events { faults.lock().unwrap().pop_front() } else { None };
    if let Some(Fault::Answer(status, retry_after)) = fault {
        let retry_after = retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
        return answer(&mut stream, status, retry_after, r#"{"code":"busy","message":"send it again"}"#);
    }
    let mut request = http().request(method.parse().unwrap(), format!("{server}{path}")).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().unwrap();
    if fault.is_none() {
        let status = response.status().as_u16();
        let told = |name: &str| name == "content-type" || name.starts_with("access-control-");
        let headers = response.headers().iter().filter(|(name, _)| told(name.as_str()));
        let headers: Vec<(String, String)> =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        answer(&mut stream, status, headers, &response.text().unwrap());
    }
}

fn answer(stream: &mut TcpStream, status: u16, headers: impl IntoIterator<Item = (String, String)>, body: &str) {
    let headers: String = headers.into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n{headers}", body.len());
    // The other side may be gone.
    let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
}
