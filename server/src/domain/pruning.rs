//! The job that forgets old deletions, a few at a time, so that nobody waits for it.

use std::time::Duration;

use sync_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::ops::metrics::SyncSignals;
use crate::store::pruning::{self, Horizon};
use crate::store::{Db, StoreError};
use crate::world::SharedWorld;

/// When it is looked for the first time: a server that has just started has phones to answer.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked for deletions that have become old.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// A day.
const DAY_MS: i64 = 86_400_000;
/// So many are forgotten in one transaction: the programme's writers wait for it, some milliseconds.
const BATCH: usize = 500;
/// How long the programme's writers are left alone between two batches.
const PAUSE: Duration = Duration::from_millis(100);

/// After how long things are forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// For how many days deletions are told at least.
    pub tombstone_days: u16,
    /// After how many days of silence nothing is kept for a device.
    pub device_expiry_days: u16,
}

impl Retention {
    /// Returns what the settings say.
    pub fn of(sync: &config::Sync) -> Self {
        Self { tombstone_days: sync.tombstone_days, device_expiry_days: sync.device_expiry_days }
    }

    /// Returns what may be forgotten at an instant.
    pub fn horizon(&self, now: Timestamp) -> Horizon {
        let ago = |days: u16| now.plus_ms(-i64::from(days) * DAY_MS);
        Horizon { before: ago(self.tombstone_days), heard_since: ago(self.device_expiry_days) }
    }
}

/// Forgets every deletion that is old now, of all programmes, and returns how many there were.
pub async fn prune(db: &Db, horizon: &Horizon, signals: &SyncSignals) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    for programme in pruning::programmes(&mut db.conn().await?).await? {
        loop {
            let some = pruning::prune(db, programme, horizon, BATCH).await?;
            signals.pruned.inc_by(some as u64);
            forgotten += some;
            if some < BATCH {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(forgotten)
}

/// Looks soon after the start and then every hour for deletions that have become old, until the server stops. What fails
/// is logged and tried again.
pub async fn keep_pruned(
    db: &Db,
    world: &SharedWorld,
    retention: Retention,
    signals: &SyncSignals,
    stopping: &CancellationToken,
) {
    let mut pause = LOOK_AFTER;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = LOOK_EVERY,
        }
        match prune(db, &retention.horizon(world.now()), signals).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old deletions are no longer told"),
            Err(error) => tracing::warn!(%error, "old deletions could not be forgotten; it is tried again"),
        }
    }
}
