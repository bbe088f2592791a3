//! A server in front of the server that fails as it is told. On plain sockets, since no HTTP library lets a handler
//! cut the connection instead of answering.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use crate::support::http;

/// What becomes of one request.
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
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let (mut length, mut headers) = (0, vec![]);
    for line in reader.by_ref().lines() {
        let line = line.unwrap();
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "host" | "connection" => {}
            _ => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();

    let fault = faults.lock().unwrap().pop_front();
    if let Some(Fault::Answer(status, retry_after)) = fault {
        return answer(&mut stream, status, retry_after, r#"{"code":"busy","message":"send it again"}"#);
    }
    let mut request = http().post(format!("{server}{path}")).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().unwrap();
    if fault.is_none() {
        let status = response.status().as_u16();
        answer(&mut stream, status, None, &response.text().unwrap());
    }
}

fn answer(stream: &mut TcpStream, status: u16, retry_after: Option<u32>, body: &str) {
    let retry_after = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{retry_after}");
    // The other side may be gone.
    let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
}
