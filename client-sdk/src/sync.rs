//! Exchanging changes and rows with the server.
//!
//! [`machine`] decides, purely; [`driver`] does what it says with tokio; [`transport`] is the way to the server.

pub mod driver;
pub mod machine;
pub mod transport;

mod http;
mod worker;

pub use driver::{Progress, SyncOptions, SyncReport, Syncer, Watcher};
pub use http::HttpTransport;
pub(crate) use http::{client as http_client, offline, refusal};
pub use machine::{Failure, Notice};
pub use transport::{Exchange, TokenKeeper, Transport};
pub use worker::{Done, perform};
