//! What an application decides about its client.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of a client. The defaults suit a phone.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server is: `https://teren.example.org`.
    pub server_url: String,
    /// The folder of the two database files. The SDK owns it; it must be in the application's own storage and
    /// left out of backups made by the operating system.
    pub folder: PathBuf,
    /// The application and its version, as the office sees it: `teren-field/1.4.2`.
    pub app: String,
    /// How long the server may hold a request while nothing happens. A change then arrives at once.
    pub wait_ms: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a response may stay silent before the session counts as failed.
    pub read_timeout: Duration,
}

impl Config {
    /// Returns the settings for a server and a folder.
    pub fn new(server_url: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            server_url: server_url.into(),
            folder: folder.into(),
            app: concat!("teren-sdk/", env!("CARGO_PKG_VERSION")).to_owned(),
            wait_ms: 25_000,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
        }
    }

    /// Returns the address of a path on the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server_url.trim_end_matches('/'))
    }
}
