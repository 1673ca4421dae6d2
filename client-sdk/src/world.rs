//! What the SDK may not take from its surroundings: the clocks and randomness. Both are injected, so that a
//! test decides them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::TryRngCore as _;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

/// The clocks and the source of randomness.
pub trait World: Send + Sync {
    /// Returns the current instant by the wall clock, which people may set wrongly.
    fn now(&self) -> Timestamp;

    /// Returns the milliseconds since the device was started, time asleep included, which no change of the wall clock
    /// moves. They tell how long ago work was done whose wall clock cannot be believed.
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
#[derive(Debug, Default)]
pub struct SystemWorld;

impl SystemWorld {
    /// Returns the world.
    pub fn new() -> Self {
        Self
    }
}

/// The clock that counts from the start of the device.
#[cfg(unix)]
fn since_boot() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::Boottime;
    // Elsewhere this one goes on while the device sleeps.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = ClockId::Monotonic;
    let since = clock_gettime(clock);
    Duration::new(since.tv_sec.max(0) as u64, since.tv_nsec as u32)
}

/// Where there is no such clock, it counts from its first use.
#[cfg(not(unix))]
fn since_boot() -> Duration {
    static STARTED: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    STARTED.elapsed()
}

impl World for SystemWorld {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since_epoch.as_millis() as i64)
    }

    fn uptime_ms(&self) -> u64 {
        since_boot().as_millis() as u64
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
