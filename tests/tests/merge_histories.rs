//! Two mentors register, change and void the same jobs and positions without knowing of each other, in 10,000 random
//! histories: whatever the order of arrival, the same rows have the same proposals, and what the office then merges
//! while more work is on its way ends alike on both phones, with every value to be found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;
use server::domain::office::Reply;
use server::domain::operation::Operation;
use server::world::FixedWorld;
use sync_protocol::code::{EmploymentStatus, EndReason, MergeState};
use sync_protocol::entity::{Conflict, Employment, Entity, EntityKind, MergeProposal, MonthlyJobStatus, Position, Row};
use sync_protocol::id::{DeviceId, EmploymentId, PositionId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rule;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Message, Outcome};
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PROGRAMME, RADU};
use tests::sample::day;
use tests::simulator::server::{During, Sender, SimServer, State, Touch};
use tests::{Device, now, request_body, sample};
use uuid::Uuid;

const HISTORIES: u64 = 10_000;
const KINDS: [EntityKind; 5] = [
    EntityKind::Position,
    EntityKind::Employment,
    EntityKind::MonthlyJobStatus,
    EntityKind::Conflict,
    EntityKind::MergeProposal,
];

/// One history: two phones and the server.
struct History {
    server: SimServer,
    devices: [Device; 2],
    positions: Vec<Position>,
    rng: ChaCha8Rng,
    /// What each phone shows of its own early work: nobody else has seen it.
    jobs: [Vec<Employment>; 2],
    /// How many jobs each has registered.
    registered: [usize; 2],
}

/// What a test begins with, made once.
struct Ground {
    server: Arc<State>,
    devices: [Device; 2],
    positions: Vec<Position>,
    at: Timestamp,
}

impl Ground {
    fn new() -> Self {
        let at = now();
        let server = SimServer::new(Arc::new(FixedWorld::at(at)), 100);
        let rows = programme::all_rows().into_iter();
        let touches = rows.flat_map(|(kind, rows)| rows.into_iter().map(move |row| Touch::Put(kind, row)));
        server.store().change(|state| state.commit(PROGRAMME, touches.collect(), Default::default()));
        let mut server = server;
        server.import(PROGRAMME, &[programme::grant(RADU, ENTERPRISES[0])]);
        // A position for each record, so that nobody holds one that another person holds; the first one is shared.
        let position = |at: u128| Position {
            id: PositionId(Uuid::from_u128(0xf000 + at)),
            code: format!("P-{at:03}"),
            ..sample::position(ENTERPRISES[0])
        };
        let positions: Vec<Position> = (0..9).map(position).collect();
        server.import(PROGRAMME, &positions);
        let device = |user| Device::unconnected(DeviceId(Uuid::nil()), Uuid::nil(), user);
        Self { server: server.store().state(), devices: [device(ANA), device(RADU)], positions, at }
    }

    fn history(&self, seed: u64) -> History {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut devices = self.devices.clone();
        for device in &mut devices {
            (device.id, device.incarnation) = (DeviceId(id(&mut rng)), id(&mut rng));
        }
        let server = SimServer::new(Arc::new(FixedWorld::at(self.at)), 100);
        server.store().replace((*self.server).clone());
        History {
            server,
            devices,
            positions: self.positions.clone(),
            rng,
            jobs: [Vec::new(), Vec::new()],
            registered: [0, 0],
        }
    }
}

fn id(rng: &mut ChaCha8Rng) -> Uuid {
    Uuid::from_u128(rng.random())
}

const NAMES: [&str; 3] = ["Ion Țepeș", "tepes, ION", "Ana Stan"];
const DAYS: [&str; 2] = ["2024-02-01", "2024-03-01"];
const CODES: [&str; 2] = ["P-100", "p-100 "];

impl History {
    fn record_early(&mut self) {
        for at in 0..2 {
            for _ in 0..self.rng.random_range(1..5) {
                match self.rng.random_range(0..8) {
                    0..=3 => self.register(at),
                    4 => self.register_position(at),
                    5 | 6 => self.change_own(at),
                    _ => self.void_own(at),
                }
            }
        }
    }

