//! Versions of a file: a list of steps and one loop.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Doing as _, Error, Result};

/// Fails when the file was written by a newer version. Reads only.
pub(super) fn refuse_newer(conn: &Connection, file: &'static str, steps: &[&str]) -> Result<()> {
    let (found, known) = (version(conn)?, steps.len() as u32);
    if found > known { Err(Error::NewerFile { file, found, known }) } else { Ok(()) }
}

/// Brings the file to the newest version. Each step and its number are one transaction.
pub(super) fn migrate(conn: &mut Connection, steps: &[&str]) -> Result<()> {
    for (at, step) in steps.iter().enumerate().skip(version(conn)? as usize) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Exclusive).doing("migrate")?;
        transaction.execute_batch(step).doing("migrate")?;
        transaction.pragma_update(None, "user_version", at as u32 + 1).doing("migrate")?;
        transaction.commit().doing("migrate")?;
    }
    Ok(())
}

pub(super) fn version(conn: &Connection) -> Result<u32> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).doing("read the version of the file")
}
