//! Accounts, devices and sessions: who is asking, and may they.
//!
//! Tokens are opaque: 32 random bytes that mean nothing outside the database, which knows only their SHA-256.
//! A revocation is therefore immediate, and there is no signing key to keep.

pub mod routes;

mod accounts;
mod cache;
mod error;
mod password;
mod rotation;
mod secret;
mod sessions;
mod sign_in;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use crate::store::Db;
use crate::world::SharedWorld;

pub use crate::store::accounts::device::{DeviceStatus, StatusChange};
pub use accounts::NewAccount;
pub use error::AuthError;
pub use password::PasswordCost;
pub use secret::Secret;
pub use sign_in::NewDevice;

use cache::IdentityCache;
use password::Passwords;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// How long tokens live and how hard passwords are to guess.
#[derive(Clone, Debug)]
pub struct AuthLimits {
    /// How long an access token is good for.
    pub access_ttl_ms: i64,
    /// How long a refresh token is good for when it is not used.
    pub refresh_idle_ms: i64,
    /// How long a session lasts at most, however often it is refreshed.
    pub session_max_ms: i64,
    /// How long an answer of [`AuthService::authenticate`] may be repeated without asking the database. The
    /// longest time for which a revocation by another process goes unnoticed.
    pub cache_ms: i64,
    /// How many answers are remembered.
    pub cache_entries: usize,
    /// How many wrong passwords lock an e-mail.
    pub failures_before_lock: i64,
    /// How long the first lock lasts. Each further failure doubles it.
    pub first_lock_ms: i64,
    /// How long a lock lasts at most.
    pub longest_lock_ms: i64,
    /// How long after the last one the failures are forgotten.
    pub forget_failures_after_ms: i64,
    /// What one password hash costs.
    pub password_cost: PasswordCost,
}

impl Default for AuthLimits {
    fn default() -> Self {
        Self {
            access_ttl_ms: 10 * MINUTE_MS,
            refresh_idle_ms: 90 * DAY_MS,
            session_max_ms: 180 * DAY_MS,
            cache_ms: 10_000,
            cache_entries: 10_000,
            failures_before_lock: 10,
            first_lock_ms: MINUTE_MS,
            longest_lock_ms: 60 * MINUTE_MS,
            forget_failures_after_ms: DAY_MS,
            password_cost: PasswordCost::default(),
        }
    }
}

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user_id: Uuid,
    pub programme_id: Uuid,
    /// The phone; `None` for a session of a browser or a tool.
    pub device_id: Option<Uuid>,
    pub session_id: Uuid,
}

/// What a successful sign-in or refresh gives.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub identity: Identity,
    /// Sent with every request.
    pub access_token: Secret,
    pub access_expires_at: Timestamp,
    /// Exchanged once for the next pair of tokens.
    pub refresh_token: Secret,
    pub refresh_expires_at: Timestamp,
}

/// Signs people in and says who sends a request. Cheap to clone; clones share the cache and the hashing queue.
#[derive(Clone)]
pub struct AuthService {
    /// For people in the office.
    db: Db,
    /// For phones: thousands that come back together must not keep the office from signing in.
    phones: Db,
    world: SharedWorld,
    limits: Arc<AuthLimits>,
    passwords: Passwords,
    cache: Arc<IdentityCache>,
}

impl AuthService {
    /// Returns a service over `db`.
    pub fn new(db: Db, world: SharedWorld, limits: AuthLimits) -> Self {
        let passwords = Passwords::new(limits.password_cost, world.clone());
        let cache = Arc::new(IdentityCache::new(limits.cache_entries));
        Self { phones: db.clone(), db, world, limits: Arc::new(limits), passwords, cache }
    }

    /// Returns the service with connections of their own for phones.
    #[must_use]
    pub fn phones_on(self, phones: Db) -> Self {
        Self { phones, ..self }
    }
}

impl std::fmt::Debug for AuthService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthService").field("db", &self.db).field("limits", &self.limits).finish_non_exhaustive()
    }
}
