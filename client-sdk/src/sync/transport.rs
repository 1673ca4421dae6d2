//! The way to the server, as the driver sees it. Tests put a script in its place.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::machine::Failure;

/// One request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The token that lets the device in.
    pub access_token: zeroize::Zeroizing<String>,
    /// The frames.
    pub body: Vec<u8>,
}

/// The bytes of a response as they arrive.
pub type Response = BoxStream<'static, Result<Bytes, Failure>>;

/// Sends frames and returns frames.
pub trait Transport: Send + Sync {
    /// Sends a request. The response is certain to come from our server, but may still break off.
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Response, Failure>>;
}

/// Gets new tokens and keeps them in the store.
pub trait TokenKeeper: Send + Sync {
    /// Replaces the tokens. `Ok(false)` when the server no longer accepts the device.
    fn refresh(&self) -> BoxFuture<'_, Result<bool, Failure>>;
}
