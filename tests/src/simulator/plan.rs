//! What will happen in a history, drawn from its seed before anything happens: acts of people and faults, each at
//! its time. A part of a plan can be played as well as the whole, which is how a failure is made small.

use super::cast::{Cast, PhoneCast};
use super::dice::Dice;
use super::knobs::Knobs;

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// How many acts and faults a history has: mostly few, for most mistakes show in a short one and time is better spent
/// on another.
const LENGTHS: [usize; 12] = [50, 50, 50, 50, 60, 60, 80, 80, 120, 120, 200, 400];

/// A history to be played.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of everything.
    pub seed: u64,
    /// Who takes part.
    pub cast: Cast,
    /// Which faults occur.
    pub knobs: Knobs,
    /// What happens, in order.
    pub steps: Vec<Planned>,
}

/// A step and its time.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Milliseconds after the start.
    pub at_ms: i64,
    /// The seed of what is random in the step itself.
    pub salt: u64,
    /// What happens.
    pub step: Step,
}

/// Which direction of a network does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Requests are lost.
    Up,
    /// Replies are lost.
    Down,
    /// Both.
    Both,
}

/// Something that happens. Phones and programmes are named by their place in the cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A person records something.
    Record { phone: usize },
    /// A person records much, one thing after the other.
    RecordMany { phone: usize, times: u32 },
    /// A person records something about the jobs of an enterprise.
    RecordJob { phone: usize },
    /// A person deals with what was refused, or with a conflict.
    Settle { phone: usize },
    /// A person opens the application, which syncs.
    Wake { phone: usize },
    /// The office changes a row.
    OfficeEdit { programme: usize },
    /// The office changes a row in a transaction that stays open for a while.
    OfficeSlowEdit { programme: usize, for_ms: i64 },
    /// The office validates or returns a visit, or settles a conflict.
    OfficeDecide { programme: usize },
    /// The office gives an enterprise to someone, or takes it away.
    OfficeAssign { programme: usize },
    /// The office decides whether two records are one.
    OfficeMerge { programme: usize },
    /// The office lets held work take effect, or gives it back.
    OfficeJudge { programme: usize },
    /// The office erases a record about a person.
    OfficeErase { programme: usize },
    /// The server forgets the oldest deletions of a programme.
    Prune { programme: usize },
    /// The office bars a person, or lets the person in again.
    OfficeBar { programme: usize },
    /// The network of a phone does not work for a while.
    Cut { phone: usize, way: Way, for_ms: i64 },
    /// A phone stops after so many steps of its work, and starts again later.
    CrashPhone { phone: usize, after: u32, loses_power: bool, down_ms: i64 },
    /// A phone is switched off, and on again later: with an uptime that starts anew, and perhaps another time of day.
    RestartPhone { phone: usize, down_ms: i64, offset_ms: Option<i64> },
    /// The disk of a phone fails after so many calls: once, or for a while.
    FailDisk { phone: usize, is_full: bool, after: u32, calls: u32 },
    /// The server stops during the request that comes next.
    CrashServer { is_after_commit: bool },
    /// A backup of the server is made.
    BackUpServer,
    /// The newest backup of the server takes the place of what there is.
    RestoreServer,
    /// A backup of a phone is made.
    BackUpPhone { phone: usize },
    /// The backup takes the place of what is on the phone.
    RestorePhone { phone: usize },
    /// A second phone starts as a copy of another one.
    ClonePhone { from: usize, to: usize },
    /// Someone sets the clock of a phone.
    SetClock { phone: usize, offset_ms: i64 },
    /// The tokens of a phone run out.
    ExpireToken { phone: usize },
    /// A newer application opens the files that one of so many versions before has left.
    Upgrade { phone: usize, versions: u32 },
    /// Another application records something that this server does not understand, or always refuses.
    Poison { phone: usize },
}

impl Plan {
    /// Draws a plan.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::named(seed, 1);
        let mut cast = Cast::draw(&mut dice);
        let (mut later, mut latest) = (Dice::named(seed, 5), Dice::named(seed, 6));
        let knobs = Knobs::draw(&mut dice, &mut later, &mut latest);
        let length = LENGTHS[dice.below(LENGTHS.len())] / if cast.phones.len() > 4 { 2 } else { 1 };
        let people = cast.phones.len();
        if knobs.poison > 0 {
            let template = cast.phones[0];
            cast.phones.push(PhoneCast { is_foreign: true, is_connected: false, ..template });
        }
        let mut drawing = Drawing { dice, knobs, people, at_ms: 0, steps: Vec::new() };
        for _ in 0..length.max(50) {
            drawing.step(&mut cast);
        }
        drawing.once(&mut cast);
        drawing.dice = later;
        drawing.later(&cast);
        let mut steps = drawing.steps;
        steps.sort_by_key(|planned| planned.at_ms);
        Self { seed, cast, knobs, steps }
    }

    /// Returns whether someone sets the clock of a phone while it is in use.
    pub fn sets_clock(&self, of: usize) -> bool {
        let sets = |planned: &Planned| match planned.step {
            Step::SetClock { phone, .. } | Step::RestartPhone { phone, offset_ms: Some(_), .. } => phone == of,
            _ => false,
        };
        self.steps.iter().any(|planned| planned.at_ms > 0 && sets(planned))
    }

    /// Returns when the last step is taken.
    pub fn end_ms(&self) -> i64 {
        self.steps.last().map_or(0, |planned| planned.at_ms)
    }
}

