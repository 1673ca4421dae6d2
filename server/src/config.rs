//! What the server may be told. `config.default.toml` documents every key and holds its default.

mod load;
mod secret;
mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use load::load;
pub use secret::Secret;

/// A setting that cannot be used. The message names the key, what is wrong with it, and where it comes from.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// Everything that the server may be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whom the server is for.
    pub environment: Environment,
    /// The database and the connections to it.
    pub database: Database,
    /// The listener.
    pub http: Http,
    /// Logins and tokens.
    pub auth: Auth,
    /// The limits of the GraphQL door.
    pub graphql: Graphql,
    /// The limits of the sync door.
    pub sync: Sync,
    /// Log lines.
    pub log: Log,
}

/// Whom the server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// One's own machine, with demo data.
    Development,
    /// Real people's data.
    Production,
}

/// The database and the connections to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The database; without it a private Postgres is run.
    pub url: Option<Secret>,
    /// The folder of the private Postgres; without it [`Database::folder`] decides.
    pub data_dir: Option<PathBuf>,
    /// The folder of the Postgres programs; without it they are searched.
    pub postgres_bin: Option<PathBuf>,
    /// Where it is noted how far each programme was. Never restored together with the database.
    pub marks_file: Option<PathBuf>,
    /// Connections for people in the office.
    pub interactive_connections: usize,
    /// Connections for phones.
    pub sync_connections: usize,
    /// Connections for checking who a phone is, before it is let in.
    pub sign_in_connections: usize,
    /// Connections for long reads.
    pub report_connections: usize,
    /// How long the office and the phones wait for a connection.
    pub acquire_timeout_ms: u64,
    /// How long a report waits for a connection.
    pub report_acquire_timeout_ms: u64,
}

impl Database {
    /// Returns the folder of the private Postgres. Root's is outside its home, which Postgres may not enter.
    pub fn folder(&self) -> PathBuf {
        // SAFETY: geteuid has no preconditions and cannot fail.
        let default = if unsafe { libc::geteuid() } == 0 { "/var/lib/teren" } else { ".data" };
        self.data_dir.clone().unwrap_or_else(|| default.into())
    }

    /// Returns the file of the marks: a private Postgres has one beside its data, a named database where it was said.
    pub fn marks_file(&self) -> Option<PathBuf> {
        self.marks_file.clone().or_else(|| self.url.is_none().then(|| self.folder().join("marks.json")))
    }
}

/// The listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address to serve on.
    pub listen: SocketAddr,
    /// The most bytes of a body that is read at once.
    pub max_body_bytes: usize,
    /// How long requests may take to finish when the server stops.
    pub drain_timeout_ms: u64,
    /// Whether a proxy in front speaks TLS.
    pub behind_tls_proxy: bool,
}

/// Logins and tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How long an access token lasts.
    pub access_token_ttl_s: u64,
    /// How long a refresh token lasts since its last use.
    pub refresh_token_ttl_s: u64,
    /// How long refreshing may go on since the login.
    pub refresh_family_ttl_s: u64,
    /// How long a lost answer may be asked for again.
    pub refresh_grace_s: u64,
    /// How many passwords are checked at once.
    pub concurrent_password_checks: usize,
    /// How many may wait for that.
    pub queued_password_checks: usize,
}

/// The limits of the GraphQL door.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graphql {
    /// Whether the schema may be asked for.
    pub introspection: bool,
    /// Whether a browser gets the GraphiQL page.
    pub graphiql: bool,
    /// How long an operation may take.
    pub timeout_ms: u64,
    /// The most bytes of a request.
    pub max_request_bytes: usize,
    /// The deepest selection.
    pub max_depth: usize,
    /// The most points of cost.
    pub max_cost: usize,
    /// The most selected fields, fragments expanded.
    pub max_fields: usize,
    /// The most aliases.
    pub max_aliases: usize,
    /// The rows of a page when none are named.
    pub default_page_rows: usize,
    /// The most rows of a page.
    pub max_page_rows: usize,
}

/// The limits of the sync door.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// The most mutations of a batch.
    pub max_batch_mutations: usize,
    /// The most bytes of a frame, decompressed.
    pub max_frame_bytes: usize,
    /// The most bytes of a request, decompressed.
    pub max_request_bytes: usize,
    /// The most bytes of bodies in memory, all requests together.
    pub max_bodies_bytes: usize,
    /// How long a device may be silent while it sends a body.
    pub body_idle_timeout_ms: u64,
    /// How long a device may take to send a body.
    pub body_timeout_ms: u64,
    /// The most rows of a page.
    pub page_rows: usize,
    /// How many requests are worked on at once; never more than there are connections for them.
    pub concurrent_requests: usize,
    /// How many requests are read or wait for their turn; more are told to come back.
    pub queued_requests: usize,
    /// How long a request waits for its turn before it is told to come back.
    pub queue_timeout_ms: u64,
    /// For how many days a deletion is told at least.
    pub tombstone_days: u16,
    /// After how many days without a contact nothing is kept for a device any more.
    pub device_expiry_days: u16,
}

/// Log lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Their form.
    pub format: LogFormat,
    /// Which lines are written.
    pub filter: String,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a machine.
    Json,
}

impl Http {
    /// Returns how long requests may take to finish when the server stops.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

impl Config {
    /// Returns the settings in force as TOML. Secrets are stars.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self).map_err(|error| ConfigError(error.to_string()))
    }
}
