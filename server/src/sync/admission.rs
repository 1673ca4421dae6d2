//! The door for phones: how many come in at once, in which order, and when the others come back.
//!
//! [`rules`] decides; this file holds the decisions, wakes those whose turn it is, and counts.

mod lane;
mod pace;
mod rules;

#[cfg(test)]
mod herd;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ops::metrics::SyncSignals;
use crate::world::SharedWorld;
use rules::{Arrival, Limits, Rules};

pub use rules::Visitor;

/// A device of which nothing is known is sent away for at least this long, and at most twice as long.
const UNKNOWN_MS: u64 = 4_000;

/// A request that was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComeBack {
    /// When the device may come back.
    pub after_ms: u64,
    /// Why, as the metric `sync_refusals_total` says it.
    pub reason: &'static str,
}

/// The door. One for all requests of a server.
pub struct Door {
    state: Mutex<State>,
    world: SharedWorld,
    signals: Arc<SyncSignals>,
    patience: Duration,
}

struct State {
    rules: Rules,
    /// Those who wait for their turn, to be woken.
    bells: HashMap<u64, oneshot::Sender<()>>,
}

/// A request that was let in. Dropped, it has left, wherever it was.
pub struct Visit {
    door: Arc<Door>,
    number: u64,
    visitor: Visitor,
    began_ms: Option<i64>,
}

impl Door {
    /// Returns a door through which `at_once` requests are worked on and at most `inside` are read or wait, none
    /// of them longer than `patience`.
    pub fn new(
        at_once: usize,
        inside: usize,
        patience: Duration,
        world: SharedWorld,
        signals: Arc<SyncSignals>,
    ) -> Arc<Self> {
        // Half, so that who is let in is served, even if the pace halves.
        let limits = Limits { at_once, inside, wait_ms: patience.as_secs_f64() * 500.0 };
        let state = Mutex::new(State { rules: Rules::new(limits), bells: HashMap::new() });
        Arc::new(Self { state, world, signals, patience })
    }

    /// Lets a request in, to be read, or says when to come back.
    pub fn enter(self: &Arc<Self>, visitor: Visitor) -> Result<Visit, ComeBack> {
        let arrival = self.locked(|state| state.rules.arrive(visitor, self.now_ms()));
        match arrival {
            Arrival::Enter(number) => Ok(self.visit(number, visitor)),
            Arrival::Full => Err(self.send_away(visitor, "queue")),
            Arrival::Twice => Err(self.send_away(visitor, "device")),
        }
    }

    /// Says when a device comes back that cannot be served now.
    pub fn send_away(&self, visitor: Visitor, reason: &'static str) -> ComeBack {
        let (dice, now_ms) = (self.dice(), self.now_ms());
        let after_ms = self.locked(|state| state.rules.after_ms(visitor, now_ms, dice));
        tracing::debug!(device = %visitor.device, programme = %visitor.programme, reason, after_ms, "told to come back");
        self.told(ComeBack { after_ms, reason })
    }

    /// Says when a device comes back of which not even the programme is known: at a random time.
    pub fn spread(&self, reason: &'static str) -> ComeBack {
        let after_ms = UNKNOWN_MS + self.dice() % UNKNOWN_MS;
        self.told(ComeBack { after_ms, reason })
    }

    fn dice(&self) -> u64 {
        let mut dice = [0; 8];
        self.world.fill_random(&mut dice);
        u64::from_le_bytes(dice)
    }

    fn told(&self, told: ComeBack) -> ComeBack {
        self.signals.refusals.with_label_values(&[told.reason]).inc();
        self.signals.retry_after.observe(told.after_ms as f64 / 1_000.0);
        told
    }

    /// Returns a turn for a request that was in before and gave its turn up. It is not sent away.
    pub async fn turn(self: &Arc<Self>, visitor: Visitor) -> Visit {
        let number = self.locked(|state| state.rules.enter(visitor));
        let mut visit = self.visit(number, visitor);
        visit.wait().await;
        visit
    }

    fn visit(self: &Arc<Self>, number: u64, visitor: Visitor) -> Visit {
        Visit { door: self.clone(), number, visitor, began_ms: None }
    }

    fn now_ms(&self) -> i64 {
        self.world.now().0
    }

    /// Changes the state, and wakes those whose turn it has become.
    fn locked<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let outcome = change(&mut state);
        while let Some(next) = state.rules.next() {
            // Whoever has gone away in the meantime leaves by its own drop.
            if let Some(bell) = state.bells.remove(&next) {
                let _ = bell.send(());
            }
        }
        self.signals.queue_requests.set(state.rules.inside() as i64);
        outcome
    }

    /// Nothing panics while the lock is held; if it did, the counts would still be whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Waits for the turn, as long as the door has patience.
    pub async fn begin(&mut self) -> Result<(), ComeBack> {
        let patience = self.door.patience;
        let is_in_time = tokio::time::timeout(patience, self.wait()).await.is_ok();
        // The turn may have come in the instant in which the patience ended.
        if !is_in_time && self.door.lock().bells.remove(&self.number).is_some() {
            return Err(self.door.send_away(self.visitor, "patience"));
        }
        self.began_ms = Some(self.door.now_ms());
        Ok(())
    }

    async fn wait(&mut self) {
        let (bell, rung) = oneshot::channel();
        let waited = self.door.signals.queue_wait.start_timer();
        self.door.locked(|state| {
            state.bells.insert(self.number, bell);
            state.rules.wait(self.number);
        });
        // The bell is dropped only with the visit itself.
        let _ = rung.await;
        waited.observe_duration();
        self.began_ms = Some(self.door.now_ms());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let held_ms = self.began_ms.map_or(0, |began_ms| self.door.now_ms() - began_ms);
        self.door.locked(|state| {
            state.bells.remove(&self.number);
            state.rules.end(self.number, held_ms as f64);
        });
    }
}
