//! The last answers of `authenticate`, for seconds, so that a busy client does not cost a statement per request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sync_protocol::time::Timestamp;

use super::Identity;
use super::token::TokenHash;

/// A bounded map from access token to identity. Only successes are remembered.
pub(super) struct IdentityCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<TokenHash, Entry>,
    evictions: u64,
}

struct Entry {
    identity: Identity,
    from: Timestamp,
    until: Timestamp,
}

/// The point at which a caller began to ask the database.
#[derive(Clone, Copy)]
pub(super) struct Asked(u64);

impl IdentityCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Returns the remembered identity, or when the caller began to ask for it.
    pub(super) fn get(&self, hash: &TokenHash, now: Timestamp) -> Result<Identity, Asked> {
        let state = self.lock();
        match state.entries.get(hash) {
            // A clock that was set back must not prolong anything.
            Some(entry) if (entry.from..entry.until).contains(&now) => Ok(entry.identity.clone()),
            _ => Err(Asked(state.evictions)),
        }
    }

    /// Remembers an identity, unless something was revoked since the caller asked: its answer may be older.
    pub(super) fn put(&self, asked: Asked, hash: TokenHash, identity: Identity, from: Timestamp, until: Timestamp) {
        let mut state = self.lock();
        if state.evictions != asked.0 || self.capacity == 0 {
            return;
        }
        if state.entries.len() >= self.capacity {
            state.entries.retain(|_, entry| entry.until > from);
        }
        if state.entries.len() >= self.capacity {
            state.entries.clear();
        }
        state.entries.insert(hash, Entry { identity, from, until });
    }

    /// Forgets the identities that `is_revoked` picks.
    pub(super) fn evict(&self, is_revoked: impl Fn(&Identity) -> bool) {
        let mut state = self.lock();
        state.evictions += 1;
        state.entries.retain(|_, entry| !is_revoked(&entry.identity));
    }

    /// A panic elsewhere cannot leave the map half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn identity(session: u128) -> Identity {
        let id = Uuid::from_u128(session);
        Identity { user_id: id, programme_id: id, device_id: None, session_id: id }
    }

    fn put(cache: &IdentityCache, at: u8, until: i64) {
        let Err(asked) = cache.get(&[at; 32], Timestamp(0)) else { panic!("already remembered") };
        cache.put(asked, [at; 32], identity(at.into()), Timestamp(0), Timestamp(until));
    }

    #[test]
    fn an_answer_from_before_a_revocation_is_not_remembered() {
        let cache = IdentityCache::new(10);
        let Err(asked) = cache.get(&[1; 32], Timestamp(0)) else { panic!("nothing is remembered") };
        cache.evict(|_| false);
        cache.put(asked, [1; 32], identity(1), Timestamp(0), Timestamp(100));
        assert!(cache.get(&[1; 32], Timestamp(1)).is_err());
    }

    #[test]
    fn the_cache_stays_within_its_capacity_and_drops_the_expired_first() {
        let cache = IdentityCache::new(2);
        put(&cache, 1, -1);
        put(&cache, 2, 100);
        put(&cache, 3, 100);
        assert!(cache.get(&[2; 32], Timestamp(1)).is_ok() && cache.get(&[3; 32], Timestamp(1)).is_ok());
        put(&cache, 4, 100);
        assert_eq!(cache.lock().entries.len(), 1);
    }

    #[test]
    fn a_clock_set_back_prolongs_nothing() {
        let cache = IdentityCache::new(2);
        put(&cache, 1, 100);
        assert!(cache.get(&[1; 32], Timestamp(100)).is_err());
        assert!(cache.get(&[1; 32], Timestamp(-1)).is_err());
    }
}
