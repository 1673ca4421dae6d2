//! Whole databases of one Postgres: made, copied and dropped. The names come from the program, never from a request.

use super::{Db, Sql, StoreError};

/// The database in which others are made.
pub const MAINTENANCE: &str = "postgres";

/// Makes the database `name`, as a copy of `template` where one is given. Does nothing where it exists.
pub async fn ensure(maintenance: &Db, name: &str, template: Option<&str>) -> Result<(), StoreError> {
    if exists(maintenance, name).await? {
        return Ok(());
    }
    let template = template.map(|template| format!(" TEMPLATE {}", quoted(template))).unwrap_or_default();
    maintenance.conn().await?.batch(&format!("CREATE DATABASE {}{template}", quoted(name))).await
}

/// Returns whether the database exists.
pub async fn exists(maintenance: &Db, name: &str) -> Result<bool, StoreError> {
    let sql = Sql::new("SELECT 1 FROM pg_database WHERE datname = $1").bind(name.to_owned());
    Ok(maintenance.conn().await?.query_opt(sql).await?.is_some())
}

/// Drops the database and cuts its connections.
pub async fn drop(maintenance: &Db, name: &str) -> Result<(), StoreError> {
    maintenance.conn().await?.batch(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await
}

/// Renames a database that nobody uses.
pub async fn rename(maintenance: &Db, from: &str, to: &str) -> Result<(), StoreError> {
    maintenance.conn().await?.batch(&format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))).await
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
