//! The time of a history, and the worlds that show it, rightly or wrongly, to the server and to the devices.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::dice::Dice;

/// When every history starts: 2026-03-02T08:00:00Z.
pub const START: Timestamp = Timestamp(1_772_438_400_000);

/// The true time, which only the history moves.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Returns a clock at [`START`].
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START.0)))
    }

    /// Returns the true time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    /// Moves the time forward; it never goes back.
    pub fn advance_to(&self, at: Timestamp) {
        self.0.fetch_max(at.0, Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The world of one device or of the server.
#[derive(Debug)]
pub struct SimWorld {
    clock: Clock,
    /// What the wall clock is wrong by.
    offset_ms: AtomicI64,
    /// When the device was switched on.
    booted_at_ms: AtomicI64,
    dice: Mutex<Dice>,
}

impl SimWorld {
    /// Returns a world whose clock is right.
    pub fn new(clock: &Clock, dice: Dice) -> Self {
        let (offset_ms, booted_at_ms) = (AtomicI64::new(0), AtomicI64::new(START.0));
        Self { clock: clock.clone(), offset_ms, booted_at_ms, dice: Mutex::new(dice) }
    }

    /// Sets what the wall clock is wrong by.
    pub fn set_offset_ms(&self, ms: i64) {
        self.offset_ms.store(ms, Ordering::Relaxed);
    }

    /// Notes when the device was switched on anew: its uptime starts there.
    pub fn boot_at(&self, at: Timestamp) {
        self.booted_at_ms.store(at.0, Ordering::Relaxed);
    }

    /// Returns the true time.
    pub fn true_now(&self) -> Timestamp {
        self.clock.now()
    }

    fn wall_clock(&self) -> Timestamp {
        self.clock.now().plus_ms(self.offset_ms.load(Ordering::Relaxed))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.dice.lock().expect("no history panics and goes on").fill(bytes);
    }

    /// Identifiers hold the true time: the same history with wrong clocks then has the same ones.
    fn id(&self) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(self.clock.now().0.max(0) as u64, &random).into_uuid()
    }
}

impl client_sdk::world::World for SimWorld {
    fn now(&self) -> Timestamp {
        self.wall_clock()
    }

    fn uptime_ms(&self) -> u64 {
        (self.clock.now().0 - self.booted_at_ms.load(Ordering::Relaxed)).max(0) as u64
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.fill(bytes);
    }

    fn new_id(&self) -> Uuid {
        self.id()
    }
}

impl server::world::World for SimWorld {
    fn now(&self) -> Timestamp {
        self.wall_clock()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.fill(bytes);
    }

    fn new_id(&self) -> Uuid {
        self.id()
    }
}
