//! One way of one connection: what is done to its bytes.

use std::time::Duration;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::Way;
use super::messages::Messages;
use super::toxic::Harm;

/// How a slow network cuts a second.
const PIECES_PER_S: u64 = 20;

/// What becomes of the connection after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Goes,
    /// Both sides see a reset.
    Reset,
    /// It ends as if everything had been said.
    Ends,
    /// This way ends; the other one stays open.
    HalfCloses,
}

/// One way of one connection.
pub(super) struct Line {
    way: Way,
    toxics: Vec<(Harm, ChaCha8Rng)>,
    messages: Messages,
    /// Bytes that have passed.
    passed: u64,
    /// The time of the last byte.
    last: Instant,
    /// Nothing arrives any more, and nobody is told.
    pub(super) is_lost: bool,
    /// The bytes of the request that is under way, and the whole ones that have passed since the last look.
    request: Vec<u8>,
    pub(super) requests: Vec<Vec<u8>>,
}

impl Line {
    pub(super) fn new(way: Way, toxics: Vec<(Harm, ChaCha8Rng)>) -> Self {
        let long_ago = Instant::now() - Duration::from_secs(3_600);
        let (messages, request, requests) = (Messages::default(), Vec::new(), Vec::new());
        Self { way, toxics, messages, passed: 0, last: long_ago, is_lost: false, request, requests }
    }

    /// How often every request is repeated.
    pub(super) fn replays(&self) -> u32 {
        self.toxics.iter().map(|(harm, _)| if let Harm::Replay { times } = harm { *times } else { 0 }).sum()
    }

    /// Passes bytes on, as far as the network does.
    pub(super) async fn pass(&mut self, bytes: &mut [u8], to: &mut (impl AsyncWrite + Unpin)) -> Verdict {
        let reply_is_whole = self.note(bytes);
        let (passes, verdict) = self.limit(bytes.len());
        if self.toxics.iter().any(|(harm, _)| *harm == Harm::SwallowReply) && self.way == Way::Down {
            return if reply_is_whole { Verdict::Reset } else { Verdict::Goes };
        }
        if !self.is_lost && !self.send(&bytes[..passes], to).await {
            return Verdict::Ends;
        }
        self.is_lost |= self.is_swallowed();
        verdict
    }

    /// Follows the messages, and damages what is to be damaged. Returns whether a message has ended.
    fn note(&mut self, bytes: &mut [u8]) -> bool {
        let mut is_whole = false;
        for byte in bytes {
            let place = self.messages.step(*byte);
            is_whole |= place.is_last;
            if self.way == Way::Up {
                self.request.push(*byte);
                if place.is_last {
                    self.requests.push(std::mem::take(&mut self.request));
                }
            }
            if place.is_body {
                self.damage(byte);
            }
        }
        is_whole
    }

    fn damage(&mut self, byte: &mut u8) {
        for (harm, random) in &mut self.toxics {
            if let Harm::Corrupt { way, per_byte } = harm
                && *way == self.way
                && random.random_bool(*per_byte)
            {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
    }

    /// Returns how many of the next bytes pass, and what comes after them.
    fn limit(&mut self, length: usize) -> (usize, Verdict) {
        let mut limit = (length, Verdict::Goes);
        for (harm, _) in &self.toxics {
            let (after_bytes, verdict) = match *harm {
                Harm::Reset { way, after_bytes } if way == self.way => (after_bytes, Verdict::Reset),
                Harm::HalfClose { way, after_bytes } if way == self.way => (after_bytes, Verdict::HalfCloses),
                Harm::TruncateReply { after_bytes } if self.way == Way::Down => (after_bytes, Verdict::Ends),
                Harm::Blackhole { way, after_bytes } if way == self.way => (after_bytes, Verdict::Goes),
                _ => continue,
            };
            let left = usize::try_from(after_bytes.saturating_sub(self.passed)).unwrap_or(usize::MAX);
            if left < limit.0 {
                limit = (left, verdict);
            }
        }
        self.passed += length as u64;
        limit
    }

    fn is_swallowed(&self) -> bool {
        let swallows = |harm: &Harm| matches!(harm, Harm::Blackhole { way, after_bytes } if *way == self.way && *after_bytes < self.passed);
        self.toxics.iter().any(|(harm, _)| swallows(harm))
    }

    /// Returns whether the bytes could be sent.
    async fn send(&mut self, bytes: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> bool {
        sleep(self.delay()).await;
        let (size, pause) = self.pieces(bytes.len());
        for piece in bytes.chunks(size.max(1)) {
            sleep(pause.mul_f64(piece.len() as f64 / size as f64) + self.stall()).await;
            if to.write_all(piece).await.is_err() {
                return false;
            }
        }
        self.last = Instant::now();
        true
    }

    /// The latency, where there was a silence: bytes that follow each other closely are on the way together.
    fn delay(&mut self) -> Duration {
        let silence = self.last.elapsed();
        let mut delay = Duration::ZERO;
        for (harm, random) in &mut self.toxics {
            if let Harm::Latency { mean_ms, jitter_ms } = *harm
                && silence > Duration::from_millis(mean_ms)
            {
                delay +=
                    Duration::from_millis(random.random_range(mean_ms.saturating_sub(jitter_ms)..=mean_ms + jitter_ms));
            }
        }
        delay
    }

    fn stall(&mut self) -> Duration {
        let mut stall = Duration::ZERO;
        for (harm, random) in &mut self.toxics {
            if let Harm::Stall { chance, ms } = *harm
                && random.random_bool(chance)
            {
                stall += Duration::from_millis(ms);
            }
        }
        stall
    }

    /// Returns how many bytes go at once, and how long that many take.
    fn pieces(&self, length: usize) -> (usize, Duration) {
        let mut pieces = (length.max(1), Duration::ZERO);
        for (harm, _) in &self.toxics {
            match *harm {
                Harm::Rate { bytes_per_s } => {
                    let size = (bytes_per_s / PIECES_PER_S).max(1);
                    pieces = (size as usize, Duration::from_secs_f64(size as f64 / bytes_per_s as f64));
                }
                Harm::Trickle { way, pause_ms } if way == self.way => return (1, Duration::from_millis(pause_ms)),
                _ => {}
            }
        }
        pieces
    }
}
