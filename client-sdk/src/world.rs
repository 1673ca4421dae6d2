//! What the SDK may not take from its surroundings: the clocks and randomness. Both are injected, so that a
//! test decides them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rand::TryRngCore as _;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

/// The clocks and the source of randomness.
pub trait World: Send + Sync {
    /// Returns the current instant by the wall clock, which people may set wrongly.
    fn now(&self) -> Timestamp;

    /// Returns the milliseconds since some start, which no change of the wall clock moves.
    fn uptime_ms(&self) -> u64;

    /// Fills `bytes` with unpredictable bytes.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Returns a new row identifier: a version 7 UUID.
    fn new_id(&self) -> Uuid {
        let mut random = [0; 10];
        self.fill_random(&mut random);
        uuid::Builder::from_unix_timestamp_millis(self.now().0.max(0) as u64, &random).into_uuid()
    }

    /// Returns a number below `limit`, 0 when `limit` is 0.
    fn random_below(&self, limit: u64) -> u64 {
        let mut random = [0; 8];
        self.fill_random(&mut random);
        u64::from_be_bytes(random).checked_rem(limit).unwrap_or(0)
    }
}

/// A world shared by every part of the SDK.
pub type SharedWorld = Arc<dyn World>;

/// The real clocks and the operating system's randomness.
#[derive(Debug)]
pub struct SystemWorld {
    started: Instant,
}

impl SystemWorld {
    /// Returns the world, whose uptime starts now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl World for SystemWorld {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since_epoch.as_millis() as i64)
    }

    fn uptime_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        // Without randomness no identifier may be made, and there is no way to go on.
        rand::rngs::OsRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}

/// A clock that a test sets, and a counted sequence for randomness.
#[derive(Debug)]
pub struct FixedWorld {
    start_ms: i64,
    now_ms: AtomicI64,
    counter: AtomicU64,
}

impl FixedWorld {
    /// Returns a world in which it is `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { start_ms: now.0, now_ms: AtomicI64::new(now.0), counter: AtomicU64::new(0) }
    }

    /// Moves both clocks.
    pub fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl World for FixedWorld {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(Ordering::SeqCst))
    }

    fn uptime_ms(&self) -> u64 {
        (self.now_ms.load(Ordering::SeqCst) - self.start_ms).max(0) as u64
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        use sha2::{Digest as _, Sha256};
        for chunk in bytes.chunks_mut(32) {
            let block = Sha256::digest(self.counter.fetch_add(1, Ordering::SeqCst).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}
