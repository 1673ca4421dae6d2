//! Conversations of a device with the server, byte for byte: whoever writes a client in another language plays
//! them against it, and the server must still answer as it always did.
//!
//! The files are `sync-protocol/transcripts/*.txt`. Run with `BLESS=1` to write them after a deliberate change, and
//! read the difference before it is committed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use server::world::FixedWorld;
use sync_protocol::code::Severity;
use sync_protocol::entity::{ChecklistAnswer, Entity, EntityKind, Finding, ScopeGrant, Visit};
use sync_protocol::frame::{Frame, Reader};
use sync_protocol::id::{DeviceId, FindingId, UserId, VisitId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Hello, Message};
use tests::programme::{self, ANA, ENTERPRISES, PROGRAMME, RADU};
use tests::simulator::server::{During, Response, Sender, SimServer, Touch};
use tests::{Device, sample};
use uuid::Uuid;

/// 2026-03-02T08:00:00Z.
const NOW: Timestamp = Timestamp(1_772_438_400_000);
const LIMIT_BYTES: usize = 1 << 20;
const LINE_CHARS: usize = 118;

/// A conversation under way: a server, and what was said so far.
struct Transcript {
    name: &'static str,
    text: String,
    server: SimServer,
    world: Arc<FixedWorld>,
}

impl Transcript {
    fn new(name: &'static str, about: &str, page_rows: usize) -> Self {
        let world = Arc::new(FixedWorld::at(NOW));
        let server = SimServer::new(world.clone(), page_rows);
        let rows = programme::all_rows().into_iter();
        let touches = rows.flat_map(|(kind, rows)| rows.into_iter().map(move |row| Touch::Put(kind, row)));
        server.store().change(|state| state.commit(PROGRAMME, touches.collect(), Default::default()));
        Self { name, text: format!("{about}\n"), server, world }
    }

    fn say(&mut self, what: &str) {
        let _ = write!(self.text, "\n# {what}\n");
    }

    /// The device sends what is pending and takes note of the answer, which is also returned.
    fn sync(&mut self, device: &mut Device) -> Vec<Message> {
        let messages = self.send(device);
        device.take(&messages);
        messages
    }

    /// The device sends what is pending; the answer is lost on its way, or left to the caller.
    fn send(&mut self, device: &Device) -> Vec<Message> {
        let mut body = Vec::new();
        Message::Hello(Hello { wall_clock: NOW, app: "example 1.0".to_owned(), ..device.hello() }).write(&mut body);
        device.pending().into_iter().for_each(|push| Message::Push(push).write(&mut body));
        self.note('>', &body);
        let sender = Sender { programme: PROGRAMME, user: device.user.0, device: device.id.0 };
        let Response::Frames(chunks) = self.server.exchange(sender, &body, During::default()) else {
            panic!("{}: the server does not answer", self.name)
        };
        let answer = chunks.concat();
        self.note('<', &answer).into_iter().map(|frame| Message::read(&frame).expect("a message")).collect()
    }

    /// Payloads are noted as they were before compression: another version of zstd packs them into other bytes.
    fn note(&mut self, way: char, body: &[u8]) -> Vec<Frame> {
        let frames = frames(body);
        for Frame { kind, payload } in &frames {
            let message = Message::read(&Frame { kind: *kind, payload: payload.clone() }).expect("a message");
            let _ = writeln!(self.text, "\n{way} {kind}\n{}", hex(payload));
            said(&message).iter().for_each(|line| self.text.push_str(&format!("; {line}\n")));
        }
        frames
    }

    /// Compares with the stored file, or writes it.
    fn end(self) {
        let path = folder().join(format!("{}.txt", self.name));
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(folder()).expect("the folder can be made");
            std::fs::write(&path, &self.text).expect("the file can be written");
        }
        let stored = std::fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("there is no {}.txt yet: run with BLESS=1 and commit the file", self.name));
        for (at, (stored, now)) in stored.lines().zip(self.text.lines()).enumerate() {
            assert_eq!(stored, now, "{} is not what it was, from line {}", self.name, at + 1);
        }
        assert_eq!(stored.len(), self.text.len(), "{} has another length", self.name);
    }
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../sync-protocol/transcripts"))
}

fn frames(body: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(LIMIT_BYTES);
    reader.push(body);
    let frames = std::iter::from_fn(|| reader.next_frame().expect("the frame is sound")).collect();
    assert!(reader.is_empty(), "the last frame is not whole");
    frames
}

fn hex(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| chunk.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(LINE_CHARS / 2).map(line).collect::<Vec<_>>().join("\n")
}

