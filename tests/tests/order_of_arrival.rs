//! The same work ends in the same rows whatever the order in which it arrives: three devices create, change, answer
//! and void, children come before their parents, pushes come twice, and what they rest on is stale.
//!
//! One thing still depends on the order: of three who set one field, two to the same value, the rank of the one who
//! agreed with what was there already does not count. No value is lost by it; here, either all agree or nobody does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::world::FixedWorld;
use sync_protocol::code::{ActionStatus, ConflictState, HeldState, Severity};
use sync_protocol::entity::{Conflict, Entity, EntityKind, Finding, FollowUpAction, HeldItem, Visit};
use sync_protocol::id::{DeviceId, UserId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::wire::Message;
use tests::programme::{self, ANA, ENTERPRISES, PROGRAMME, RADU};
use tests::simulator::server::{During, Sender, SimServer, State, Touch};
use tests::{Device, now, request_body, sample};
use uuid::Uuid;

const SETS: u64 = 200;
const ORDERS_OF_A_SET: usize = 6;
const DEVICES: usize = 3;

/// What three devices record, and the server before any of it arrives.
struct Scene {
    server: SimServer,
    before: Arc<State>,
    devices: Vec<Device>,
    /// What all devices hold, with the version that they saw.
    findings: Vec<(Finding, u64)>,
    actions: Vec<(FollowUpAction, u64)>,
    visit: Visit,
    rng: ChaCha8Rng,
    /// What a device voided, or answered already: it records nothing more about it.
    settled: BTreeSet<(usize, Uuid)>,
    /// Whether all devices give the same answer.
    is_agreed: bool,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut server = SimServer::new(Arc::new(FixedWorld::at(now())), 100);
        let rows = programme::all_rows().into_iter();
        let touches = rows.flat_map(|(kind, rows)| rows.into_iter().map(move |row| Touch::Put(kind, row)));
        server.store().change(|state| state.commit(PROGRAMME, touches.collect(), Default::default()));
        server.import(PROGRAMME, &[programme::grant(RADU, ENTERPRISES[0])]);
        let visit = sample::visit(ENTERPRISES[0], ANA);
        server.import(PROGRAMME, std::slice::from_ref(&visit));
        let seen = |server: &mut SimServer| server.store().state().heads[&PROGRAMME].seq;
        let findings: Vec<Finding> = (0..3).map(|at| sample::finding(&visit, &format!("constatarea {at}"))).collect();
        server.import(PROGRAMME, &findings);
        let actions: Vec<FollowUpAction> = (0..2).map(|_| sample::action(&visit)).collect();
        server.import(PROGRAMME, &actions);
        let seq = seen(&mut server);
        let device = |user: UserId, rng: &mut ChaCha8Rng| {
            Device::unconnected(DeviceId(Uuid::from_u128(rng.random())), Uuid::from_u128(rng.random()), user)
        };
        let devices = [ANA, ANA, RADU].map(|user| device(user, &mut rng)).to_vec();
        // The office has changed one of them since.
        server.import(PROGRAMME, &[Finding { text: "corectată de birou".to_owned(), ..findings[0].clone() }]);
        let before = server.store().state();
        let (findings, actions) = (with(findings, seq), with(actions, seq));
        let mut scene = Self {
            server,
            before,
            devices,
            findings,
            actions,
            visit,
            rng,
            settled: BTreeSet::new(),
            is_agreed: seed.is_multiple_of(2),
        };
        (0..scene.rng.random_range(6..20)).for_each(|_| scene.record());
        scene
    }

    /// Records something on one of the devices.
    fn record(&mut self) {
        let device = self.rng.random_range(0..DEVICES);
        match self.rng.random_range(0..10) {
            0..=3 => self.change_finding(device),
            4..=5 => self.change_action(device),
            6 => self.answer(device),
            7 => self.void(device),
            _ => self.child_of_a_visit_of_another_device(device),
        }
    }

    fn change_finding(&mut self, device: usize) {
        let (before, seq) = self.findings.choose(&mut self.rng).expect("there are findings").clone();
        if self.settled.contains(&(device, before.id.0)) {
            return;
        }
        let text = format!("text {}", self.rng.random::<u32>());
        let after = match self.rng.random_range(0..3) {
            0 => Finding { text, ..before.clone() },
            1 => Finding { rule_ref: Some(text), ..before.clone() },
            _ => Finding { text, severity: Severity::Major, ..before.clone() },
        };
        self.devices[device].change(&before, &after, seq);
    }

    fn change_action(&mut self, device: usize) {
        let (before, seq) = self.actions.choose(&mut self.rng).expect("there are actions").clone();
        let after = match self.rng.random_range(0..3) {
            0 => FollowUpAction { due_on: before.due_on.plus_days(1 + device as i32), ..before.clone() },
            1 => FollowUpAction { status_note: Some(format!("nota {device}")), ..before.clone() },
            _ => FollowUpAction {
                status: ActionStatus::Done,
                done_on: Some(before.due_on.plus_days(device as i32)),
                ..before.clone()
            },
        };
        self.devices[device].change(&before, &after, seq);
    }

    /// Every device answers a question under the same identifier.
    fn answer(&mut self, device: usize) {
        let reason = if self.is_agreed { "motivul comun".to_owned() } else { format!("motivul {device}") };
        let answer = sample::answer(&self.visit, "Q1", &reason);
        if self.settled.insert((device, answer.id.0)) {
            self.devices[device].create(&answer);
        }
    }

    fn void(&mut self, device: usize) {
        let (finding, seq) = self.findings.choose(&mut self.rng).expect("there are findings").clone();
        if self.settled.insert((device, finding.id.0)) {
            let draft = self.devices[device].draft(Op::Delete, EntityKind::Finding, finding.id.0, Vec::new());
            self.devices[device].record(Mutation { base_seq: seq, ..draft });
        }
    }

    /// The parent is recorded on one device, the child on another, and a change of the child after it.
    fn child_of_a_visit_of_another_device(&mut self, device: usize) {
        let parents = (device + self.rng.random_range(1..DEVICES)) % DEVICES;
        let visit = sample::visit(ENTERPRISES[0], self.devices[parents].user);
        let child = sample::finding(&visit, "copilul");
        self.devices[device].create(&child);
        self.devices[device].change(&child, &Finding { text: "copilul, corectat".to_owned(), ..child.clone() }, 0);
        self.devices[parents].create(&visit);
    }

    /// Lets everything arrive in some order, in pushes of any length, some of them twice.
    fn arrive(&mut self, rng: &mut ChaCha8Rng, tally: &mut Tally) -> Ending {
        self.server.store().replace((*self.before).clone());
        self.server.restart();
        let mut sent = [0; DEVICES];
        loop {
            let waiting = |device: &usize| sent[*device] < self.devices[*device].outbox.len();
            let waiting: Vec<usize> = (0..DEVICES).filter(waiting).collect();
            let Some(device) = waiting.choose(rng).copied() else { break };
            let left = self.devices[device].outbox.len() - sent[device];
            let first = if rng.random_bool(0.2) { rng.random_range(0..=sent[device]) } else { sent[device] };
            let last = sent[device] + rng.random_range(1..=left);
            self.push(device, first as u64 + 1, last as u64, tally);
            sent[device] = last;
        }
        Ending::of(&self.server.store().state(), &self.last_words())
    }

    /// Returns what each device said last of each field: row, field, value. What it said before counts for nothing.
    fn last_words(&self) -> BTreeSet<(Uuid, String, String)> {
        let last_words = |device: &Device| {
            let mut last: BTreeMap<(Uuid, String), String> = BTreeMap::new();
            for mutation in device.outbox.iter().map(|payload| Mutation::decode(payload).unwrap()) {
                for (position, value) in &mutation.patch {
                    let field = mutation.kind.def().fields[*position].name.to_owned();
                    last.insert((mutation.row_id, field), value.to_json().to_string());
                }
            }
            last.into_iter().map(|((row, field), value)| (row, field, value))
        };
        self.devices.iter().flat_map(last_words).collect()
    }

    fn push(&mut self, at: usize, first: u64, last: u64, tally: &mut Tally) {
        let device = &self.devices[at];
        let push = [Message::Push(device.push(first, last))];
        let sender = Sender { programme: PROGRAMME, user: device.user.0, device: device.id.0 };
        let response = self.server.exchange(sender, &request_body(device.hello(), &push), During::default());
        for message in response.messages() {
            if let Message::PushResult(result) = message {
                assert_eq!((result.demand, result.upto_no), (None, last));
                result
                    .results
                    .iter()
                    .for_each(|result| *tally.entry(format!("{:?}", result.outcome)).or_default() += 1);
            }
        }
    }
}