    fn register(&mut self, at: usize) {
        let is_shared = self.rng.random_bool(0.4);
        let own = 1 + at * 4 + self.registered[at];
        self.registered[at] += 1;
        let position = self.positions[if is_shared { 0 } else { own }].clone();
        let start_on = day(DAYS.choose(&mut self.rng).expect("a day"));
        let names = if is_shared { &NAMES[..2] } else { &NAMES[..] };
        let job = Employment {
            id: EmploymentId(id(&mut self.rng)),
            holder_name: (*names.choose(&mut self.rng).expect("a name")).to_owned(),
            holder_birth_on: None,
            vulnerability_codes: None,
            start_on,
            end_on: Some(start_on),
            end_reason: Some(EndReason::EndOfTerm),
            status: EmploymentStatus::Ended,
            contract_no: self.rng.random_bool(0.5).then(|| format!("nr {}", self.rng.random::<u32>())),
            ..sample::employment(&position, self.devices[at].user)
        };
        self.devices[at].create(&job);
        self.jobs[at].push(job);
    }

    fn register_position(&mut self, at: usize) {
        let position = Position {
            id: PositionId(id(&mut self.rng)),
            code: (*CODES.choose(&mut self.rng).expect("a code")).to_owned(),
            title: format!("postul {}", self.rng.random::<u16>()),
            ..sample::position(ENTERPRISES[0])
        };
        self.devices[at].create(&position);
        let job = Employment {
            id: EmploymentId(id(&mut self.rng)),
            holder_name: format!("Om {}", self.rng.random::<u16>()),
            vulnerability_codes: None,
            ..sample::employment(&position, self.devices[at].user)
        };
        self.devices[at].create(&job);
    }

    fn change_own(&mut self, at: usize) {
        let Some(own) = self.jobs[at].choose(&mut self.rng).cloned() else { return };
        let after = changed(&mut self.rng, &own, own.position_id == self.positions[0].id);
        self.devices[at].change(&own, &after, 0);
        *self.jobs[at].iter_mut().find(|job| job.id == own.id).expect("it is there") = after;
    }

    fn void_own(&mut self, at: usize) {
        let Some(job) = self.jobs[at].pop() else { return };
        if self.rng.random_bool(0.5) {
            let draft = self.devices[at].draft(Op::Delete, EntityKind::Employment, job.id.0, Vec::new());
            self.devices[at].record(draft);
        } else {
            self.devices[at].change(&job, &Employment { status: EmploymentStatus::Voided, ..job.clone() }, 0);
        }
    }

    /// Records work on what the phone holds, whoever recorded it: some of it will be merged before it arrives.
    fn record_late(&mut self) {
        for at in 0..2 {
            let jobs: Vec<Employment> = self.devices[at].cache.all();
            for _ in 0..self.rng.random_range(0..4) {
                let Some(job) = jobs.choose(&mut self.rng) else { continue };
                if self.rng.random_bool(0.3) {
                    let month = month(&mut self.rng, job);
                    self.devices[at].create(&month);
                    continue;
                }
                let seq = self.devices[at].cache.rows[&(EntityKind::Employment, job.id.0)].seq;
                let after = changed(&mut self.rng, job, job.position_id == self.positions[0].id);
                self.devices[at].change(job, &after, seq);
            }
        }
    }

    /// Pushes the rest of the outboxes in pieces, in an order of `rng`, while the office decides now and then.
    fn arrive(&mut self, rng: &mut ChaCha8Rng, office_decides: bool, tally: &mut Tally) {
        let mut sent = [0, 1].map(|at| self.devices[at].confirmed);
        loop {
            if office_decides && rng.random_bool(0.6) {
                self.decide(rng, tally);
            }
            let waiting = |at: &usize| sent[*at] < self.devices[*at].outbox.len() as u64;
            let waiting: Vec<usize> = (0..2).filter(waiting).collect();
            let Some(at) = waiting.choose(rng).copied() else { return };
            let last = rng.random_range(sent[at] + 1..=self.devices[at].outbox.len() as u64);
            let push = self.devices[at].push(sent[at] + 1, last);
            let messages = self.exchange(at, &[Message::Push(push)]);
            for result in messages.iter().filter_map(pushed).flat_map(|result| &result.results) {
                assert!(!matches!(result.outcome, Outcome::Rejected | Outcome::Held), "{result:?}");
                *tally.entry(result.outcome_name()).or_default() += 1;
            }
            sent[at] = last;
            self.devices[at].take(&messages);
        }
    }

    fn exchange(&mut self, at: usize, pushes: &[Message]) -> Vec<Message> {
        let device = &self.devices[at];
        let sender = Sender { programme: PROGRAMME, user: device.user.0, device: device.id.0 };
        self.server.exchange(sender, &request_body(device.hello(), pushes), During::default()).messages()
    }

