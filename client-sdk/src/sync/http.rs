//! The way to the server over HTTP.

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use sync_protocol::wire::{DAMAGED, MEDIA_TYPE};

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
        // The server waited long enough for the request: what was sent can be sent again.
        (StatusCode::REQUEST_TIMEOUT, _) => Failure::Offline("the request took too long to send".to_owned()),
        // A network's own sign-in page may use this status, too, but does not know our document.
        (StatusCode::UNAUTHORIZED, Some(_)) => Failure::Unauthorised,
        (_, Some(document)) if document.code == DAMAGED => Failure::Offline(document.message),
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use zeroize::Zeroizing;

    /// Answers one request with these bytes and returns what the transport makes of them, and the request.
    async fn answered(answer: String) -> (Result<Vec<u8>, Failure>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let mut length = 0;
            while !request[..length].ends_with(b"frames") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let transport = HttpTransport::new(&Config::new(url, "unused")).unwrap();
        let token = Zeroizing::new("secret".to_owned());
        let exchange = Exchange { access_token: token, body: b"frames".to_vec() };
        let outcome = match transport.exchange(exchange).await {
            Ok(response) => response.collect::<Vec<_>>().await.into_iter().map(|chunk| chunk.map(Vec::from)).collect(),
            Err(failure) => Err(failure),
        };
        (outcome.map(|chunks: Vec<Vec<u8>>| chunks.concat()), server.await.unwrap())
    }

    fn response(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn only_our_media_type_is_an_answer() {
        let frames = response("200 OK", "content-type: application/vnd.teren.sync\r\n", "frames");
        let (outcome, request) = answered(frames).await;
        assert_eq!(outcome, Ok(b"frames".to_vec()));
        assert!(request.starts_with("POST /sync/v1 HTTP/1.1\r\n") && request.contains("authorization: Bearer secret"));
        assert!(request.len() < 250, "the headers of a request have {} bytes", request.len());

        let html = "content-type: text/html\r\n";
        for page in [
            response("200 OK", html, "<html>Hotel</html>"),
            response("302 Found", "location: http://hotel.example/\r\n", ""),
            response("401 Unauthorized", html, "<html>Proxy</html>"),
            response("511 Network Authentication Required", html, "<html>Hotel</html>"),
        ] {
            let outcome = answered(page).await.0;
            assert!(matches!(outcome, Err(Failure::NotOurServer(_) | Failure::Offline(_))), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn refusals_are_told_apart() {
        let json = "content-type: application/json\r\n";
        let document = r#"{"code":"CODE","message":"text","hint":"","requestId":"1"}"#;
        let cases = [
            (response("401 Unauthorized", json, document), Failure::Unauthorised),
            (response("503 Service Unavailable", "retry-after: 7\r\n", ""), Failure::Busy { after_ms: 7_000 }),
            (response("503 Service Unavailable", "retry-after: 95\r\n", document), Failure::Busy { after_ms: 95_000 }),
            (response("429 Too Many Requests", "retry-after: 3\r\n", ""), Failure::Busy { after_ms: 3_000 }),
            (response("429 Too Many Requests", "", ""), Failure::Busy { after_ms: BUSY_MS }),
            (
                response("408 Request Timeout", json, document),
                Failure::Offline("the request took too long to send".to_owned()),
            ),
            (
                response("400 Bad Request", json, document),
                Failure::Fault { code: "CODE".to_owned(), message: "text".to_owned() },
            ),
            (
                response("400 Bad Request", json, &document.replace("CODE", DAMAGED)),
                Failure::Offline("text".to_owned()),
            ),
        ];
        for (answer, expected) in cases {
            assert_eq!(answered(answer).await.0, Err(expected));
        }
        let broken = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.teren.sync\r\ncontent-length: 90\r\n\r\nfra";
        assert!(matches!(answered(broken.to_owned()).await.0, Err(Failure::Offline(_))));
    }
}
