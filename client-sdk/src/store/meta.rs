//! Named values of a file. Both files have such a table.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension as _, ToSql};

use crate::error::{Doing as _, Result};

/// Returns a value, `None` when it was never set.
pub(super) fn get<T: FromSql>(conn: &Connection, name: &str) -> Result<Option<T>> {
    let mut statement = conn.prepare_cached("SELECT value FROM _meta WHERE name = ?1").doing("read a setting")?;
    statement.query_row([name], |row| row.get(0)).optional().doing("read a setting")
}

/// Sets a value.
pub(super) fn set(conn: &Connection, name: &str, value: impl ToSql) -> Result<()> {
    const SQL: &str = "INSERT INTO _meta (name, value) VALUES (?1, ?2)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let mut statement = conn.prepare_cached(SQL).doing("write a setting")?;
    statement.execute((name, value)).doing("write a setting")?;
    Ok(())
}

/// Forgets a value.
pub(super) fn remove(conn: &Connection, name: &str) -> Result<()> {
    conn.execute("DELETE FROM _meta WHERE name = ?1", [name]).doing("write a setting")?;
    Ok(())
}