struct Drawing {
    dice: Dice,
    knobs: Knobs,
    /// Phones that people record on.
    people: usize,
    at_ms: i64,
    steps: Vec<Planned>,
}

impl Drawing {
    fn push(&mut self, at_ms: i64, step: Step) {
        let salt = self.dice.bits();
        self.steps.push(Planned { at_ms, salt, step });
    }

    /// Adds the next step, an act or a fault.
    fn step(&mut self, cast: &mut Cast) {
        self.at_ms += match self.dice.below(20) {
            0 => self.dice.between(HOUR_MS, 8 * HOUR_MS),
            1..=8 => self.dice.between(50, 3 * SECOND_MS),
            _ => self.dice.between(SECOND_MS, 120 * SECOND_MS),
        };
        let phone = self.dice.below(self.people);
        let programme = self.dice.below(cast.programmes.len());
        let step = match self.dice.below(100) {
            0..=44 => Step::Record { phone },
            45..=66 => Step::Wake { phone },
            67..=70 => Step::Settle { phone },
            71..=80 => Step::OfficeEdit { programme },
            81..=84 => Step::OfficeDecide { programme },
            85..=86 if self.knobs.scope => Step::OfficeAssign { programme },
            87 if self.knobs.bars => Step::OfficeBar { programme },
            _ => self.fault(phone, programme),
        };
        self.push(self.at_ms, step);
    }

    /// Returns a fault that this history has, or else an act.
    fn fault(&mut self, phone: usize, programme: usize) -> Step {
        let knobs = self.knobs;
        let dice = &mut self.dice;
        let crash_after = dice.between(0, 25) as u32;
        match dice.below(8) {
            0 | 1 if knobs.cuts => {
                let way = [Way::Up, Way::Down, Way::Both][dice.below(3)];
                Step::Cut { phone, way, for_ms: dice.between(SECOND_MS, 600 * SECOND_MS) }
            }
            2 if knobs.crashes || knobs.power => {
                let loses_power = knobs.power && (!knobs.crashes || dice.per_mille(500));
                Step::CrashPhone { phone, after: crash_after, loses_power, down_ms: dice.between(100, 300 * SECOND_MS) }
            }
            3 if knobs.server_crashes => Step::CrashServer { is_after_commit: dice.per_mille(500) },
            4 if knobs.clock_jumps => Step::SetClock { phone, offset_ms: dice.between(-10 * YEAR_MS, 10 * YEAR_MS) },
            5 if knobs.tokens => Step::ExpireToken { phone },
            6 if knobs.slow_office => Step::OfficeSlowEdit { programme, for_ms: dice.between(100, 60 * SECOND_MS) },
            7 if knobs.poison > 0 => Step::Poison { phone: self.people },
            _ => Step::Wake { phone },
        }
    }

    /// Adds what happens once in a history, if it does.
    fn once(&mut self, cast: &mut Cast) {
        let knobs = self.knobs;
        let phone = self.dice.below(self.people);
        let (early, late) = self.two_times();
        if knobs.server_restore {
            self.push(early, Step::BackUpServer);
            self.push(late, Step::RestoreServer);
        }
        let (early, late) = self.two_times();
        if knobs.phone_restore {
            self.push(early, Step::BackUpPhone { phone });
            self.push(late, Step::RestorePhone { phone });
        }
        if knobs.clone {
            let to = cast.phones.len();
            cast.phones.push(cast.phones[phone]);
            self.push(early, Step::ClonePhone { from: phone, to });
            for _ in 0..self.dice.between(2, 10) {
                let at = self.dice.between(early, self.at_ms);
                let step = if self.dice.per_mille(500) { Step::Record { phone: to } } else { Step::Wake { phone: to } };
                self.push(at, step);
            }
        }
        if knobs.upgrades {
            let at = self.dice.between(0, self.at_ms);
            let versions = self.dice.between(1, 2) as u32;
            self.push(at, Step::Upgrade { phone, versions });
        }
        if knobs.bursts {
            let (at, times) = (self.dice.between(0, self.at_ms), self.dice.between(20, 100) as u32);
            self.push(at, Step::RecordMany { phone, times });
        }
        if knobs.disk {
            for phone in 0..self.people {
                let at = self.dice.between(0, self.at_ms);
                let (after, calls) = (self.dice.between(1, 30) as u32, self.dice.between(1, 40) as u32);
                let is_full = self.dice.per_mille(500);
                self.push(at, Step::FailDisk { phone, is_full, after, calls });
            }
        }
        if knobs.clocks {
            for phone in 0..self.people {
                let offset_ms = self.dice.between(-10 * YEAR_MS, 10 * YEAR_MS);
                self.push(0, Step::SetClock { phone, offset_ms });
            }
        }
    }

