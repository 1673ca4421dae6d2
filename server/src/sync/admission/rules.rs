//! Who may come in, whose turn it is, and when the others come back. Pure: time and dice are given.
//!
//! The queue is as long as can be served in a bounded time at the measured pace. Who finds it full gets a place in
//! a second queue, of devices that were sent away, and the time at which its turn comes: a herd spreads over just
//! the time that serving it takes, and nobody asks again and again. Programmes take turns, and none may fill the
//! queue alone. One device is worked on at a time.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use super::lane::Lane;
use super::pace::Pace;

/// Of what goes beyond this, a device is told half: by then the pace is known better.
const FAR_MS: f64 = 20_000.0;
/// Called back early, so that the queue does not run dry when the pace was taken for slower than it is. It holds
/// seconds of work: who comes too early waits there, and hardly anyone is sent away twice.
const EARLY: f64 = 0.65;
/// Devices come later than they are told, by half a second because the header has whole ones, and by another half
/// because each spreads itself over one. The queue holds those who come early, so that half of it is taken off.
const LATER_MS: f64 = 500.0;
/// Nobody is asked back before this.
const SOONEST_MS: f64 = 300.0;
/// Those whose turn is near do not come back all in the same instant.
const SPREAD_MS: u64 = 150;
/// Nobody is sent away for longer.
const LONGEST_MS: f64 = 900_000.0;
/// Requests of one device in the queue: one that its network lost, the one that follows, and the one that goes out
/// before that is answered.
const OF_ONE_DEVICE: u32 = 3;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The programme, which shares the server fairly with the others.
    pub programme: Uuid,
    /// The device.
    pub device: Uuid,
}

/// How many are let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Requests that are worked on at once.
    pub(super) at_once: usize,
    /// Requests that are read or wait, at most.
    pub(super) inside: usize,
    /// How long the last of the queue may have to wait.
    pub(super) wait_ms: f64,
}

/// What a request that arrives is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Arrival {
    /// Come in; the number of the visit.
    Enter(u64),
    /// The queue is full.
    Full,
    /// The device has requests in the queue already.
    Twice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Read,
    Waiting,
    Working,
}

#[derive(Clone, Copy, Debug)]
struct Visit {
    visitor: Visitor,
    stage: Stage,
}

/// The requests of one device.
#[derive(Clone, Copy, Debug, Default)]
struct OfDevice {
    inside: u32,
    is_working: bool,
}

/// The state of the door.
#[derive(Debug)]
pub(super) struct Rules {
    limits: Limits,
    pace: Pace,
    lanes: HashMap<Uuid, Lane>,
    /// Programmes with someone waiting; the first is next.
    round: VecDeque<Uuid>,
    visits: HashMap<u64, Visit>,
    devices: HashMap<Uuid, OfDevice>,
    inside: usize,
    working: usize,
    last_visit: u64,
}

