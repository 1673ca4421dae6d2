//! Tells waiting devices that a programme has news.
//!
//! Called after the commit, best effort: a device that misses a call asks again by itself. Postgres' NOTIFY
//! is not used, as it takes a global lock at every commit.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::watch;
use uuid::Uuid;

/// The newest number of each programme that someone waits for.
#[derive(Debug, Default)]
pub struct Feed {
    heads: Mutex<HashMap<Uuid, watch::Sender<u64>>>,
}

impl Feed {
    /// Says that a programme has reached a number.
    pub fn publish(&self, programme: Uuid, seq: u64) {
        let mut heads = self.lock();
        if let Some(sender) = heads.get(&programme) {
            sender.send_if_modified(|head| std::mem::replace(head, seq.max(*head)) < seq);
            if sender.is_closed() {
                heads.remove(&programme);
            }
        }
    }

    /// Returns a receiver that changes when the programme has news.
    pub fn subscribe(&self, programme: Uuid) -> watch::Receiver<u64> {
        self.lock().entry(programme).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, watch::Sender<u64>>> {
        // Nothing panics while the lock is held; if it did, the map would still be whole.
        self.heads.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
