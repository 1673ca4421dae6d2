//! A herd of ten thousand devices against the rules, on a clock that is only counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::rules::{Arrival, Limits, Rules, Visitor};

const AT_ONCE: usize = 6;
/// What it costs to send a device away, of a second of all processors: 2,000 a second leave about half of them for the
/// rest, as measured with a herd of ten thousand on two processors.
const COST_OF_REFUSAL: f64 = 0.000_22;
/// Over how long those who were sent away slow the others down.
const SLOW_US: u64 = 200_000;
const LIMITS: Limits = Limits { at_once: AT_ONCE, inside: 4_096, wait_ms: 5_000.0 };

/// What happens, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    Served { device: usize, visit: u64, held_us: u64 },
}

/// What became of a device.
#[derive(Clone, Copy, Debug, Default)]
struct Story {
    arrived_us: u64,
    served_us: Option<u64>,
    refusals: u32,
}

struct Herd {
    rules: Rules,
    dice: ChaCha8Rng,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    devices: Vec<(Visitor, Story)>,
    at_door: HashMap<u64, usize>,
    /// How long a request is worked on, on average, by when.
    held_ms: fn(u64) -> f64,
    cost_of_refusal: f64,
    refused_at_us: VecDeque<u64>,
    work_us: u64,
    now_us: u64,
}

impl Herd {
    fn new(seed: u64, held_ms: fn(u64) -> f64) -> Self {
        Self {
            rules: Rules::new(LIMITS),
            dice: ChaCha8Rng::seed_from_u64(seed),
            events: BinaryHeap::new(),
            devices: Vec::new(),
            at_door: HashMap::new(),
            held_ms,
            cost_of_refusal: 0.0,
            refused_at_us: VecDeque::new(),
            work_us: 0,
            now_us: 0,
        }
    }

    /// Lets `count` devices of a programme arrive within a time that starts at `from_us`.
    fn arrive(&mut self, programme: u128, count: usize, from_us: u64, within_us: u64) {
        for _ in 0..count {
            let number = self.devices.len();
            let at_us = from_us + self.dice.random_range(0..within_us);
            let visitor = Visitor { programme: Uuid::from_u128(programme), device: Uuid::from_u128(number as u128) };
            self.devices.push((visitor, Story { arrived_us: at_us, ..Story::default() }));
            self.events.push(Reverse((at_us, Event::Arrives(number))));
        }
    }

    fn run(&mut self) {
        while let Some(Reverse((at_us, event))) = self.events.pop() {
            self.now_us = at_us;
            match event {
                Event::Arrives(device) => self.arrives(device),
                Event::Served { device, visit, held_us } => {
                    self.devices[device].1.served_us = Some(at_us);
                    self.rules.end(visit, held_us as f64 / 1_000.0);
                }
            }
            self.start();
        }
    }

    fn arrives(&mut self, device: usize) {
        let (visitor, now_ms) = (self.devices[device].0, (self.now_us / 1_000) as i64);
        match self.rules.arrive(visitor, now_ms) {
            Arrival::Enter(visit) => {
                self.at_door.insert(visit, device);
                self.rules.wait(visit);
            }
            Arrival::Full | Arrival::Twice => {
                self.devices[device].1.refusals += 1;
                self.refused_at_us.push_back(self.now_us);
                let after_ms = self.rules.after_ms(visitor, now_ms, self.dice.random());
                // As the SDK does: whole seconds of the header, and up to a second of its own.
                let back_ms = after_ms.div_ceil(1_000) * 1_000 + self.dice.random_range(0..1_000);
                self.events.push(Reverse((self.now_us + back_ms * 1_000, Event::Arrives(device))));
            }
        }
    }

    fn start(&mut self) {
        while let Some(visit) = self.rules.next() {
            let held_ms = (self.held_ms)(self.now_us) * self.dice.random_range(0.3..1.7);
            self.work_us += (held_ms * 1_000.0) as u64;
            let held_us = (held_ms * 1_000.0 * self.slowed_down()) as u64;
            let device = self.at_door[&visit];
            self.events.push(Reverse((self.now_us + held_us, Event::Served { device, visit, held_us })));
        }
    }

    /// Returns how many times longer work takes now, because of those who are sent away.
    fn slowed_down(&mut self) -> f64 {
        while self.refused_at_us.front().is_some_and(|at_us| at_us + SLOW_US < self.now_us) {
            self.refused_at_us.pop_front();
        }
        let refused_per_s = self.refused_at_us.len() as f64 * 1_000_000.0 / SLOW_US as f64;
        1.0 / (1.0 - (refused_per_s * self.cost_of_refusal).min(0.7))
    }

    /// Returns the time that everything took against the time of the work alone.
    fn ratio(&self) -> f64 {
        self.now_us as f64 / (self.work_us as f64 / AT_ONCE as f64)
    }

    fn most_refusals(&self) -> u32 {
        self.devices.iter().map(|(_, story)| story.refusals).max().unwrap_or_default()
    }

    fn refusals(&self) -> u32 {
        self.devices.iter().map(|(_, story)| story.refusals).sum()
    }
}

