//! How much a request carries, and when it counts as forgotten: what the network of the last minutes allows.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::store::REQUEST_BYTES;

/// The least that a request carries, before compression: a few seconds of the slowest network.
const LEAST_BYTES: usize = 32 << 10;
/// What the first request of a network that is not known carries at most: minutes of the slowest one.
const START_BYTES: usize = 2 << 20;
/// A request that was answered within this time may be followed by a larger one.
const QUICK_MS: u64 = 5_000;
/// A request that took longer is followed by a smaller one. The server waits five minutes for it, and what a broken
/// network undoes should be little.
const SLOW_MS: u64 = 60_000;
/// A request of which nothing was heard for so long is given up when the network comes back: it went out through
/// one that is gone.
const SILENT_MS: u64 = 5_000;

/// The pace of a syncer. It outlives a sync, so that the next one does not fail by the same size.
#[derive(Debug)]
pub(super) struct Pace {
    budget_bytes: AtomicUsize,
    /// The uptime of the last sign of the server, or of the start of the request.
    heard_ms: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { budget_bytes: AtomicUsize::new(START_BYTES), heard_ms: AtomicU64::new(0) }
    }

    /// Returns how many bytes of changes the next request carries, before compression.
    pub(super) fn budget_bytes(&self) -> usize {
        self.budget_bytes.load(Ordering::Relaxed)
    }

    /// A request did not get through: the next one is half as large. One that is too large for its network would
    /// otherwise fail for ever, and bring nothing over.
    pub(super) fn failed(&self) {
        self.shrink();
    }

    /// A request got through after `took_ms`.
    pub(super) fn succeeded(&self, took_ms: u64) {
        match took_ms {
            0..=QUICK_MS => self.budget_bytes.store((self.budget_bytes() * 2).min(REQUEST_BYTES), Ordering::Relaxed),
            SLOW_MS.. => self.shrink(),
            _ => {}
        }
    }

    fn shrink(&self) {
        self.budget_bytes.store((self.budget_bytes() / 2).max(LEAST_BYTES), Ordering::Relaxed);
    }

    /// A request was started, or something of its answer arrived.
    pub(super) fn heard(&self, uptime_ms: u64) {
        self.heard_ms.store(uptime_ms, Ordering::Relaxed);
    }

    /// Returns when nothing will have been heard for so long that the network may have forgotten the request.
    pub(super) fn silent_in_ms(&self, uptime_ms: u64) -> u64 {
        SILENT_MS.saturating_sub(uptime_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// Whether something was heard after a time.
    pub(super) fn has_heard_since(&self, uptime_ms: u64) -> bool {
        self.heard_ms.load(Ordering::Relaxed) > uptime_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shrinks_with_failures_and_grows_again() {
        let pace = Pace::new();
        assert_eq!(pace.budget_bytes(), START_BYTES);
        (0..3).for_each(|_| pace.failed());
        assert_eq!(pace.budget_bytes(), START_BYTES / 8);
        (0..20).for_each(|_| pace.failed());
        assert_eq!(pace.budget_bytes(), LEAST_BYTES);
        (0..20).for_each(|_| pace.succeeded(QUICK_MS));
        assert_eq!(pace.budget_bytes(), REQUEST_BYTES);
    }

    #[test]
    fn a_slow_network_gets_smaller_requests_although_they_get_through() {
        let pace = Pace::new();
        pace.succeeded(QUICK_MS + 1);
        pace.succeeded(SLOW_MS - 1);
        assert_eq!(pace.budget_bytes(), START_BYTES);
        pace.succeeded(SLOW_MS);
        assert_eq!(pace.budget_bytes(), START_BYTES / 2);
    }

    #[test]
    fn a_request_is_silent_only_some_time_after_the_last_sign() {
        let pace = Pace::new();
        pace.heard(10_000);
        assert_eq!(pace.silent_in_ms(10_000 + SILENT_MS - 1), 1);
        assert_eq!(pace.silent_in_ms(10_000 + SILENT_MS), 0);
        pace.heard(16_000);
        assert_eq!(pace.silent_in_ms(16_001), SILENT_MS - 1);
        assert!(pace.has_heard_since(15_999) && !pace.has_heard_since(16_000));
    }
}
