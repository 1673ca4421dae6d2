//! What the server said of whole stretches of changes: that it has them exactly as recorded.
//!
//! One line for each stretch: taking an answer costs the same whatever the number of its changes. A change of which
//! the server said anything else says so itself.

use rusqlite::Connection;

use super::change::ChangeState;
use super::meta;
use crate::error::{Doing as _, Result};

/// Consecutive changes that became the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) state: ChangeState,
    /// The commit of the server; 0 when no row changed.
    pub(super) seq: u64,
}

impl Stretch {
    pub(super) fn contains(&self, position: u64) -> bool {
        (self.first..=self.last).contains(&position)
    }
}

/// The stretches that are known, oldest first.
#[derive(Debug, Default)]
pub(super) struct Stretches(Vec<Stretch>);

impl Stretches {
    pub(super) fn load(conn: &Connection) -> Result<Self> {
        let mut statement =
            conn.prepare("SELECT first, last, state, seq FROM answered ORDER BY last").doing("read the answers")?;
        let stretches = statement.query_map([], |row| {
            let (first, last, seq) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(3)?);
            let state = ChangeState::from_number(row.get(2)?);
            Ok(Stretch { first: first as u64, last: last as u64, state, seq: seq as u64 })
        });
        Ok(Self(stretches.and_then(Iterator::collect).doing("read the answers")?))
    }

    /// Returns what was said of the stretch of a position.
    pub(super) fn of(&self, position: u64) -> Option<&Stretch> {
        let at = self.0.partition_point(|stretch| stretch.last < position);
        self.0.get(at).filter(|stretch| stretch.contains(position))
    }

    /// Returns what was said of positions after one.
    pub(super) fn after(&self, position: u64) -> &[Stretch] {
        &self.0[self.0.partition_point(|stretch| stretch.last <= position)..]
    }

    /// Forgets what was said of positions after one, as [`forget_from`] has in the file.
    pub(super) fn forget_after(&mut self, position: u64) {
        self.0.truncate(self.0.partition_point(|stretch| stretch.first <= position));
        if let Some(last) = self.0.last_mut() {
            last.last = last.last.min(position);
        }
    }

    /// Takes up stretches that have been kept.
    pub(super) fn extend(&mut self, stretches: impl IntoIterator<Item = Stretch>) {
        self.0.extend(stretches);
    }
}

/// Keeps a stretch, inside the transaction that is open.
pub(super) fn keep(conn: &Connection, stretch: &Stretch) -> Result<()> {
    const SQL: &str = "INSERT INTO answered (first, last, state, seq) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = conn.prepare_cached(SQL).doing("record answers")?;
    let values = (stretch.first as i64, stretch.last as i64, stretch.state.number(), stretch.seq as i64);
    statement.execute(values).doing("record answers")?;
    Ok(())
}

/// Forgets what was said of a position and later ones.
pub(super) fn forget_from(conn: &Connection, position: u64) -> Result<()> {
    let position = position as i64;
    conn.execute("DELETE FROM answered WHERE first >= ?1", [position]).doing("forget answers")?;
    conn.execute("UPDATE answered SET last = ?1 - 1 WHERE last >= ?1", [position]).doing("forget answers")?;
    Ok(())
}

/// Forgets what was said of positions before one.
pub(super) fn forget_before(conn: &Connection, position: i64) -> Result<()> {
    conn.execute("DELETE FROM answered WHERE last < ?1", [position]).doing("forget answers")?;
    Ok(())
}

/// Notes the position up to which the server has everything. Apart from the stretches, so that damage to one of them
/// never makes answered changes look as if they were still to be sent.
pub(super) fn set_acked(conn: &Connection, position: u64) -> Result<()> {
    meta::set(conn, "acked", position as i64)
}

/// Returns that position, `None` in a file that has not noted it yet.
pub(super) fn noted_acked(conn: &Connection) -> Result<Option<u64>> {
    Ok(meta::get::<i64>(conn, "acked")?.map(|position| position as u64))
}