    /// Adds what was added to the swarm later, with dice of its own.
    fn later(&mut self, cast: &Cast) {
        let knobs = self.knobs;
        let mut add = |is_on: bool, most: i64, step: fn(usize) -> Step| {
            for _ in 0..if is_on { self.dice.between(1, most) } else { 0 } {
                let (at, programme) = (self.dice.between(0, self.at_ms), self.dice.below(cast.programmes.len()));
                self.push(at, step(programme));
            }
        };
        add(knobs.merges, 12, |programme| Step::OfficeMerge { programme });
        add(knobs.pruning, 12, |programme| Step::Prune { programme });
        add(knobs.erasures, 6, |programme| Step::OfficeErase { programme });
        self.about_merges();
        if self.dice.per_mille(300) {
            self.restarts(cast);
        }
        if self.knobs.server_restore && self.dice.per_mille(300) {
            self.decisions_to_lose(cast);
        }
    }

    /// Adds phones that are switched off with work that was not sent: a battery that was empty for long takes the time
    /// of day along. The office then looks at what nobody can date.
    fn restarts(&mut self, cast: &Cast) {
        for _ in 0..self.dice.between(1, 4) {
            let (at, phone) = (self.dice.between(0, self.at_ms), self.dice.below(self.people));
            self.push(at, Step::Record { phone });
            let offset_ms = self.dice.per_mille(700).then(|| self.dice.between(-10 * YEAR_MS, 10 * YEAR_MS));
            let down_ms = self.dice.between(SECOND_MS, 300 * SECOND_MS);
            self.push(at, Step::RestartPhone { phone, down_ms, offset_ms });
            let (later, programme) = (self.dice.between(at, self.at_ms), cast.phones[phone].programme);
            self.push(later, Step::OfficeJudge { programme });
        }
    }

    /// Adds work that nobody can date, which the backup of the server holds, and decisions about it that a restored server
    /// has lost.
    fn decisions_to_lose(&mut self, cast: &Cast) {
        let at_of = |step: Step| self.steps.iter().find(|planned| planned.step == step).map(|planned| planned.at_ms);
        let (Some(backed_up), Some(restored)) = (at_of(Step::BackUpServer), at_of(Step::RestoreServer)) else { return };
        let phone = self.dice.below(self.people);
        let before = |ago_ms: i64| (backed_up - ago_ms).max(0);
        let offset_ms = Some(self.dice.between(-10 * YEAR_MS, 10 * YEAR_MS));
        self.push(before(90 * SECOND_MS), Step::Record { phone });
        self.push(before(85 * SECOND_MS), Step::RestartPhone { phone, down_ms: SECOND_MS, offset_ms });
        self.push(before(80 * SECOND_MS), Step::Wake { phone });
        for _ in 0..2 {
            let at = self.dice.between(backed_up, restored);
            self.push(at, Step::OfficeJudge { programme: cast.phones[phone].programme });
            let heard = self.dice.between(at, restored);
            self.push(heard, Step::Wake { phone });
        }
    }

    /// Adds what people do about jobs while they have not heard yet that two records are one.
    fn about_merges(&mut self) {
        let merges = self.steps.iter().filter(|planned| matches!(planned.step, Step::OfficeMerge { .. }));
        for at in merges.map(|planned| planned.at_ms).collect::<Vec<_>>() {
            for _ in 0..self.people {
                let (before, phone) = (self.dice.between(-60, 30) * SECOND_MS, self.dice.below(self.people));
                self.push((at + before).clamp(0, self.at_ms), Step::RecordJob { phone });
            }
        }
    }

    fn two_times(&mut self) -> (i64, i64) {
        let (a, b) = (self.dice.between(0, self.at_ms), self.dice.between(0, self.at_ms));
        (a.min(b), a.max(b))
    }
}
