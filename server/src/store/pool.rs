//! Connections: how many, how long to wait, and that no transaction is ever left open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use futures::FutureExt as _;
use prometheus::{Histogram, HistogramOpts, IntCounter};

use super::{Record, Sql, StoreError};

/// What every connection sets before its first use. UTC, so that no answer depends on the machine; bounded
/// waits, so that no request hangs on a lock; no sequential scans, because a plan that was made and kept while a
/// table was small would read all of it for ever after; one plan for each statement, because every look-up is by
/// key and planning it anew costs more than running it.
const SESSION_SETUP: &str = "SET TIME ZONE 'UTC'; SET lock_timeout = '5s'; SET statement_timeout = '30s'; \
     SET idle_in_transaction_session_timeout = '15s'; SET jit = off; SET enable_seqscan = off; \
     SET plan_cache_mode = force_generic_plan; \
     SET client_min_messages = warning";

/// What is measured of a pool.
#[derive(Clone, Debug)]
pub struct PoolMeters {
    /// How long callers waited for a connection.
    pub wait: Histogram,
    /// Callers who got none in time.
    pub timeouts: IntCounter,
    /// How long taking a programme's next number took.
    pub seal: Histogram,
}

impl Default for PoolMeters {
    /// Returns measurements that nobody collects.
    fn default() -> Self {
        let histogram = |name: &str| Histogram::with_opts(HistogramOpts::new(name, name)).expect("the name is valid");
        let timeouts = IntCounter::new("timeouts", "timeouts").expect("the name is valid");
        Self { wait: histogram("wait"), timeouts, seal: histogram("seal") }
    }
}

/// A pool of connections to one database.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    wait: Duration,
    statements: Arc<AtomicU64>,
    meters: Arc<PoolMeters>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({:?})", self.pool.status())
    }
}

impl Db {
    /// Returns a pool of at most `size` connections to `url`; a caller waits at most `wait` for one.
    /// Nothing is connected yet.
    pub fn new(url: &str, size: usize, wait: Duration) -> Result<Self, StoreError> {
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(|url| {
            async move {
                let mut conn = AsyncPgConnection::establish(url).await?;
                conn.batch_execute(SESSION_SETUP).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                Ok(conn)
            }
            .boxed()
        });
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
        let pool = Pool::builder(manager)
            .max_size(size)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, wait, statements: Arc::default(), meters: Arc::default() })
    }

    /// Returns the pool with measurements that are collected.
    pub fn measured(self, meters: PoolMeters) -> Self {
        Self { meters: Arc::new(meters), ..self }
    }

    /// Takes a connection.
    pub async fn conn(&self) -> Result<Conn, StoreError> {
        let waited = self.meters.wait.start_timer();
        let object = tokio::time::timeout(self.wait, self.pool.get()).await;
        waited.observe_duration();
        let object = object.map_err(|_| {
            self.meters.timeouts.inc();
            StoreError::Unavailable(format!("no connection was free within {:?}", self.wait))
        })?;
        let object = object.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Conn { object: Some(object), statements: self.statements.clone(), meters: self.meters.clone() })
    }

    /// Returns how many statements have been sent, for metrics and for tests that count them.
    pub fn statements(&self) -> u64 {
        AtomicU64::load(&self.statements, Ordering::Relaxed)
    }

    /// Returns (connections open, connections idle), for metrics.
    pub fn usage(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }
}

/// One connection, returned to the pool on drop.
pub struct Conn {
    object: Option<Object<AsyncPgConnection>>,
    statements: Arc<AtomicU64>,
    meters: Arc<PoolMeters>,
}

impl Conn {
    /// Returns what is measured of the pool.
    pub(super) fn meters(&self) -> &Arc<PoolMeters> {
        &self.meters
    }

    fn raw(&mut self) -> &mut AsyncPgConnection {
        self.statements.fetch_add(1, Ordering::Relaxed);
        // Taken only by `Tx::drop`, which owns the connection.
        self.object.as_mut().expect("a connection is used only while it is held")
    }

    /// Runs a query and returns its rows.
    pub async fn query(&mut self, sql: Sql) -> Result<Vec<Record>, StoreError> {
        Ok(diesel_async::RunQueryDsl::load(sql, self.raw()).await?)
    }

    /// Runs a query that returns at most one row.
    pub async fn query_opt(&mut self, sql: Sql) -> Result<Option<Record>, StoreError> {
        Ok(self.query(sql).await?.into_iter().next())
    }

    /// Runs a statement and returns how many rows it touched.
    pub async fn execute(&mut self, sql: Sql) -> Result<usize, StoreError> {
        Ok(diesel_async::RunQueryDsl::execute(sql, self.raw()).await?)
    }

    /// Runs statements without binds, separated by semicolons.
    pub async fn batch(&mut self, text: &str) -> Result<(), StoreError> {
        Ok(self.raw().batch_execute(text).await?)
    }

    /// Starts a READ COMMITTED transaction for writing.
    pub async fn write_tx(self) -> Result<Tx, StoreError> {
        self.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
    }

    /// Starts a read-only transaction with one snapshot.
    pub async fn snapshot_tx(self) -> Result<Tx, StoreError> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn begin(self, statement: &str) -> Result<Tx, StoreError> {
        let mut tx = Tx { conn: self, finished: false };
        tx.conn.batch(statement).await?;
        Ok(tx)
    }
}

/// An open transaction. Dropped without [`Tx::commit`] or [`Tx::rollback`], it closes its connection, and
/// Postgres rolls back: a cancelled request never leaves a transaction in the pool.
pub struct Tx {
    conn: Conn,
    finished: bool,
}

impl Tx {
    /// Commits and gives the connection back for more work.
    pub async fn commit(mut self) -> Result<Conn, StoreError> {
        self.conn.batch("COMMIT").await?;
        Ok(self.release())
    }

    /// Rolls back and gives the connection back.
    pub async fn rollback(mut self) -> Result<Conn, StoreError> {
        self.conn.batch("ROLLBACK").await?;
        Ok(self.release())
    }

    fn release(&mut self) -> Conn {
        self.finished = true;
        Conn {
            object: self.conn.object.take(),
            statements: self.conn.statements.clone(),
            meters: self.conn.meters.clone(),
        }
    }
}

impl std::ops::Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if !self.finished
            && let Some(object) = self.conn.object.take()
        {
            drop(Object::take(object));
        }
    }
}
