//! What a sync session needs from the store: where the device stands, and what it says first.

use sync_protocol::cursor::{Cursor, scopes_hash};
use sync_protocol::id::DeviceId;
use sync_protocol::mutation::ChainHash;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Hello, OutboxSummary, PROTOCOL};

use super::Store;
use super::archive::DAY_MS;
use super::change::ChangeState;
use super::outbox::Outbox;
use super::verify::KINDS;
use crate::error::Result;

/// Where the device stands, as the sync machine needs to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncView {
    /// The newest number recorded.
    pub last_no: u64,
    /// The number up to which the server has everything.
    pub acked_no: u64,
    /// The chain at that number.
    pub acked_hash: ChainHash,
    /// Whether answered changes are sent again: it is being looked for where the server's and ours part, or the server
    /// has left the history in which it answered them.
    pub is_seeking: bool,
    /// The cursor.
    pub cursor: Cursor,
    /// Whether there are tokens.
    pub is_signed_in: bool,
    /// Whether rows differ from the server's, and it is being put right.
    pub is_repairing: bool,
    /// The server's time at which the end of a day was noted last.
    pub day_ms: i64,
}

impl SyncView {
    /// Returns whether the server's time is to be noted: a day has passed, or its clock was set back.
    pub fn is_another_day(&self, server_ms: i64) -> bool {
        !(self.day_ms..self.day_ms + DAY_MS).contains(&server_ms)
    }
}

impl Store {
    /// Returns where the device stands.
    pub fn sync_view(&self) -> Result<SyncView> {
        let is_signed_in = self.tokens()?.is_some();
        self.read(|inner| {
            Ok(SyncView {
                last_no: inner.outbox.number(inner.outbox.last),
                acked_no: inner.outbox.number(inner.outbox.acked),
                acked_hash: inner.outbox.hash_at(inner.outbox.acked)?.unwrap_or_default(),
                is_seeking: inner.outbox.seek.is_some() || inner.outbox.asks_after()?.is_some(),
                cursor: inner.cursor()?,
                is_signed_in,
                is_repairing: inner.is_repairing()?,
                day_ms: inner.outbox.day_ms()?,
            })
        })
    }

    /// Returns the first message of a request.
    pub fn hello(&self, app: &str, wait_ms: u32) -> Result<Hello> {
        let now = self.world().now();
        // The place that is told must be kept. What was recorded is safe in the outbox, and the cache, which may owe
        // thousands of rows to its file, writes them while the server works.
        self.drain(|inner| {
            inner.outbox.asked_as = Some(inner.outbox.incarnation);
            inner.cache.keep_pages().map(|()| inner.cache.begin_reply())
        })?;
        let uptime_ms = self.world().uptime_ms();
        self.read(|inner| {
            let scopes = inner.scopes()?;
            let outbox = inner.outbox.summary(now)?;
            Ok(Hello {
                protocol: PROTOCOL,
                app: app.to_owned(),
                device: DeviceId(inner.outbox.device),
                incarnation: inner.outbox.incarnation,
                cursor: inner.cursor()?,
                scopes_hash: scopes_hash(&scopes),
                scope_count: scopes.len() as u32,
                behind: inner.behind()?,
                outbox,
                wall_clock: now,
                wait_ms,
                verify_kinds: if inner.is_verification_due()? { KINDS } else { 0 },
                uptime_ms: (outbox.pending > 0).then_some(uptime_ms),
                more: false,
                earlier: inner.outbox.earlier()?,
            })
        })
    }
}

impl Outbox {
    /// Returns what the device tells of its outbox.
    fn summary(&self, now: Timestamp) -> Result<OutboxSummary> {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let salvaged = self.salvaged()?;
        Ok(OutboxSummary {
            pending: small(self.last - self.acked),
            rejected: small(self.count(ChangeState::Rejected)?),
            oldest_ms: self.oldest_pending_ms()?.map_or(0, |at| (now.0 - at).max(0) as u64),
            salvaged: small(salvaged.saved),
            lost: small(salvaged.lost),
        })
    }
}
