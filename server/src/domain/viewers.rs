//! Keeps viewers between requests, for as long as their programme has not changed at all.
//!
//! Users and grants are rows of the log like everything else: while the programme's number stands still, no
//! permission has changed. An idle sync therefore reads no table but the head of the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::viewer::Viewer;
use crate::store::{LogSnapshot, StoreError};

/// The most viewers kept; beyond, all are forgotten and read again.
const MAX_VIEWERS: usize = 10_000;

/// Viewers by user, each with the number of the programme at which it was read.
#[derive(Debug, Default)]
pub struct Viewers {
    kept: Mutex<HashMap<Uuid, (u64, Arc<Viewer>)>>,
}

impl Viewers {
    /// Returns the viewer as of a snapshot, read from it when it is not known; `None` for a user who may no longer
    /// sign in.
    pub async fn at(
        &self,
        snapshot: &mut impl LogSnapshot,
        programme: Uuid,
        user: Uuid,
    ) -> Result<Option<Arc<Viewer>>, StoreError> {
        let head = snapshot.head().seq;
        if let Some((at, viewer)) = self.lock().get(&user)
            && *at == head
            && viewer.programme_id == programme
        {
            return Ok(Some(viewer.clone()));
        }
        let Some(viewer) = snapshot.viewer(programme, user).await? else { return Ok(None) };
        let viewer = Arc::new(viewer);
        let mut kept = self.lock();
        if kept.len() >= MAX_VIEWERS {
            kept.clear();
        }
        kept.insert(user, (head, viewer.clone()));
        Ok(Some(viewer))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (u64, Arc<Viewer>)>> {
        // Nothing panics while the lock is held; if it did, the map would still be whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
