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
    /// Connections for checking who a phone is.
    pub sign_ins: Db,
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
        let metrics = Metrics::new();
        let pool = |name: &str, size: usize, wait| -> Result<Db, StoreError> {
            Ok(Db::new(url, size, wait)?.measured(metrics.sync.pool(name)))
        };
        let office = pool("office", database.interactive_connections, wait)?;
        // A herd may wait for being recognised: only then is it known whom it is told to wait for.
        let sign_in_wait = Duration::from_millis(config.sync.queue_timeout_ms / 2);
        let sign_ins = pool("sign_ins", database.sign_in_connections, sign_in_wait)?;
        Ok(Self {
            auth: AuthService::new(office.clone(), world.clone(), auth_limits(&config.auth))
                .phones_on(sign_ins.clone()),
            feed: Arc::default(),
            fleet: Arc::default(),
            world,
            office,
            sign_ins,
            sync: pool("sync", database.sync_connections, wait)?,
            reports: pool("reports", database.report_connections, report_wait)?,
            metrics: Arc::new(metrics),
            stopping: CancellationToken::new(),
            config: Arc::new(config),
        })
    }

    /// Returns the pools by name.
    pub fn pools(&self) -> [(&'static str, &Db); 4] {
        [("office", &self.office), ("sync", &self.sync), ("sign_ins", &self.sign_ins), ("reports", &self.reports)]
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
