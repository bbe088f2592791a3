//! How commands reach the API: of the server that runs on the data folder, or, where none does, of an app in this
//! process, by the same router. So every command works either way, and says the same.

use std::{fs, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use futures_util::{StreamExt as _, TryStreamExt};
use http_body_util::BodyExt as _;
use onefold_server::App;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{Failure, settings::Settings, wiring};

/// The file by which a running server is found.
pub const SERVER_FILE: &str = "server.json";

/// What stands in it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Running {
    /// Where it listens: `http://127.0.0.1:8080`.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// Where it answers SQL over PostgreSQL's protocol, if it does: `127.0.0.1:5433`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Where it listens with TLS, if it does: `0.0.0.0:8443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
}

/// A way to the API.
pub struct Client {
    way: Way,
    token: String,
    workspace: String,
}

enum Way {
    Server { http: reqwest::Client, url: String },
    Here { router: Router, app: Arc<App> },
}

/// An answer.
pub struct Answer {
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| Failure::new(format!("the answer is no JSON: {error}"), ""))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Finds the server of the data folder, or starts the app here.
    pub async fn open(settings: &Settings, workspace: &str) -> Result<Client, Failure> {
        if let Some(client) = Client::of_server(&settings.data, workspace).await? {
            return Ok(client);
        }
        let settings = settings.clone();
        let runtime = tokio::runtime::Handle::current();
        let app = tokio::task::spawn_blocking(move || {
            let _guard = runtime.enter();
            wiring::start(&settings).map(|started| (started.app, wiring::token(&settings.data)))
        })
        .await
        .map_err(|error| Failure::new(error.to_string(), ""))??;
        let (app, token) = app;
        let router = onefold_server::router(&app);
        Ok(Client { way: Way::Here { router, app }, token: token?, workspace: workspace.to_owned() })
    }

    /// The client of a server that runs on `folder`, if one does.
    pub async fn of_server(folder: &Path, workspace: &str) -> Result<Option<Client>, Failure> {
        let Ok(text) = fs::read(folder.join(SERVER_FILE)) else { return Ok(None) };
        let Ok(running) = serde_json::from_slice::<Running>(&text) else { return Ok(None) };
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .build()
            .map_err(|error| Failure::new(error.to_string(), ""))?;
        // A server that was killed leaves its file behind.
        let alive = http.get(format!("{}/healthz", running.url)).timeout(Duration::from_secs(5)).send().await;
        if !alive.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(None);
        }
        let token = wiring::token(folder)?;
        Ok(Some(Client { way: Way::Server { http, url: running.url }, token, workspace: workspace.to_owned() }))
    }

    /// Calls the API. An error of the API becomes a failure with its cause and cure.
    pub async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        let (status, body) = self.raw(method, path, body).await?;
        if status.is_success() {
            return Ok(Answer { body });
        }
        Err(refused(status, &body))
    }

    /// The same, tried again where the server may do it in a moment (503): its log or its state is busy, or a disk is full.
    pub async fn call_again(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        const TRIES: u32 = 8;
        let mut attempt = 0;
        loop {
            let (status, answer) = self.raw(method.clone(), path, body.clone()).await?;
            if status.is_success() {
                return Ok(Answer { body: answer });
            }
            if status != StatusCode::SERVICE_UNAVAILABLE || attempt + 1 == TRIES {
                return Err(refused(status, &answer));
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            attempt += 1;
        }
    }

    /// Posts JSON, and hands the answer over part by part as it comes, until `on` says that it is enough.
    pub async fn stream(
        &self,
        path: &str,
        accept: &str,
        body: &Value,
        on: &mut dyn FnMut(&[u8]) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let broken = |error: String| {
            Failure::new(
                format!("the answer broke off: {error}"),
                "what came is not all; look into the server's log, and ask again",
            )
        };
        let mut parts = match &self.way {
            Way::Server { http, url } => {
                let request = http.post(format!("{url}{path}")).bearer_auth(&self.token).header(header::ACCEPT, accept);
                let request = request.header("onefold-workspace", &self.workspace).json(body);
                let answer = request.send().await.map_err(|error| unanswered(&error))?;
                if !answer.status().is_success() {
                    let status = answer.status();
                    return Err(refused(status, &answer.bytes().await.map_err(|error| unanswered(&error))?));
                }
                answer.bytes_stream().map_err(|error| error.to_string()).boxed()
            }
            Way::Here { router, .. } => {
                let request = Request::post(path)
                    .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                    .header("onefold-workspace", &self.workspace)
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::ACCEPT, accept)
                    .body(Body::from(body.to_string()))
                    .map_err(|error| unanswered(&error))?;
                let answer = router.clone().oneshot(request).await.map_err(|error| unanswered(&error))?;
                let status = answer.status();
                if !status.is_success() {
                    let body = answer.into_body().collect().await.map_err(|error| unanswered(&error))?;
                    return Err(refused(status, &body.to_bytes()));
                }
                TryStreamExt::map_err(answer.into_body().into_data_stream(), |error| error.to_string()).boxed()
            }
        };
        while let Some(part) = parts.next().await {
            if !on(&part.map_err(broken)?)? {
                break;
            }
        }
        Ok(())
    }

    async fn raw(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>), Failure> {
        match &self.way {
            Way::Server { http, url } => {
                let answer = http
                    .request(method, format!("{url}{path}"))
                    .bearer_auth(&self.token)
                    .header("onefold-workspace", &self.workspace)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(body)
                    .send()
                    .await
                    .map_err(|error| unanswered(&error))?;
                let status = answer.status();
                let body = answer.bytes().await.map_err(|error| unanswered(&error))?;
                Ok((status, body.to_vec()))
            }
            Way::Here { router, .. } => {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                    .header("onefold-workspace", &self.workspace)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Body::from(body))
                    .map_err(|error| unanswered(&error))?;
                let answer = router.clone().oneshot(request).await.map_err(|error| unanswered(&error))?;
                let status = answer.status();
                let body = answer.into_body().collect().await.map_err(|error| unanswered(&error))?;
                Ok((status, body.to_bytes().to_vec()))
            }
        }
    }

    /// The address of the server that answers, where one runs.
    pub fn url(&self) -> Option<&str> {
        match &self.way {
            Way::Server { url, .. } => Some(url),
            Way::Here { .. } => None,
        }
    }

    /// GET, as JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, vec![]).await?.json()
    }

    /// Another method with a JSON body, as JSON.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(method, path, body.to_string().into_bytes()).await?.json()
    }

    /// Lets deliveries that are due go out, where the app is here, and stops it.
    pub async fn close(self) -> Result<(), Failure> {
        if let Way::Here { app, .. } = self.way {
            app.stop().await;
        }
        Ok(())
    }
}

fn unanswered(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("the server did not answer: {error}"), "look whether it still runs, and into its log")
}

/// What an error of the API says.
fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let cause = match text("message") {
        message if message.is_empty() => format!("the server answered {status}: {}", String::from_utf8_lossy(body)),
        message => message,
    };
    Failure::new(cause, text("cure"))
}

/// A path segment of a URL.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
