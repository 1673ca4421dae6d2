//! Migrations: embedded, run by one server at a time.

use diesel_async::{AsyncConnection as _, AsyncMigrationHarness, AsyncPgConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::StoreError;

/// Every migration of this version.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The advisory lock that lets one server migrate at a time.
const MIGRATION_LOCK: i64 = 0x7465_7265_6e00_0001;

/// What a run of [`migrate`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The versions that were applied now, oldest first.
    pub applied: Vec<String>,
}

/// Applies the migrations that the database lacks. Refuses a database that holds migrations of a newer version.
pub async fn migrate(url: &str) -> Result<Migrated, StoreError> {
    let conn = connect(url).await?;
    // The harness blocks the thread that it runs on.
    tokio::task::spawn_blocking(move || run(conn)).await.map_err(|error| StoreError::Unavailable(error.to_string()))?
}

async fn connect(url: &str) -> Result<AsyncPgConnection, StoreError> {
    use diesel_async::SimpleAsyncConnection as _;
    let mut conn =
        AsyncPgConnection::establish(url).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    conn.batch_execute(&format!("SET client_min_messages = warning; SELECT pg_advisory_lock({MIGRATION_LOCK})"))
        .await?;
    Ok(conn)
}

fn run(conn: AsyncPgConnection) -> Result<Migrated, StoreError> {
    let mut harness = AsyncMigrationHarness::new(conn);
    let failed =
        |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable(format!("migration: {error}"));
    let known: Vec<String> = diesel::migration::MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let newer = harness.applied_migrations().map_err(failed)?.into_iter().find(|v| !known.contains(&v.to_string()));
    if let Some(version) = newer {
        return Err(StoreError::Unavailable(format!(
            "the database was migrated by a newer version (migration {version} is not known here); \
             run that version, or restore a backup made before it"
        )));
    }
    let applied = harness.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(Migrated { applied: applied.into_iter().map(|version| version.to_string()).collect() })
}
