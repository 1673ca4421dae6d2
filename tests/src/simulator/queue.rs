//! What is going to happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use client_sdk::sync::machine::Event;
use sync_protocol::time::Timestamp;

/// Something that is going to happen.
#[derive(Debug)]
pub enum Coming {
    /// The step of the plan with this number.
    Step(usize),
    /// A request arrives at the server. A copy has no reply.
    Arrival { phone: usize, request: Option<u64>, body: Bytes, wait_ms: u32 },
    /// A connected phone has waited long enough for news.
    WaitIsOver { phone: usize, request: u64 },
    /// A part of a reply arrives at a phone.
    Part { phone: usize, request: u64, bytes: Bytes },
    /// A reply is over.
    End { phone: usize, request: u64, event: Event },
    /// The time that a phone asked for has passed.
    Timer { phone: usize, timer: u64 },
    /// New tokens, or none.
    Tokens { phone: usize, request: u64 },
    /// A phone is switched on.
    Start { phone: usize },
    /// Nothing may have been heard of a request since then, although someone woke the application.
    Silence { phone: usize, request: u64, heard: Option<Timestamp> },
    /// The sync of a phone is started anew after its files failed.
    Resume { phone: usize },
    /// The person has put the phone away for a while.
    Sleep { phone: usize, since: u64 },
    /// A transaction of the office commits, under the number that it took before, if it did.
    SlowCommit { programme: usize, number: Option<u64>, salt: u64 },
    /// The disk of a phone works again.
    DiskHeals { phone: usize, is_full: bool },
}

#[derive(Debug)]
struct Entry {
    at_ms: i64,
    /// The order in which things of one instant were added.
    order: u64,
    coming: Coming,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.order) == (other.at_ms, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.order).cmp(&(other.at_ms, other.order))
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Queue {
    /// Adds something at a time.
    pub fn push(&mut self, at_ms: i64, coming: Coming) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at_ms, order: self.order, coming }));
    }

    /// Takes what comes next, unless it comes after `until_ms`.
    pub fn pop(&mut self, until_ms: i64) -> Option<(i64, Coming)> {
        if self.heap.peek().is_none_or(|next| next.0.at_ms > until_ms) {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at_ms, entry.coming))
    }
}
