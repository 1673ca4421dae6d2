//! The network of a history: what becomes of each message, drawn message by message.

use std::ops::Range;

use bytes::Bytes;
use client_sdk::sync::Failure;
use sync_protocol::frame::HEADER_BYTES;

use super::dice::Dice;
use super::knobs::Knobs;
use super::plan::Way;
use super::tally::{Met, Tally};

const SECOND_MS: i64 = 1_000;
/// When a phone learns that nobody answers, as in the SDK's settings.
const TIMEOUT_MS: i64 = 60 * SECOND_MS;

/// What a message takes at most where nothing is wrong.
pub const LATENCY_MS: i64 = 2 * SECOND_MS;
/// A copy of a request is late after this.
const LATE_MS: i64 = 600 * SECOND_MS;

/// What becomes of a request.
#[derive(Debug)]
pub struct Sending {
    /// When it arrives, if it does.
    pub arrives_after_ms: Option<i64>,
    /// When a copy of it arrives.
    pub copy_after_ms: Option<i64>,
    /// What the phone is told without the server, and when.
    pub failure: Option<(i64, Failure)>,
}

/// A part of a reply on its way.
#[derive(Debug)]
pub struct Part {
    /// When it arrives.
    pub after_ms: i64,
    /// The bytes.
    pub bytes: Bytes,
}

/// What becomes of a reply.
#[derive(Debug)]
pub struct Reply {
    /// The parts that arrive.
    pub parts: Vec<Part>,
    /// When it ends, and how: with a failure when it breaks off.
    pub end: (i64, Option<Failure>),
}

/// The network.
#[derive(Debug)]
pub struct Network {
    knobs: Knobs,
    dice: Dice,
    /// For each phone, which way does not work until when.
    cuts: Vec<Vec<(Way, i64)>>,
    is_healed: bool,
    /// What messages have met.
    pub tally: Tally,
}

impl Network {
    /// Returns a network with the faults of a history.
    pub fn new(knobs: Knobs, dice: Dice, phones: usize) -> Self {
        Self { knobs, dice, cuts: vec![Vec::new(); phones], is_healed: false, tally: Tally::default() }
    }

    /// Takes all faults away for good.
    pub fn heal(&mut self) {
        self.is_healed = true;
        self.knobs = Knobs::default();
    }

    /// Cuts the network of a phone until a time.
    pub fn cut(&mut self, phone: usize, way: Way, until_ms: i64) {
        self.cuts[phone].push((way, until_ms));
    }

    fn is_cut(&self, phone: usize, way: Way, now_ms: i64) -> bool {
        let is_cut = |cut: &(Way, i64)| cut.1 > now_ms && (cut.0 == way || cut.0 == Way::Both);
        !self.is_healed && self.cuts[phone].iter().any(is_cut)
    }

    /// Draws what becomes of a request.
    pub fn request(&mut self, phone: usize, now_ms: i64, wait_ms: u32) -> Sending {
        let knobs = self.knobs;
        let latency_ms = self.latency();
        let lost = self.dice.per_mille(knobs.loss);
        let is_cut = self.is_cut(phone, Way::Up, now_ms);
        let is_lost = lost || is_cut;
        let copy_after_ms = self.dice.per_mille(knobs.duplicates).then(|| self.copy_after());
        let strange = self.dice.per_mille(knobs.portal);
        let busy = self.dice.per_mille(knobs.busy);
        let timeout = TIMEOUT_MS.max(2 * i64::from(wait_ms));
        let failure = if strange {
            Some((latency_ms, Failure::NotOurServer("text/html".to_owned())))
        } else if busy {
            Some((latency_ms, Failure::Busy { after_ms: self.dice.between(500, 20_000) as u64 }))
        } else if is_lost {
            Some((timeout, offline()))
        } else {
            None
        };
        let arrives_after_ms = failure.is_none().then_some(latency_ms);
        let copy_after_ms = copy_after_ms.filter(|_| !is_cut && !strange && !busy);
        self.tally.count_if(strange, Met::Portal);
        self.tally.count_if(busy && !strange, Met::Busy);
        self.tally.count_if(lost && !strange && !busy, Met::LostRequest);
        self.tally.count_if(is_cut && !strange && !busy, Met::CutUp);
        self.tally.count_if(copy_after_ms.is_some_and(|ms| ms < LATE_MS), Met::Duplicate);
        self.tally.count_if(copy_after_ms.is_some_and(|ms| ms >= LATE_MS), Met::LateDuplicate);
        Sending { arrives_after_ms, copy_after_ms, failure }
    }

