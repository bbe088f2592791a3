//! The guard around the HTTP of object stores.
//!
//! Every request of a store passes here, those for credentials too (which clouds serve at link-local addresses, so
//! such credentials need the operator's leave).

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};

use super::Egress;

/// Gives object stores an HTTP client under the guard.
pub struct GuardedConnector {
    egress: Arc<Egress>,
    timeout: Duration,
}

impl GuardedConnector {
    /// Under `egress`, a request taking at most `timeout`.
    pub fn new(egress: Arc<Egress>, timeout: Duration) -> Self {
        GuardedConnector { egress, timeout }
    }
}

impl std::fmt::Debug for GuardedConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardedConnector")
    }
}

impl HttpConnector for GuardedConnector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self
            .egress
            .client(self.timeout)
            .map_err(|error| object_store::Error::Generic { store: "http", source: Box::new(error) })?;
        Ok(HttpClient::new(GuardedService { egress: Arc::clone(&self.egress), client }))
    }
}

struct GuardedService {
    egress: Arc<Egress>,
    client: reqwest::Client,
}

impl std::fmt::Debug for GuardedService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardedService")
    }
}

impl HttpService for GuardedService {
    // What `#[async_trait]` makes of `async fn call`.
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            if let Err(error) = self.egress.check_literal(request.uri().host().unwrap_or_default()) {
                return Err(HttpError::new(HttpErrorKind::Unknown, error));
            }
            HttpService::call(&self.client, request).await
        })
    }
}