    fn pull(&mut self) {
        for at in [0, 1] {
            let messages = self.exchange(at, &[]);
            self.devices[at].take(&messages);
        }
    }

    /// Someone in the office decides about one proposal.
    fn decide(&mut self, rng: &mut ChaCha8Rng, tally: &mut Tally) {
        let open: Vec<MergeProposal> = self.all::<MergeProposal>();
        let open: Vec<_> = open.into_iter().filter(|proposal| proposal.state == MergeState::Open).collect();
        let Some(MergeProposal { id: proposal, first_id, second_id, .. }) = open.choose(rng) else { return };
        let (proposal, mutation_id) = (proposal.0, id(rng));
        let operation = if rng.random_bool(0.8) {
            let survivor = if rng.random_bool(0.5) { *first_id } else { *second_id };
            Operation::AcceptMerge { proposal, survivor, note: None }
        } else {
            Operation::DismissMerge { proposal, reason: "două persoane".to_owned() }
        };
        let is_merge = matches!(operation, Operation::AcceptMerge { .. });
        let reply = self.server.office(PROGRAMME, CARMEN.0, mutation_id, operation).unwrap();
        assert!(matches!(reply, Reply::Done(seq) if seq > 0), "{reply:?}");
        *tally.entry(if is_merge { "merged" } else { "dismissed" }).or_default() += 1;
    }

    fn all<T: Entity>(&self) -> Vec<T> {
        let state = self.server.store().state();
        let range = (PROGRAMME, T::DEF.kind, Uuid::nil())..=(PROGRAMME, T::DEF.kind, Uuid::max());
        state.rows.range(range).map(|(_, row)| T::from_row(row).expect("the server keeps sound rows")).collect()
    }

    fn rows_of(&self, kind: EntityKind) -> Vec<Row> {
        let state = self.server.store().state();
        let range = (PROGRAMME, kind, Uuid::nil())..=(PROGRAMME, kind, Uuid::max());
        state.rows.range(range).map(|(_, row)| row.clone()).collect()
    }

    /// Returns the pairs that look alike, by comparing each row with each.
    fn pairs(&self) -> BTreeSet<(Uuid, Uuid)> {
        let mut pairs = BTreeSet::new();
        for kind in [EntityKind::Position, EntityKind::Employment] {
            let rows = self.rows_of(kind);
            for (at, one) in rows.iter().enumerate() {
                let alike = rows[at + 1..].iter().filter(|other| !rule::matched(kind, one, other).is_empty());
                pairs.extend(alike.map(|other| (one.id, other.id)));
            }
        }
        pairs
    }

    fn proposed(&self, state: MergeState) -> BTreeSet<(Uuid, Uuid)> {
        let proposals = self.all::<MergeProposal>().into_iter().filter(|proposal| proposal.state == state);
        let pairs: Vec<_> = proposals.map(|proposal| (proposal.first_id, proposal.second_id)).collect();
        let once: BTreeSet<_> = pairs.iter().copied().collect();
        assert_eq!(once.len(), pairs.len(), "a proposal is doubled");
        once
    }

    /// A proposal is open for exactly the pairs that look alike and about which nobody has said that they are two.
    fn check_proposals(&self, seed: u64) {
        let dismissed = self.proposed(MergeState::Dismissed);
        let expected: BTreeSet<_> = self.pairs().difference(&dismissed).copied().collect();
        assert_eq!(self.proposed(MergeState::Open), expected, "history {seed}");
    }

    /// Of each month of a job record there is one row, whatever was merged and whatever came later.
    fn check_months(&self, seed: u64) {
        let months = self.all::<MonthlyJobStatus>();
        let told: BTreeSet<_> = months.iter().map(|month| (month.employment_id, month.month_on)).collect();
        assert_eq!(told.len(), months.len(), "history {seed}: a month is doubled");
    }

    /// Returns the rows without what the order of arrival decides: when a proposal was made, and which of those that
    /// were withdrawn had stood for a while.
    fn ending(&self) -> BTreeMap<(EntityKind, Uuid), Vec<sync_protocol::value::Value>> {
        let rows = KINDS.into_iter().flat_map(|kind| self.rows_of(kind).into_iter().map(move |row| (kind, row)));
        let counts = |(kind, row): &(EntityKind, Row)| {
            *kind != EntityKind::MergeProposal || row.get(kind.def(), "state").as_text() != Some("WITHDRAWN")
        };
        rows.filter(counts).map(|(kind, row)| ((kind, row.id), row.values)).collect()
    }