/// What a message says, in lines of a readable length. A push says what its mutations say.
fn said(message: &Message) -> Vec<String> {
    let says = match message {
        Message::Push(push) => {
            let mutations = push.mutations.iter().map(|payload| Mutation::decode(payload).expect("a mutation"));
            let mutations: Vec<Mutation> = mutations.collect();
            format!("Push {{ first_no: {}, prev_hash: {:?}, mutations: {mutations:?} }}", push.first_no, push.prev_hash)
        }
        other => format!("{other:?}"),
    };
    let mut lines = vec![String::new()];
    for word in says.split_inclusive(' ') {
        let line = lines.last_mut().expect("there is a line");
        if line.len() + word.len() <= LINE_CHARS {
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn device(number: u128, user: UserId) -> Device {
    Device::unconnected(DeviceId(Uuid::from_u128(0xe000 + number)), Uuid::from_u128(0xf000 + number), user)
}

fn visit(number: u128, user: UserId) -> Visit {
    Visit { id: VisitId(Uuid::from_u128(0x1000 + number)), ..sample::visit(ENTERPRISES[0], user) }
}

fn finding(number: u128, visit: &Visit, text: &str) -> Finding {
    Finding { id: FindingId(Uuid::from_u128(0x2000 + number)), ..sample::finding(visit, text) }
}

fn record(device: &mut Device, op: Op, kind: EntityKind, id: Uuid, patch: patch::Patch, base_seq: u64) {
    let draft = device.draft(op, kind, id, patch);
    device.record(Mutation { captured_at: NOW, base_seq, ..draft });
}

fn create<T: Entity>(device: &mut Device, entity: &T) {
    let row = entity.to_row();
    record(device, Op::Put, T::DEF.kind, row.id, patch::creation(&row), 0);
}

fn change<T: Entity>(device: &mut Device, before: &T, after: &T) {
    let (before, after) = (before.to_row(), after.to_row());
    let seq = device.cache.rows[&(T::DEF.kind, after.id)].seq;
    record(device, Op::Patch, T::DEF.kind, after.id, patch::diff(&before, &after), seq);
}

#[test]
fn first_sync() {
    let about = "A device that holds nothing gets the scopes of its person, page by page, and then the cursor.";
    let mut transcript = Transcript::new("first_sync", about, 3);
    let mut ana = device(1, ANA);
    transcript.say("The cursor is empty and there are no scopes: everything comes.");
    transcript.sync(&mut ana);
    transcript.say("Nothing happened since: one request, no rows.");
    transcript.sync(&mut ana);
    transcript.end();
}

#[test]
fn resumed_first_sync() {
    let about = "A first sync that broke off after its second checkpoint goes on from there.";
    let mut transcript = Transcript::new("resumed_first_sync", about, 3);
    let mut ana = device(1, ANA);
    transcript.say("The answer, of which only the first two pages arrive.");
    let messages = transcript.send(&ana);
    let is_checkpoint = |(at, message): (usize, &Message)| matches!(message, Message::Checkpoint(_)).then_some(at);
    let second = messages.iter().enumerate().filter_map(is_checkpoint).nth(1).expect("there are pages");
    ana.take(&messages[..=second]);
    transcript.say("`behind` says where each scope stands.");
    transcript.sync(&mut ana);
    transcript.end();
}

#[test]
fn push_and_retry() {
    let about = "Two changes are pushed. The answer is lost, and the same push comes again.";
    let mut transcript = Transcript::new("push_and_retry", about, 2_000);
    let mut ana = device(1, ANA);
    transcript.sync(&mut ana);
    let visit = visit(1, ANA);
    create(&mut ana, &visit);
    let answer = ChecklistAnswer { value: None, ..sample::answer(&visit, "Q01", "nu se aplică") };
    create(&mut ana, &answer);
    transcript.say("The push is applied as sent (`verbatim`): its rows are not sent back. The answer is lost.");
    transcript.send(&ana);
    transcript.say("Again: nothing is applied twice, and the stored result comes.");
    transcript.sync(&mut ana);
    transcript.end();
}

#[test]
fn conflict() {
    let about = "Two phones change the same text without knowing of each other. Both values are kept.";
    let mut transcript = Transcript::new("conflict", about, 2_000);
    let (mut first, mut second) = (device(1, ANA), device(2, ANA));
    transcript.sync(&mut first);
    let visit = visit(1, ANA);
    let finding = finding(1, &visit, "Lipsește panoul");
    create(&mut first, &visit);
    create(&mut first, &finding);
    transcript.sync(&mut first);
    transcript.sync(&mut second);
    change(&mut second, &finding, &Finding { text: "Panoul lipsește".to_owned(), ..finding.clone() });
    change(&mut first, &finding, &Finding { text: "Panoul este rupt".to_owned(), ..finding.clone() });
    transcript.say("The first one to arrive is simply applied.");
    transcript.sync(&mut second);
    transcript.say("The other one meets it: `conflict`, and the row comes back with a conflict row.");
    transcript.sync(&mut first);
    transcript.say("The phone that was first hears of it.");
    transcript.sync(&mut second);
    transcript.end();
}

#[test]
fn held_and_released() {
    let about = "A finding arrives before its visit, which another phone recorded. It waits and applies itself.";
    let mut transcript = Transcript::new("held_and_released", about, 2_000);
    let (mut first, mut second) = (device(1, ANA), device(2, ANA));
    transcript.sync(&mut first);
    transcript.sync(&mut second);
    let visit = visit(1, ANA);
    create(&mut first, &finding(1, &visit, "Constatare"));
    create(&mut second, &visit);
    transcript.say("The visit is not there: the server keeps the finding and shows it in a held item.");
    transcript.sync(&mut first);
    transcript.say("The visit arrives, and the finding with it.");
    transcript.sync(&mut second);
    transcript.say("The first phone hears that its change took effect.");
    transcript.sync(&mut first);
    transcript.end();
}

#[test]
fn rejected() {
    let about = "A change that breaks a rule stays on the phone; the one after it is applied.";
    let mut transcript = Transcript::new("rejected", about, 2_000);
    let mut ana = device(1, ANA);
    transcript.sync(&mut ana);
    let (mine, others) = (visit(1, ANA), visit(2, ANA));
    let foreign = Visit { enterprise_id: ENTERPRISES[2], ..others };
    create(&mut ana, &foreign);
    create(&mut ana, &mine);
    create(&mut ana, &Finding { severity: Severity::Minor, text: "x".repeat(20_000), ..finding(1, &mine, "") });
    transcript.say("One change is out of scope, one is sound, one is too long.");
    transcript.sync(&mut ana);
    transcript.end();
}

#[test]
fn gap_and_fork() {
    let about = "Numbers that do not continue what the server has.";
    let mut transcript = Transcript::new("gap_and_fork", about, 2_000);
    let mut ana = device(1, ANA);
    transcript.sync(&mut ana);
    create(&mut ana, &visit(1, ANA));
    create(&mut ana, &visit(2, ANA));
    let mut ahead = ana.clone();
    ahead.confirmed = 1;
    transcript.say("Number 2 comes without number 1: the server asks for what it lacks.");
    transcript.send(&ahead);
    transcript.say("Both come.");
    transcript.sync(&mut ana);
    let mut copy = device(1, ANA);
    copy.cache = ana.cache.clone();
    create(&mut copy, &visit(3, ANA));
    transcript
        .say("A copy of the phone, made before, uses number 1 for something else: a new incarnation is demanded.");
    transcript.send(&copy);
    copy.incarnation = Uuid::from_u128(0xf009);
    transcript.say("Under its new incarnation it is welcome.");
    transcript.sync(&mut copy);
    transcript.end();
}

#[test]
fn handover() {
    let about = "An enterprise is given from one mentor to another: it enters one phone and leaves the other.";
    let mut transcript = Transcript::new("handover", about, 2_000);
    let (mut ana, mut radu) = (device(1, ANA), device(2, RADU));
    transcript.sync(&mut ana);
    transcript.sync(&mut radu);
    let ended = ScopeGrant { valid_until_at: Some(NOW), ..programme::grant(ANA, ENTERPRISES[0]) };
    transcript.server.import(PROGRAMME, &[ended, programme::grant(RADU, ENTERPRISES[0])]);
    transcript.world.advance_ms(1_000);
    transcript.say("The new mentor hears of the new list of scopes, and comes back at once (`more`).");
    transcript.sync(&mut radu);
    transcript.say("Now the scope is `behind` from its start, and is filled.");
    transcript.sync(&mut radu);
    transcript.say("The old mentor's phone drops what is no longer in the list.");
    transcript.sync(&mut ana);
    transcript.sync(&mut ana);
    transcript.end();
}

#[test]
fn restored_server() {
    let about = "The server was restored from a backup: another epoch, and it lacks what was acknowledged after it.";
    let mut transcript = Transcript::new("restored_server", about, 2_000);
    let mut ana = device(1, ANA);
    transcript.sync(&mut ana);
    let backup = transcript.server.backup();
    create(&mut ana, &visit(1, ANA));
    transcript.sync(&mut ana);
    transcript.server.restore(backup, 0);
    transcript.say("`history` is not the device's any more, and `last_no` says what is missing.");
    transcript.sync(&mut ana);
    ana.confirmed = 0;
    transcript.say("The device sends again, under the same numbers, what it had kept.");
    transcript.sync(&mut ana);
    transcript.end();
}
