//! Names every request, so that a caller, a log line and an error document speak of the same one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BYTES: usize = 64;

/// The name of a request, in its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes the caller's name for the request where it is a plain one, or makes one, and answers it.
pub(crate) async fn assign(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&HEADER).and_then(|value| value.to_str().ok()).filter(|name| is_plain(name));
    let id = RequestId(given.map_or_else(|| app.world.new_id().simple().to_string().into(), Into::into));
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// A name reaches logs, so it may not carry anything that a log reader could mistake.
fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= MAX_BYTES && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_names_are_taken_over() {
        assert!(is_plain("phone-7_a.1"));
        for name in ["", "a b", "a\"b", "ă", &"x".repeat(MAX_BYTES + 1)] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