fn with<T>(rows: Vec<T>, seq: u64) -> Vec<(T, u64)> {
    rows.into_iter().map(|row| (row, seq)).collect()
}

/// How often the server gave which answer.
type Tally = BTreeMap<String, u64>;

/// What there is in the end, without versions, and without which of two clashing edits came first.
#[derive(Debug, PartialEq)]
struct Ending {
    rows: BTreeMap<(EntityKind, Uuid), String>,
    /// The values that are not shown: row, field, value, author, state.
    not_shown: BTreeSet<String>,
}

impl Ending {
    fn of(end: &State, last_words: &BTreeSet<(Uuid, String, String)>) -> Self {
        let mut ending = Self { rows: BTreeMap::new(), not_shown: BTreeSet::new() };
        for ((_, kind, id), row) in &end.rows {
            match kind {
                EntityKind::Conflict => {
                    let Conflict { subject_kind, subject_id, field, other_value, state, .. } =
                        Conflict::from_row(row).unwrap();
                    let other_value = other_value.unwrap_or_default();
                    let said = (subject_id, field.clone(), other_value.clone());
                    let subject_kind = EntityKind::from_name(&subject_kind).unwrap();
                    let shown = end.rows.get(&(PROGRAMME, subject_kind, subject_id));
                    let shown = shown.and_then(|row| Some(&row.values[subject_kind.def().position(&field)?]));
                    let is_shown =
                        shown.is_some_and(|value| serde_json::from_str(&other_value).ok() == Some(value.to_json()));
                    let is_last_word = field == "voided" || last_words.contains(&said);
                    if state == ConflictState::Open && is_last_word && !is_shown {
                        ending.not_shown.insert(format!("{subject_id} {field} {other_value} {state:?}"));
                    }
                }
                EntityKind::HeldItem => {
                    let held = HeldItem::from_row(row).unwrap();
                    assert_ne!(held.state, HeldState::Held, "it waits although its parent is there: {held:?}");
                }
                _ => drop(ending.rows.insert((*kind, *id), format!("{:?}", row.values))),
            }
        }
        ending
    }
}