    /// Draws what becomes of a reply to a request that let the server wait for `wait_ms`.
    pub fn reply(&mut self, phone: usize, now_ms: i64, wait_ms: u32, chunks: Vec<Bytes>, is_whole: bool) -> Reply {
        let timeout = TIMEOUT_MS.max(2 * i64::from(wait_ms));
        let (is_lost, is_cut) = (self.dice.per_mille(self.knobs.loss), self.is_cut(phone, Way::Down, now_ms));
        self.tally.count_if(is_lost, Met::LostReply);
        self.tally.count_if(is_cut, Met::CutDown);
        if is_lost || is_cut {
            return Reply { parts: Vec::new(), end: (timeout, Some(offline())) };
        }
        let breaks_at = self.dice.per_mille(self.knobs.truncation).then(|| self.place(&chunks) / 8);
        let flips_at = self.dice.per_mille(self.knobs.flips).then(|| self.place(&chunks));
        self.tally.count_if(flips_at.is_some(), Met::Flipped);
        let mut after_ms = self.latency();
        let mut parts = Vec::new();
        let mut seen = 0;
        for chunk in chunks {
            let mut bytes = chunk.to_vec();
            if let Some(bit) = flips_at.filter(|bit| (seen * 8..(seen + bytes.len()) * 8).contains(bit)) {
                bytes[bit / 8 - seen] ^= 1 << (bit % 8);
            }
            seen += bytes.len();
            if let Some(at) = breaks_at.filter(|at| *at < seen) {
                bytes.truncate(bytes.len().saturating_sub(seen - at));
                parts.push(Part { after_ms, bytes: bytes.into() });
                self.tally.count(Met::Truncated);
                return Reply { parts, end: (after_ms + 1, Some(offline())) };
            }
            parts.push(Part { after_ms, bytes: bytes.into() });
            // A sound connection does not wait between two pages, of which one may hold a single row.
            after_ms += self.dice.between(0, 300) / if self.is_healed { 10 } else { 1 };
        }
        Reply { parts, end: (after_ms + 1, (!is_whole).then(offline)) }
    }

    /// Draws a bit of a reply, by the frame and then the part of it: what a clock says is not as long everywhere, and
    /// the same fault must hit the same message.
    fn place(&mut self, chunks: &[Bytes]) -> usize {
        let mut dice = Dice::new(self.dice.bits());
        let frames = frames(&chunks.concat());
        let Some(frame) = dice.pick(&frames) else { return 0 };
        let payload_bytes = frame.len().saturating_sub(HEADER_BYTES);
        let within = match dice.per_mille(200) {
            true => dice.below(HEADER_BYTES),
            false => HEADER_BYTES + payload_bytes * dice.below(1_000) / 1_000,
        };
        (frame.start + within.min(frame.len() - 1)) * 8 + dice.below(8)
    }

    fn latency(&mut self) -> i64 {
        if self.is_healed {
            return self.dice.between(10, 200);
        }
        let latency_ms = self.dice.between(10, LATENCY_MS + self.knobs.reorder_ms);
        self.tally.count_if(latency_ms > LATENCY_MS, Met::Overtaken);
        latency_ms
    }

    fn copy_after(&mut self) -> i64 {
        if self.knobs.late_duplicates && self.dice.per_mille(300) {
            self.dice.between(LATE_MS, 8 * 3_600 * SECOND_MS)
        } else {
            self.dice.between(10, 20 * SECOND_MS)
        }
    }
}

/// Returns where the frames of a reply are.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(|| {
        let length = bytes.get(start..start + 4)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let frame = start..(start + HEADER_BYTES + length).min(bytes.len());
        start = frame.end;
        Some(frame)
    })
    .collect()
}

fn offline() -> Failure {
    Failure::Offline("the connection broke".to_owned())
}
