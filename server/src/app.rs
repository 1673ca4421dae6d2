//! What every handler shares.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::auth::{AuthLimits, AuthService};
use crate::config::{self, Config};
use crate::domain::feed::Feed;
use crate::domain::fleet::Fleet;
use crate::ops::metrics::Metrics;
use crate::store::{Db, StoreError};
use crate::world::SharedWorld;

/// The state of a running server. Cloning it is cheap and shares everything.
#[derive(Clone)]
pub struct App {
    /// The settings in force.
    pub config: Arc<Config>,
    /// The clock and the source of randomness.
    pub world: SharedWorld,
    /// Connections for people in the office.
    pub office: Db,
    /// Connections for phones.
    pub sync: Db,
    /// Connections for long reads.
    pub reports: Db,
    /// Accounts and sessions.
    pub auth: AuthService,
    /// News of programmes.
    pub feed: Arc<Feed>,
    /// What devices said of themselves.
    pub fleet: Arc<Fleet>,
    /// What `/metrics` tells.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server begins to stop. A handler that waits for news ends its wait then.
    pub stopping: CancellationToken,
}

impl App {
    /// Returns the state for the database at `url`. Connects to nothing yet.
    pub fn new(config: Config, world: SharedWorld, url: &str) -> Result<Self, StoreError> {
        let database = &config.database;
        let wait = Duration::from_millis(database.acquire_timeout_ms);
        let report_wait = Duration::from_millis(database.report_acquire_timeout_ms);
        let office = Db::new(url, database.interactive_connections, wait)?;
        Ok(Self {
            auth: AuthService::new(office.clone(), world.clone(), auth_limits(&config.auth)),
            feed: Arc::default(),
            fleet: Arc::default(),
            world,
            office,
            sync: Db::new(url, database.sync_connections, wait)?,
            reports: Db::new(url, database.report_connections, report_wait)?,
            metrics: Arc::new(Metrics::new()),
            stopping: CancellationToken::new(),
            config: Arc::new(config),
        })
    }

    /// Returns the pools by name.
    pub fn pools(&self) -> [(&'static str, &Db); 3] {
        [("office", &self.office), ("sync", &self.sync), ("reports", &self.reports)]
    }
}

fn auth_limits(auth: &config::Auth) -> AuthLimits {
    let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    AuthLimits {
        access_ttl_ms: ms(auth.access_token_ttl_s),
        refresh_idle_ms: ms(auth.refresh_token_ttl_s),
        session_max_ms: ms(auth.refresh_family_ttl_s),
        ..AuthLimits::default()
    }
}
