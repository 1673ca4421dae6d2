//! Settled changes are kept for a while: a server that was restored from a backup gets them again.
//!
//! Until a backup is verified that has them, or for 30 days. How long is told by the server's clock alone. That of a phone may be wrong by years, and would throw away what a
//! restored server lacks.

use sync_protocol::time::Timestamp;

use super::outbox::Outbox;
use super::{Store, answers, meta};
use crate::error::{Doing as _, Result};

/// How often the server's time is noted.
pub(super) const DAY_MS: i64 = 86_400_000;
/// How long settled changes are kept: 30 days.
const KEEP_MS: i64 = 30 * DAY_MS;
/// The bytes of a noted day.
const DAY_BYTES: usize = 16;

/// Up to which position the server had everything at a time of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    position: u64,
    server_ms: i64,
}

impl Store {
    /// Notes the server's time, and deletes the changes that it has had for long.
    pub fn note_day(&self, server_now: Timestamp) -> Result<()> {
        self.drain(|inner| inner.outbox.lazily(|outbox| outbox.note_day(server_now.0)))
    }

    /// Deletes the changes that a verified backup of the server has, up to its number `seq`.
    pub fn note_durable(&self, seq: u64) -> Result<()> {
        self.drain(|inner| match inner.outbox.durable_seq()? == seq {
            true => Ok(()),
            false => inner.outbox.lazily(|outbox| outbox.note_durable(seq)),
        })
    }
}

impl Outbox {
    /// Returns the server's time at which a day was noted last.
    pub(super) fn day_ms(&self) -> Result<i64> {
        Ok(self.days()?.last().map_or(0, |day| day.server_ms))
    }

    fn note_day(&mut self, server_ms: i64) -> Result<()> {
        let mut days = self.days()?;
        // A server that lost changes gets them again, and one whose clock was set back counts anew.
        days.retain(|day| day.position <= self.acked && day.server_ms < server_ms);
        days.push(Day { position: self.acked, server_ms });
        if let Some(at) = days.iter().rposition(|day| day.server_ms <= server_ms - KEEP_MS) {
            self.delete_settled(days[at].position)?;
            days.drain(..at);
        }
        let bytes: Vec<u8> = days.iter().flat_map(|day| day.bytes()).collect();
        meta::set(&self.conn, "days", bytes)
    }

    /// Returns the number up to which the server was last known to be backed up.
    fn durable_seq(&self) -> Result<u64> {
        Ok(meta::get::<i64>(&self.conn, "durable_seq")?.unwrap_or(0) as u64)
    }

    fn note_durable(&mut self, seq: u64) -> Result<()> {
        const BEYOND: &str = "SELECT min(position) FROM (
                                  SELECT min(first) AS position FROM answered WHERE seq > ?1
                                  UNION ALL SELECT min(position) FROM change WHERE seq > ?1)";
        let beyond = self.conn.query_row(BEYOND, [seq as i64], |row| row.get::<_, Option<i64>>(0));
        let beyond = beyond.doing("delete old changes")?.map_or(self.acked + 1, |position| position as u64);
        self.delete_settled(beyond - 1)?;
        meta::set(&self.conn, "durable_seq", seq as i64)
    }

    /// Deletes settled changes up to a position. The newest one that the server has stays: the chain of those that
    /// wait starts at it. So does everything after one that is not settled, or whose answer is asked for again.
    fn delete_settled(&self, upto: u64) -> Result<()> {
        const FIRST_KEPT: &str = "SELECT coalesce(min(position), 0) FROM change
                                  WHERE state BETWEEN 2 AND 4 OR position >= ?1";
        let limit = (upto + 1).min(self.acked).min(self.asked.map_or(u64::MAX, |asked| asked + 1)) as i64;
        let first = self.conn.query_row(FIRST_KEPT, [limit], |row| row.get::<_, i64>(0));
        let first = first.doing("delete old changes")?;
        self.conn.execute("DELETE FROM change WHERE position < ?1", [first]).doing("delete old changes")?;
        self.conn.execute("DELETE FROM emptied WHERE position < ?1", [first]).doing("delete old changes")?;
        answers::forget_before(&self.conn, first)
    }

    fn days(&self) -> Result<Vec<Day>> {
        let bytes = meta::get::<Vec<u8>>(&self.conn, "days")?.unwrap_or_default();
        Ok(bytes.chunks_exact(DAY_BYTES).filter_map(Day::read).collect())
    }
}

impl Day {
    fn bytes(self) -> [u8; DAY_BYTES] {
        let mut bytes = [0; DAY_BYTES];
        bytes[..8].copy_from_slice(&self.position.to_be_bytes());
        bytes[8..].copy_from_slice(&self.server_ms.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (position, server_ms) = bytes.split_at_checked(8)?;
        let position = u64::from_be_bytes(position.try_into().ok()?);
        Some(Self { position, server_ms: i64::from_be_bytes(server_ms.try_into().ok()?) })
    }
}