    /// Both phones hold what the server holds.
    fn check_phones(&self, seed: u64) {
        for device in &self.devices {
            for kind in KINDS {
                let held = device.cache.rows.iter().filter(|((of, _), _)| *of == kind);
                let held: BTreeMap<Uuid, Vec<_>> = held.map(|((_, id), row)| (*id, row.row.values.clone())).collect();
                let expected: BTreeMap<Uuid, Vec<_>> =
                    self.rows_of(kind).into_iter().map(|row| (row.id, row.values)).collect();
                assert_eq!(held, expected, "history {seed}, {kind:?}");
            }
        }
    }

    /// What a person said last of a field is shown, or kept beside it where people find it.
    fn check_values(&self, seed: u64, early: [usize; 2]) {
        let merged: BTreeMap<Uuid, MergeProposal> =
            self.all::<MergeProposal>().into_iter().filter_map(|p| Some((p.alias_id?, p))).collect();
        let name_of = |row: Uuid| merged.get(&row).and_then(|proposal| proposal.survivor_id).unwrap_or(row);
        let conflicts: Vec<Conflict> = self.all();
        let state = self.server.store().state();
        for Word { kind, row, field, value } in self.said(early, name_of) {
            let name = name_of(row);
            let Some(shown) = state.rows.get(&(PROGRAMME, kind, name)) else {
                panic!("history {seed}: {kind:?} {row} is nowhere");
            };
            let shown = shown.get(kind.def(), field).to_json();
            let named = |value: &serde_json::Value| {
                let referred = value.as_str().and_then(|id| id.parse().ok()).map(&name_of);
                referred.map_or_else(|| value.clone(), |id| serde_json::json!(id))
            };
            let is_shown = named(&shown) == named(&value);
            let content = merged.get(&row).and_then(|proposal| proposal.merged_content.as_ref());
            let is_content = content.and_then(|content| content.0.get(field)).map(&named) == Some(named(&value));
            let said = value.to_string();
            let is_kept = conflicts.iter().any(|conflict| {
                let mut values = [&conflict.kept_value, &conflict.other_value].into_iter().flatten();
                (conflict.subject_id, conflict.field.as_str()) == (name, field) && values.any(|kept| *kept == said)
            });
            assert!(
                is_shown || is_content || is_kept,
                "history {seed}: {kind:?} {row} {field} = {value} is lost; {name} shows {shown}, {conflicts:#?}"
            );
        }
    }

    /// Returns what people said last of each row: of two who knew of each other, the later one. What one person says of
    /// two rows counts twice, for nobody knows yet that they are one. `early` is how much each had recorded before they
    /// had heard of each other. What nobody set, and rows that their author voided, count for nothing.
    fn said(&self, early: [usize; 2], name_of: impl Fn(Uuid) -> Uuid) -> Vec<Word> {
        let (mut early_words, mut late_words, mut voided) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for (device, early) in self.devices.iter().zip(early) {
            let mut words = BTreeMap::new();
            for (at, payload) in device.outbox.iter().enumerate() {
                let Mutation { op, kind, row_id: row, patch, .. } = Mutation::decode(payload).unwrap();
                if op == Op::Delete {
                    voided.insert(row);
                }
                for (position, value) in patch {
                    let field = kind.def().fields[position].name;
                    let word = Word { kind, row, field, value: value.to_json() };
                    match at < early {
                        true => early_words.insert((row, field), word),
                        false => words.insert((row, field), word),
                    };
                }
            }
            late_words.push(words);
        }
        let later = late_words.iter().flat_map(BTreeMap::keys).map(|(row, field)| (name_of(*row), *field));
        let later: BTreeSet<(Uuid, &str)> = later.collect();
        early_words.retain(|(row, field), _| !later.contains(&(name_of(*row), *field)));
        let all = early_words.into_values().chain(late_words.into_iter().flat_map(BTreeMap::into_values));
        // The full-time equivalent follows from the hours, and yes or no has been said before.
        let is_own = |word: &Word| !word.value.is_null() && !matches!(word.field, "fte" | "is_vulnerable");
        all.filter(|word| is_own(word) && !voided.contains(&word.row)).collect()
    }
}

