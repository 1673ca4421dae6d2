//! The way to the server over HTTP.

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use sync_protocol::wire::MEDIA_TYPE;

use super::machine::Failure;
use super::transport::{Exchange, Response, Transport};
use crate::config::Config;
use crate::error::{Error, Result};

/// When a busy server does not say when to come back.
const BUSY_MS: u64 = 2_000;

/// `POST /sync/v1` with reqwest.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: Client,
    url: String,
}

impl HttpTransport {
    /// Returns the way to the server of a configuration.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { client: client(config)?, url: config.url("/sync/v1") })
    }

    async fn send(&self, exchange: Exchange) -> Result<Response, Failure> {
        let request = self.client.post(&self.url).bearer_auth(exchange.access_token.as_str());
        let request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(exchange.body);
        let response = request.send().await.map_err(offline)?;
        if is_ours(&response) && response.status() == StatusCode::OK {
            return Ok(response.bytes_stream().map(|chunk| chunk.map_err(offline)).boxed());
        }
        Err(refusal(response).await)
    }
}

impl Transport for HttpTransport {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Response, Failure>> {
        self.send(exchange).boxed()
    }
}

/// Returns a client for a configuration. It follows no redirects: our server sends none, and a network's sign-in
/// page must not pass for it.
pub(crate) fn client(config: &Config) -> Result<Client> {
    // Fails when the application has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout.max(std::time::Duration::from_millis(u64::from(config.wait_ms) * 2)));
    builder.build().map_err(|error| Error::Network(error.to_string()))
}

fn is_ours(response: &reqwest::Response) -> bool {
    media_type(response).eq_ignore_ascii_case(MEDIA_TYPE)
}

fn media_type(response: &reqwest::Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_owned()
}

/// The document that our server gives with every refusal.
#[derive(Deserialize)]
struct Document {
    code: String,
    #[serde(default)]
    message: String,
}

/// Some servers wrap it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Wrapped { error: Document },
    Plain(Document),
}

/// Returns why a response is not the one that was wanted.
pub(crate) async fn refusal(response: reqwest::Response) -> Failure {
    let status = response.status();
    let media_type = media_type(&response);
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let document = match response.json::<Refusal>().await {
        Ok(Refusal::Wrapped { error } | Refusal::Plain(error)) => Some(error),
        Err(_) => None,
    };
    match (status, document) {
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
            Failure::Busy { after_ms: after.map_or(BUSY_MS, |seconds| seconds.saturating_mul(1_000)) }
        }
        // A network's own sign-in page may use this status, too, but does not know our document.
        (StatusCode::UNAUTHORIZED, Some(_)) => Failure::Unauthorised,
        (status, Some(document)) if status.is_client_error() => {
            Failure::Fault { code: document.code, message: document.message }
        }
        (status, _) if status.is_server_error() => Failure::Offline(format!("the server answered {status}")),
        (status, _) => Failure::NotOurServer(format!("{status} {media_type}")),
    }
}

pub(crate) fn offline(error: reqwest::Error) -> Failure {
    // Without the address: it may hold a token one day.
    Failure::Offline(error.without_url().to_string())
}
