//! The devices of one programme: those in the queue, and those that were told when to come back.

use std::collections::{BTreeMap, HashMap, VecDeque};

use uuid::Uuid;

/// Who was told to come back and is this late does not come back.
const FORGET_AFTER_MS: i64 = 60_000;

/// The devices of one programme.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Visits that wait for their turn, the oldest first.
    pub(super) waiting: VecDeque<u64>,
    /// Visits that are read or wait.
    pub(super) inside: usize,
    /// The devices that were told to come back.
    pub(super) told: Told,
}

impl Lane {
    /// Returns whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.inside == 0 && self.told.tickets.is_empty()
    }
}

/// The devices that were told to come back: a queue without bodies. Each keeps its place until it is served.
#[derive(Debug, Default)]
pub(super) struct Told {
    tickets: HashMap<Uuid, Ticket>,
    /// The same by number, the oldest first.
    order: BTreeMap<u64, Uuid>,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    number: u64,
    due_ms: i64,
}

impl Told {
    /// Forgets those who did not come back.
    pub(super) fn forget_missing(&mut self, now_ms: i64) {
        while let Some((number, device)) = self.order.first_key_value().map(|(number, device)| (*number, *device)) {
            let due_ms = self.tickets.get(&device).map_or(i64::MIN, |ticket| ticket.due_ms);
            if now_ms.saturating_sub(due_ms) <= FORGET_AFTER_MS {
                return;
            }
            self.order.remove(&number);
            self.tickets.remove(&device);
        }
    }

    /// Gives a device the last place unless it has one.
    pub(super) fn add(&mut self, device: Uuid) {
        if !self.tickets.contains_key(&device) {
            self.last += 1;
            self.order.insert(self.last, device);
            self.tickets.insert(device, Ticket { number: self.last, due_ms: i64::MAX });
        }
    }

    /// Returns how many others come before a device; one that was not sent away comes after all who were.
    pub(super) fn ahead_of(&self, device: Uuid) -> usize {
        let Some(ticket) = self.tickets.get(&device) else { return self.tickets.len() };
        // Those who were served left gaps between the numbers, which are taken as evenly spread.
        let first = self.order.first_key_value().map_or(ticket.number, |(first, _)| *first);
        let span = (self.last - first + 1) as f64;
        ((ticket.number - first) as f64 * self.tickets.len() as f64 / span) as usize
    }

    /// Notes when a device was told to come back.
    pub(super) fn note(&mut self, device: Uuid, due_ms: i64) {
        if let Some(ticket) = self.tickets.get_mut(&device) {
            ticket.due_ms = due_ms;
        }
    }

    /// Gives up the place of a device that was let in.
    pub(super) fn remove(&mut self, device: Uuid) {
        if let Some(ticket) = self.tickets.remove(&device) {
            self.order.remove(&ticket.number);
        }
    }
}