impl Rules {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pace: Pace::new(),
            lanes: HashMap::new(),
            round: VecDeque::new(),
            visits: HashMap::new(),
            devices: HashMap::new(),
            inside: 0,
            working: 0,
            last_visit: 0,
        }
    }

    /// Returns how many are read or wait.
    pub(super) fn inside(&self) -> usize {
        self.inside
    }

    /// Lets a request in or not.
    pub(super) fn arrive(&mut self, visitor: Visitor, now_ms: i64) -> Arrival {
        let room = self.room();
        self.forget_missing(now_ms);
        let lane = self.lanes.entry(visitor.programme).or_default();
        // A quarter is left for other programmes.
        let share = room - room / 4;
        // The first half of the queue is for whoever is here; the other half keeps the order of those sent away.
        let counted = if lane.inside < share / 2 { 0 } else { lane.told.ahead_of(visitor.device) / 2 };
        if self.devices.get(&visitor.device).is_some_and(|of| of.inside >= OF_ONE_DEVICE) {
            return Arrival::Twice;
        }
        if self.inside >= room || lane.inside + counted >= share {
            return Arrival::Full;
        }
        lane.told.remove(visitor.device);
        Arrival::Enter(self.enter(visitor))
    }

    /// Lets a request in that was in before and has given up its turn.
    pub(super) fn enter(&mut self, visitor: Visitor) -> u64 {
        self.last_visit += 1;
        self.visits.insert(self.last_visit, Visit { visitor, stage: Stage::Read });
        self.lanes.entry(visitor.programme).or_default().inside += 1;
        self.devices.entry(visitor.device).or_default().inside += 1;
        self.inside += 1;
        self.last_visit
    }

    /// Says after which time a device that was not let in comes back. `dice` is a random number.
    pub(super) fn after_ms(&mut self, visitor: Visitor, now_ms: i64, dice: u64) -> u64 {
        let gap_ms = self.pace.gap_ms(self.limits.at_once) * self.busy_lanes() as f64;
        let lane = self.lanes.entry(visitor.programme).or_default();
        lane.told.add(visitor.device);
        let turn_ms = (lane.inside + lane.told.ahead_of(visitor.device)) as f64 * gap_ms;
        let told_ms = (turn_ms.min(FAR_MS) * EARLY + (turn_ms - FAR_MS).max(0.0) / 2.0) - LATER_MS;
        let spread_ms = (dice % SPREAD_MS) as f64;
        let after_ms = (told_ms.max(SOONEST_MS) + spread_ms).min(LONGEST_MS) as u64;
        lane.told.note(visitor.device, now_ms.saturating_add(after_ms as i64));
        after_ms
    }

    /// A request has been read and waits for its turn.
    pub(super) fn wait(&mut self, visit: u64) {
        let Some(found) = self.visits.get_mut(&visit) else { return };
        found.stage = Stage::Waiting;
        let programme = found.visitor.programme;
        let lane = self.lanes.entry(programme).or_default();
        if lane.waiting.is_empty() {
            self.round.push_back(programme);
        }
        lane.waiting.push_back(visit);
    }

    /// Returns the request whose turn it is now, if there is a free place.
    pub(super) fn next(&mut self) -> Option<u64> {
        if self.working >= self.limits.at_once {
            return None;
        }
        for _ in 0..self.round.len() {
            let programme = self.round.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&programme) else { continue };
            let is_free = |visit: &u64| {
                let device = self.visits.get(visit).map(|visit| visit.visitor.device);
                device.is_none_or(|device| !self.devices.get(&device).is_some_and(|of| of.is_working))
            };
            let chosen = lane.waiting.iter().position(is_free).and_then(|at| lane.waiting.remove(at));
            if !lane.waiting.is_empty() {
                self.round.push_back(programme);
            }
            if let Some(visit) = chosen {
                self.begin(visit);
                return Some(visit);
            }
        }
        None
    }

    fn begin(&mut self, visit: u64) {
        let Some(found) = self.visits.get_mut(&visit) else { return };
        found.stage = Stage::Working;
        self.devices.entry(found.visitor.device).or_default().is_working = true;
        self.working += 1;
        self.inside -= 1;
        if let Some(lane) = self.lanes.get_mut(&found.visitor.programme) {
            lane.inside -= 1;
        }
    }

    /// A request has ended, wherever it was; `held_ms` is how long it was worked on.
    pub(super) fn end(&mut self, visit: u64, held_ms: f64) {
        let Some(Visit { visitor, stage }) = self.visits.remove(&visit) else { return };
        let of_device = self.devices.entry(visitor.device).or_default();
        of_device.inside -= 1;
        if stage == Stage::Working {
            of_device.is_working = false;
            self.working -= 1;
            self.pace.served(held_ms);
        }
        if of_device.inside == 0 {
            self.devices.remove(&visitor.device);
        }
        self.leave_lane(visit, visitor.programme, stage);
    }

    fn leave_lane(&mut self, visit: u64, programme: Uuid, stage: Stage) {
        let Some(lane) = self.lanes.get_mut(&programme) else { return };
        if stage != Stage::Working {
            lane.inside -= 1;
            self.inside -= 1;
            lane.waiting.retain(|waiting| *waiting != visit);
        }
        if lane.waiting.is_empty() {
            self.round.retain(|waiting| *waiting != programme);
        }
        if lane.is_empty() {
            self.lanes.remove(&programme);
        }
    }

    fn forget_missing(&mut self, now_ms: i64) {
        self.lanes.values_mut().for_each(|lane| lane.told.forget_missing(now_ms));
        self.lanes.retain(|_, lane| !lane.is_empty());
    }

    /// Returns how many may be read or wait: what is served in time, and never fewer than keep everyone busy.
    fn room(&self) -> usize {
        let in_time = (self.limits.wait_ms / self.pace.longest_gap_ms(self.limits.at_once)) as usize;
        in_time.max(4 * self.limits.at_once).min(self.limits.inside.max(1))
    }

    /// Returns how many programmes share the server now.
    fn busy_lanes(&self) -> usize {
        self.lanes.values().filter(|lane| !lane.is_empty()).count().max(1)
    }
}
