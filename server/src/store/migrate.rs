//! Migrations: embedded, each in its own transaction, run by one server at a time.

use std::time::Duration;

use diesel::migration::{Migration, MigrationSource as _, MigrationVersion};
use diesel::pg::Pg;
use diesel_async::{AsyncConnection as _, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::{Conn, Record, Sql, StoreError};

/// Every migration of this version.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Lets one server migrate at a time; the lock's number is arbitrary but fixed.
const SETUP: &str = "SET client_min_messages = warning; SELECT pg_advisory_lock(8387226016127942657)";

/// An address that swallows packets would hold the start for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a run of [`migrate`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The versions that were applied now, oldest first.
    pub applied: Vec<String>,
}

/// Why a database could not be brought to this version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection. The text is Postgres' or the driver's own.
    #[error("{0}")]
    Connect(String),
    /// A newer version of the server has migrated the database.
    #[error("it was migrated by a newer server (migration {version} is not known here)")]
    Newer {
        /// The first unknown migration.
        version: String,
    },
    /// The database holds tables, but none of ours.
    #[error("it holds tables that this server did not make (`{table}` is one)")]
    Foreign {
        /// One of the tables.
        table: String,
    },
    /// A migration failed and was rolled back; the ones before it stay applied.
    #[error("{0}")]
    Failed(String),
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

impl From<BoxedError> for MigrateError {
    fn from(error: BoxedError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<diesel::result::Error> for MigrateError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Applies the migrations that the database lacks. Refuses a database that is newer, or someone else's.
pub async fn migrate(url: &str) -> Result<Migrated, MigrateError> {
    let mut conn = connect(url).await?;
    conn.batch_execute(SETUP).await?;
    refuse_foreign(&mut conn).await?;
    // The harness blocks the thread that it runs on.
    let run = tokio::task::spawn_blocking(move || run(conn)).await;
    run.map_err(|error| MigrateError::Failed(error.to_string()))?
}

async fn connect(url: &str) -> Result<AsyncPgConnection, MigrateError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, AsyncPgConnection::establish(url)).await;
    let connected = connected.map_err(|_| MigrateError::Connect("error connecting to server".to_owned()))?;
    connected.map_err(|error| MigrateError::Connect(error.to_string()))
}

/// Returns whether the database has every migration of this version.
pub async fn is_current(conn: &mut Conn) -> Result<bool, StoreError> {
    let known = versions().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let sql = Sql::new("SELECT version::text FROM __diesel_schema_migrations");
    let applied: Vec<Record> = conn.query(sql).await?;
    let applied = applied.iter().map(|record| record.text(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(known.iter().all(|version| applied.contains(version)))
}

async fn refuse_foreign(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    let sql = Sql::new(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND NOT EXISTS \
         (SELECT FROM pg_tables WHERE tablename = '__diesel_schema_migrations') ORDER BY 1 LIMIT 1",
    );
    let tables: Vec<Record> = diesel_async::RunQueryDsl::load(sql, conn).await?;
    match tables.first().and_then(|record| record.text(0).ok()) {
        Some(table) => Err(MigrateError::Foreign { table }),
        None => Ok(()),
    }
}

fn versions() -> Result<Vec<String>, BoxedError> {
    let migrations: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations()?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

fn run(conn: AsyncPgConnection) -> Result<Migrated, MigrateError> {
    let mut harness = AsyncMigrationHarness::new(conn);
    let known = versions()?;
    let applied = harness.applied_migrations()?;
    if let Some(newer) = applied.iter().map(MigrationVersion::to_string).find(|version| !known.contains(version)) {
        return Err(MigrateError::Newer { version: newer });
    }
    let applied = harness.run_pending_migrations(MIGRATIONS)?;
    Ok(Migrated { applied: applied.iter().map(MigrationVersion::to_string).collect() })
}
