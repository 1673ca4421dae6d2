//! The server of the simulator answers as the real one does: the same requests, frame by frame, to both.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::config::Config;
use server::store::Sql;
use server::world::FixedWorld;
use sync_protocol::entity::{Entity as _, EntityKind, Finding, Visit};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch;
use sync_protocol::value::Value;
use sync_protocol::wire::{Hello, Message, Push};
use tests::programme::{self, ANA, ENTERPRISES, PROGRAMME, RADU};
use tests::simulator::server::{During, Response, Sender, SimServer, Touch};
use tests::{Answer, Device, TestServer, now, sample};
use uuid::Uuid;

const PAGE_ROWS: usize = 3;
const STEPS: usize = 40;

/// The two servers and the phones, each phone once for each server.
struct Pair {
    real: TestServer,
    simulated: SimServer,
    phones: Vec<(Device, Device)>,
    rng: ChaCha8Rng,
    /// What happened at all.
    seen: BTreeSet<String>,
}

impl Pair {
    async fn new(seed: u64) -> Self {
        let world = Arc::new(FixedWorld::at(now()));
        let mut config = Config::default();
        config.sync.page_rows = PAGE_ROWS;
        let real = TestServer::with(config, world.clone()).await;
        programme::load(&real.app).await;
        let simulated = SimServer::new(world, PAGE_ROWS);
        let rows = programme::all_rows().into_iter();
        let touches = rows.flat_map(|(kind, rows)| rows.into_iter().map(move |row| Touch::Put(kind, row)));
        simulated.store().change(|state| state.commit(PROGRAMME, touches.collect(), Default::default()));
        let mut phones = Vec::new();
        for user in [ANA, ANA, RADU] {
            let phone = Device::enrol(real.address, user).await;
            phones.push((phone.clone(), phone));
        }
        Self { real, simulated, phones, rng: ChaCha8Rng::seed_from_u64(seed), seen: BTreeSet::new() }
    }

    /// One thing happens on a phone or in the office, on both sides.
    async fn step(&mut self, at: usize) {
        let phone = self.rng.random_range(0..self.phones.len());
        match self.rng.random_range(0..10) {
            0..=2 => self.visit(phone),
            3..=5 => self.edit(phone),
            6 => self.delete(phone),
            7 => self.child_of_unknown_parent(phone),
            8 => self.move_visits().await,
            _ => self.import().await,
        }
        if self.rng.random_bool(0.6) {
            let is_lost = self.rng.random_bool(0.2);
            self.sync(phone, is_lost, at).await;
        }
    }

    fn record(&mut self, phone: usize, mutation: Mutation) {
        let (real, simulated) = &mut self.phones[phone];
        real.record(mutation.clone());
        simulated.record(mutation);
    }

    fn visit(&mut self, phone: usize) {
        let user = self.phones[phone].0.user;
        let visit = sample::visit(*ENTERPRISES.choose(&mut self.rng).unwrap(), user);
        let finding = sample::finding(&visit, "prima");
        for row in [(EntityKind::Visit, visit.to_row()), (EntityKind::Finding, finding.to_row())] {
            let draft = self.phones[phone].0.draft(Op::Put, row.0, row.1.id, patch::creation(&row.1));
            self.record(phone, draft);
        }
    }

    fn finding(&mut self, phone: usize) -> Option<(Finding, u64)> {
        let cache = &self.phones[phone].0.cache;
        let mut all = cache.all::<Finding>();
        all.sort_by_key(|finding| finding.id.0);
        let chosen = all.choose(&mut self.rng)?.clone();
        let seq = cache.rows.get(&(EntityKind::Finding, chosen.id.0)).map_or(0, |row| row.seq);
        Some((chosen, seq))
    }

    fn edit(&mut self, phone: usize) {
        let Some((before, seq)) = self.finding(phone) else { return };
        let text = format!("text {}", self.rng.random::<u16>());
        let after = match self.rng.random_bool(0.5) {
            true => Finding { text, ..before.clone() },
            false => Finding { rule_ref: Some(text), ..before.clone() },
        };
        let patch = patch::diff(&before.to_row(), &after.to_row());
        let draft = self.phones[phone].0.draft(Op::Patch, EntityKind::Finding, before.id.0, patch);
        self.record(phone, Mutation { base_seq: seq, ..draft });
    }

    fn delete(&mut self, phone: usize) {
        let Some((finding, seq)) = self.finding(phone) else { return };
        let draft = self.phones[phone].0.draft(Op::Delete, EntityKind::Finding, finding.id.0, Vec::new());
        self.record(phone, Mutation { base_seq: seq, ..draft });
    }

    /// The phone that knows the visit may send it later.
    fn child_of_unknown_parent(&mut self, phone: usize) {
        let user = self.phones[phone].0.user;
        let others: Vec<usize> = (0..self.phones.len()).filter(|other| *other != phone).collect();
        let visit = sample::visit(ENTERPRISES[if user == RADU { 2 } else { 0 }], user);
        let finding = sample::finding(&visit, "copilul").to_row();
        let draft = self.phones[phone].0.draft(Op::Put, EntityKind::Finding, finding.id, patch::creation(&finding));
        self.record(phone, draft);
        let other = *others.choose(&mut self.rng).unwrap();
        let visit = visit.to_row();
        let draft = self.phones[other].0.draft(Op::Put, EntityKind::Visit, visit.id, patch::creation(&visit));
        self.record(other, draft);
    }

