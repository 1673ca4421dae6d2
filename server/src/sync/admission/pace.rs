//! How fast requests are served, learnt from those that were.

/// What is assumed before the first one. Too fast rather than too slow: who comes back too early is sent away
/// once more with a better figure, while a server that waits for its devices has wasted the time.
const FIRST_GUESS_MS: f64 = 5.0;
/// As many requests as the first guess counts for.
const GUESS_COUNTS: u64 = 128;
/// How much the newest request counts for the pace of the moment, and for the usual one. That it is faster than usual
/// is believed sooner than that it is slower, as soon as the moment tells so: a herd that is being sent away costs the
/// processors so much that who is served meanwhile takes twice as long, and whoever is told the pace of that moment
/// comes when the server has waited. Single requests differ too much to tell.
const MOMENT: f64 = 1.0 / 32.0;
const USUAL_FASTER: f64 = 1.0 / 256.0;
const USUAL_SLOWER: f64 = 1.0 / 16_384.0;
/// One device that receives much must not make the server look slow to thousands.
const LONGEST_MS: f64 = 1_000.0;

/// How long requests are worked on, on average.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    moment_ms: f64,
    usual_ms: f64,
    /// Requests, and what the first guess counts for.
    served: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { moment_ms: FIRST_GUESS_MS, usual_ms: FIRST_GUESS_MS, served: GUESS_COUNTS }
    }

    /// Learns that a request was worked on for so long.
    pub(super) fn served(&mut self, held_ms: f64) {
        let held_ms = held_ms.clamp(0.0, LONGEST_MS);
        self.moment_ms += (held_ms - self.moment_ms) * MOMENT;
        self.served += 1;
        let weight = if self.moment_ms < self.usual_ms { USUAL_FASTER } else { USUAL_SLOWER };
        self.usual_ms += (held_ms - self.usual_ms) * weight.max(1.0 / self.served as f64);
    }

    /// Returns how long it takes until the next request is done, with `at_once` under way. The faster of the two:
    /// a herd arrives when every connection is cold, and the server is slow only at first.
    pub(super) fn gap_ms(&self, at_once: usize) -> f64 {
        (self.moment_ms.min(self.usual_ms) / at_once.max(1) as f64).max(0.05)
    }

    /// The same, as slow as it may turn out.
    pub(super) fn longest_gap_ms(&self, at_once: usize) -> f64 {
        (self.moment_ms.max(self.usual_ms) / at_once.max(1) as f64).max(0.05)
    }
}