/// A value that a person gave a field.
struct Word {
    kind: EntityKind,
    row: Uuid,
    field: &'static str,
    value: serde_json::Value,
}

/// How often what happened.
type Tally = BTreeMap<&'static str, u64>;

trait Named {
    fn outcome_name(&self) -> &'static str;
}

impl Named for sync_protocol::wire::MutationResult {
    fn outcome_name(&self) -> &'static str {
        match self.outcome {
            Outcome::Merged => "changed beside another",
            Outcome::Conflict => "conflict",
            _ => "other",
        }
    }
}

fn pushed(message: &Message) -> Option<&sync_protocol::wire::PushResult> {
    match message {
        Message::PushResult(result) => Some(result),
        _ => None,
    }
}

/// Returns a job record with something changed. Who shares a position stays the same person. Nobody says twice what was
/// said before: who has seen a value in one of two rows knows it, and may replace it in the other one.
fn changed(rng: &mut ChaCha8Rng, job: &Employment, is_shared: bool) -> Employment {
    let mut after = job.clone();
    // Points and commas do not count in a name.
    let mut named =
        |name: &str| name.chars().chain((0..24).map(|_| if rng.random_bool(0.5) { '.' } else { ',' })).collect();
    let (ion, ana): (String, String) = (named(NAMES[0]), named(NAMES[2]));
    match rng.random_range(0..if is_shared { 4 } else { 6 }) {
        0 => after.contract_no = Some(format!("nr {}", rng.random::<u32>())),
        1 => after.weekly_hours = Decimal::new(rng.random_range(10_000..400_000), 4),
        2 => after.is_vulnerable = !job.is_vulnerable,
        3 => after.holder_name = ion,
        4 => after.holder_name = ana,
        _ => after.holder_birth_on = Some(day("1960-01-01").plus_days(rng.random_range(0..9_000))),
    }
    after
}

fn month(rng: &mut ChaCha8Rng, job: &Employment) -> MonthlyJobStatus {
    let month_on = day(DAYS.choose(rng).expect("a day"));
    MonthlyJobStatus {
        id: MonthlyJobStatus::id_of(job.id, month_on),
        enterprise_id: job.enterprise_id,
        employment_id: job.id,
        month_on,
        is_active: true,
        hours_worked: Some(rng.random_range(0..700)),
        absence_kind: None,
        is_wage_paid: None,
        visit_id: None,
        note: None,
    }
}

/// Plays one history.
fn play(ground: &Ground, seed: u64, tally: &mut Tally) {
    let mut history = ground.history(seed);
    history.record_early();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let devices = history.devices.clone();
    history.arrive(&mut rng, false, tally);
    history.check_proposals(seed);
    let first = history.ending();
    history.devices = devices;
    history.server.store().replace((*ground.server).clone());
    history.server.restart();
    history.arrive(&mut rng, false, tally);
    assert_eq!(history.ending(), first, "history {seed}: the order of arrival counts");
    *tally.entry("proposed").or_default() += history.proposed(MergeState::Open).len() as u64;

    history.pull();
    history.check_phones(seed);
    let early = [0, 1].map(|at| history.devices[at].outbox.len());
    history.record_late();
    history.arrive(&mut rng, true, tally);
    history.decide(&mut rng, tally);
    history.pull();
    history.check_phones(seed);
    history.check_proposals(seed);
    history.check_months(seed);
    history.check_values(seed, early);
}

#[test]
fn ten_thousand_histories_of_two_mentors_end_alike_and_lose_nothing() {
    let ground = Ground::new();
    let halves = std::thread::scope(|scope| {
        let half = |at: u64| {
            let ground = &ground;
            scope.spawn(move || {
                let mut tally = Tally::new();
                (1..=HISTORIES).filter(|seed| seed % 2 == at).for_each(|seed| play(ground, seed, &mut tally));
                tally
            })
        };
        [half(0), half(1)].map(|half| half.join().expect("every history is as it should be"))
    });
    let mut tally = Tally::new();
    halves.into_iter().flatten().for_each(|(what, times)| *tally.entry(what).or_default() += times);
    eprintln!("{tally:?}");
    for what in ["proposed", "merged", "dismissed", "conflict", "changed beside another"] {
        assert!(tally.get(what).is_some_and(|times| *times > HISTORIES / 50), "{what} is too rare: {tally:?}");
    }
}