impl Ending {
    /// Returns what one has and the other has not, both ways.
    fn difference(&self, other: &Self) -> Vec<String> {
        let missing = |of: &Self, from: &Self, sign: &str| {
            let rows = of.rows.iter().filter(|(key, row)| from.rows.get(key) != Some(row));
            let rows = rows.map(|(key, row)| format!("{sign} {key:?}: {row}"));
            let values = of.not_shown.difference(&from.not_shown).map(|value| format!("{sign} {value}"));
            rows.chain(values).collect::<Vec<_>>()
        };
        [missing(self, other, "-"), missing(other, self, "+")].concat()
    }
}

#[test]
fn a_thousand_orders_of_arrival_end_alike() {
    let mut tally = Tally::new();
    for seed in 1..=SETS {
        let mut scene = Scene::new(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let first = scene.arrive(&mut rng, &mut tally);
        for order in 1..ORDERS_OF_A_SET {
            let other = scene.arrive(&mut rng, &mut tally);
            let differs = first.difference(&other);
            assert!(differs.is_empty(), "set {seed}, order {order}: {differs:#?}");
        }
    }
    eprintln!("{tally:?}");
    for outcome in ["Merged", "Conflict", "Held"] {
        assert!(tally.get(outcome).is_some_and(|times| *times > 50), "{outcome} is too rare: {tally:?}");
    }
}