/// Slow while every connection is new, then as fast as it gets.
fn warming_up(now_us: u64) -> f64 {
    if now_us < 2_000_000 { 90.0 } else { 24.0 }
}

#[test]
fn a_herd_is_served_in_the_time_that_the_work_takes() {
    for (name, held_ms) in [
        ("as guessed", (|_| 10.0) as fn(u64) -> f64),
        ("slow", |_| 80.0),
        ("fast", |_| 6.0),
        ("warming up", warming_up),
        ("slower by and by", |now_us| 10.0 + now_us as f64 / 2_000_000.0),
    ] {
        let mut herd = Herd::new(7, held_ms);
        herd.arrive(1, 10_000, 0, 1_000_000);
        herd.run();
        let (ratio, most, all) = (herd.ratio(), herd.most_refusals(), herd.refusals());
        assert!(herd.devices.iter().all(|(_, story)| story.served_us.is_some()), "{name}");
        assert!(ratio <= 1.25, "{name}: {ratio:.2} times the work");
        assert!(most <= 10, "{name}: a device was sent away {most} times");
        assert!(all <= 40_000, "{name}: {all} requests were sent away");
    }
}

#[test]
fn a_herd_that_slows_the_server_down_while_it_is_sent_away_is_not_told_to_come_too_late() {
    let mut herd = Herd::new(7, |_| 11.5);
    herd.cost_of_refusal = COST_OF_REFUSAL;
    // A server that knows its pace: 800 devices come one after the other before.
    herd.arrive(1, 800, 0, 2_000_000);
    herd.run();
    let start_us = herd.now_us;
    (herd.now_us, herd.work_us) = (0, 0);
    herd.arrive(1, 10_000, start_us, 5_000_000);
    herd.run();
    herd.now_us -= start_us;
    let (ratio, all) = (herd.ratio(), herd.refusals());
    assert!(ratio <= 1.25, "{ratio:.2} times the work");
    assert!(all <= 15_000, "{all} requests were sent away");
}

#[test]
fn a_herd_of_one_programme_does_not_starve_another() {
    let mut herd = Herd::new(8, |_| 24.0);
    herd.arrive(1, 10_000, 0, 1_000_000);
    herd.arrive(2, 50, 2_000_000, 20_000_000);
    herd.run();
    let waits_us = herd.devices[10_000..].iter().map(|(_, story)| story.served_us.unwrap() - story.arrived_us);
    let longest_us = waits_us.max().unwrap();
    assert!(longest_us < 1_000_000, "the other programme waited {} ms", longest_us / 1_000);
}

#[test]
fn devices_that_never_come_back_are_forgotten() {
    let mut rules = Rules::new(LIMITS);
    let visitor = |n: u128| Visitor { programme: Uuid::from_u128(1), device: Uuid::from_u128(n) };
    // Enough to be told to come back in minutes, and none of them does.
    for n in 0..5_000 {
        rules.after_ms(visitor(n), 0, 500);
    }
    let crowded = rules.after_ms(visitor(5_000), 1_000, 500);
    assert_eq!(rules.arrive(visitor(6_000), 600_000), Arrival::Enter(1));
    let alone = rules.after_ms(visitor(5_001), 600_000, 500);
    assert!(crowded > 2_000 && alone < 1_000, "{crowded} ms, then {alone} ms");
}

#[test]
fn one_device_is_worked_on_once_at_a_time_and_its_other_requests_wait() {
    let mut rules = Rules::new(LIMITS);
    let visitor = |n: u128| Visitor { programme: Uuid::from_u128(1), device: Uuid::from_u128(n) };
    let enter = |rules: &mut Rules, n| match rules.arrive(visitor(n), 0) {
        Arrival::Enter(visit) => visit,
        other => panic!("{other:?}"),
    };
    let (first, second, third) = (enter(&mut rules, 1), enter(&mut rules, 1), enter(&mut rules, 1));
    assert_eq!(rules.arrive(visitor(1), 0), Arrival::Twice);
    let other = enter(&mut rules, 2);
    [first, second, third, other].into_iter().for_each(|visit| rules.wait(visit));
    assert_eq!((rules.next(), rules.next(), rules.next()), (Some(first), Some(other), None));
    rules.end(first, 1.0);
    assert_eq!(rules.next(), Some(second));
    rules.end(second, 1.0);
    assert_eq!(rules.next(), Some(third));
    rules.end(third, 1.0);
    rules.end(other, 1.0);
    assert_eq!(rules.inside(), 0);
}

#[test]
fn programmes_take_turns() {
    let mut rules = Rules::new(Limits { at_once: 1, ..LIMITS });
    let mut visits = Vec::new();
    for (programme, device) in [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)] {
        let visitor = Visitor { programme: Uuid::from_u128(programme), device: Uuid::from_u128(device) };
        let Arrival::Enter(visit) = rules.arrive(visitor, 0) else { panic!("there is room") };
        rules.wait(visit);
        visits.push(visit);
    }
    let mut order = Vec::new();
    while let Some(visit) = rules.next() {
        order.push(visits.iter().position(|known| *known == visit).unwrap() + 1);
        rules.end(visit, 1.0);
    }
    assert_eq!(order, [1, 4, 2, 5, 3]);
}