    async fn import(&mut self) {
        let visit = sample::visit(*ENTERPRISES.choose(&mut self.rng).unwrap(), ANA);
        programme::import(&self.real.app.office, std::slice::from_ref(&visit)).await;
        self.simulated.import(PROGRAMME, &[visit]);
    }

    async fn move_visits(&mut self) {
        let [from, to] = if self.rng.random_bool(0.5) { [0, 1] } else { [1, 2] }.map(|at| ENTERPRISES[at]);
        let sql = "UPDATE visit SET enterprise_id = $2 WHERE enterprise_id = $1";
        let mut conn = self.real.app.office.conn().await.unwrap();
        conn.execute(Sql::new(sql).bind(from.0).bind(to.0)).await.unwrap();
        self.simulated.store().change(|state| {
            let visits = state.rows.iter().filter(|((_, kind, _), _)| *kind == EntityKind::Visit);
            let visits = visits.map(|(_, row)| Visit::from_row(row).unwrap());
            let moved =
                visits.filter(|visit| visit.enterprise_id == from).map(|visit| Visit { enterprise_id: to, ..visit });
            let touches = moved.map(|visit| Touch::Put(EntityKind::Visit, visit.to_row())).collect();
            state.commit(PROGRAMME, touches, Default::default())
        });
    }

    /// Sends the same to both and compares every message. What is lost is not noted by the phone.
    async fn sync(&mut self, phone: usize, is_lost: bool, at: usize) {
        for _ in 0..20 {
            let (real, simulated) = &self.phones[phone];
            let hello = real.hello();
            let expected = real.exchange(hello.clone(), &real.pending()).await;
            let sender = Sender { programme: PROGRAMME, user: real.user.0, device: real.id.0 };
            let answer = answer(self.simulated.exchange(sender, &body(simulated, &hello), During::default()));
            let (simulated, real) = (comparable(&answer), comparable(&expected));
            for (simulated, real) in simulated.iter().zip(&real) {
                assert_eq!(simulated, real, "step {at}, phone {phone}");
            }
            assert_eq!(simulated.len(), real.len(), "step {at}, phone {phone}: {simulated:?}\n{real:?}");
            self.note(&expected);
            if is_lost {
                return;
            }
            self.phones[phone].0.take(&expected.messages);
            self.phones[phone].1.take(&answer.messages);
            if expected.end().is_some_and(|end| !end.more) {
                return;
            }
        }
        panic!("the sync does not end");
    }
}

impl Pair {
    fn note(&mut self, answer: &Answer) {
        let results = answer.push_results();
        self.seen.extend(results.iter().flat_map(|r| &r.results).map(|result| format!("{:?}", result.outcome)));
        self.seen.extend(answer.gone().iter().map(|(.., reason)| format!("{reason:?}")));
    }
}

/// The request of a phone whose clock shows what it showed in another hello.
fn body(phone: &Device, at: &Hello) -> Vec<u8> {
    let mut body = Vec::new();
    Message::Hello(Hello { wall_clock: at.wall_clock, ..phone.hello() }).write(&mut body);
    phone.pending().into_iter().for_each(|push: Push| Message::Push(push).write(&mut body));
    body
}

fn answer(response: Response) -> Answer {
    Answer { status: Some(200), retry_after_s: None, messages: response.messages() }
}

/// The messages without what is drawn at random on each side (epochs and the chain of the log) and without the
/// spaces that Postgres puts into JSON.
fn comparable(answer: &Answer) -> Vec<Message> {
    let plain = |message: &Message| match message.clone() {
        Message::Welcome(mut welcome) => {
            welcome.epoch = Uuid::nil();
            Message::Welcome(welcome)
        }
        Message::Checkpoint(mut checkpoint) => {
            if let Some(cursor) = &mut checkpoint.cursor {
                (cursor.epoch, cursor.chain) = (Uuid::nil(), ChainHash::START);
            }
            Message::Checkpoint(checkpoint)
        }
        Message::Rows(mut rows) => {
            rows.rows.iter_mut().flat_map(|row| &mut row.row.values).for_each(without_spaces);
            Message::Rows(rows)
        }
        other => other,
    };
    answer.messages.iter().map(plain).collect()
}

fn without_spaces(value: &mut Value) {
    if let Value::Json(text) = value {
        *text = serde_json::from_str::<serde_json::Value>(text).expect("JSON").to_string();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_servers_say_the_same() {
    let mut seen = BTreeSet::new();
    for seed in 1..=6 {
        let mut pair = Pair::new(seed).await;
        for phone in 0..pair.phones.len() {
            pair.sync(phone, false, 0).await;
        }
        for at in 1..=STEPS {
            pair.step(at).await;
        }
        for phone in 0..pair.phones.len() {
            pair.sync(phone, false, STEPS + 1).await;
        }
        seen.extend(pair.seen);
    }
    for what in ["Merged", "Conflict", "Held", "Rejected", "Deleted", "Left"] {
        assert!(seen.contains(what), "{what} never happened: {seen:?}");
    }
}
