//! Whether the outbox is whole: looked at before anything is written to it.

use rusqlite::Connection;

use super::outbox::hash_of;
use super::{meta, migrate};
use crate::error::{Doing as _, Error, Result};

/// Reads every page of the outbox, which is small: damage must be found before a change is lost to it. Fails as well
/// when changes up to `reached` were recorded and the newest are not there.
pub(super) fn check_outbox(conn: &Connection, reached: u64) -> Result<()> {
    let is_made = migrate::version(conn)? > 0;
    if !is_made && reached > 0 {
        return Err(damaged(format!("it is empty, {reached} changes were recorded")));
    }
    if !is_made {
        return Ok(());
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).doing("check the outbox")?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    let last = check_changes(conn)?;
    let last = last.max(meta::get::<i64>(conn, "offset")?.unwrap_or(0) as u64);
    if last < reached { Err(damaged(format!("it ends at {last}, recorded was up to {reached}"))) } else { Ok(()) }
}

/// Checks each change by its hash. Returns the newest position.
fn check_changes(conn: &Connection) -> Result<u64> {
    let mut statement =
        conn.prepare("SELECT position, prev_hash, hash, payload FROM change").doing("check the outbox")?;
    let mut rows = statement.query([]).doing("check the outbox")?;
    let mut last = 0;
    while let Some(row) = rows.next().doing("check the outbox")? {
        let is_whole = || -> rusqlite::Result<bool> {
            let (prev, hash) = (hash_of(row.get_ref(1)?)?, hash_of(row.get_ref(2)?)?);
            Ok(prev.then(row.get_ref(3)?.as_blob()?) == hash)
        };
        last = row.get::<_, i64>(0).doing("check the outbox")?.max(0) as u64;
        if !is_whole().unwrap_or(false) {
            return Err(damaged(format!("change {last} is not what its hash says")));
        }
    }
    Ok(last)
}

fn damaged(what: String) -> Error {
    Error::Damaged { file: "outbox.db", what }
}
