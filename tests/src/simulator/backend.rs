//! The server of a history: the real code on its store in memory, the planted mistakes of servers around it, and
//! what the checkers look into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use server::domain::viewer::Viewer;
use server::domain::write::{self, Batch, Incoming};
use server::store::mutations::Outbox;
use server::store::{SyncStore as _, WriteTx as _};
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::frame::{self, Frame, Reader};
use sync_protocol::id::UserId;
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch::Patch;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use sync_protocol::wire::{Hello, Message, Outcome};
use uuid::Uuid;

use super::bug::Bug;
use super::cast::Cast;
use super::clock::SimWorld;
use super::deed::deed_of;
use super::dice::Dice;
use super::server::{CrashAt, During, Response, Seal, Sender, SimServer, State, Touch};

/// As the server reads requests.
const MAX_FRAME_BYTES: usize = 8 << 20;

/// The server of a history.
pub struct Backend {
    server: SimServer,
    world: Arc<SimWorld>,
    programmes: Vec<Uuid>,
    bug: Option<Bug>,
    /// Whether the server stops in the request that comes next, and after its commit or before.
    pub crash_next: Option<bool>,
    mutations: u64,
}

/// A copy of everything the server holds.
#[derive(Clone)]
pub struct Backup(State);

/// What the server said to a request.
#[derive(Debug)]
pub struct Answer {
    /// What it sent, piece by piece.
    pub chunks: Vec<Bytes>,
    /// Whether it came to the end.
    pub is_whole: bool,
}

/// A mutation as the server keeps it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Device, incarnation and number.
    pub identity: (Uuid, Uuid, u64),
    /// The deed that it carries out, when it says so.
    pub deed: Option<usize>,
    /// The kind of row, if it is known.
    pub kind: Option<EntityKind>,
    /// The row.
    pub row: Uuid,
    /// `A` applied, `M` merged, `C` conflict, `H` held, `R` rejected.
    pub outcome: char,
    /// When the server received it.
    pub received_at: Timestamp,
    /// The commit that applied it; 0 when none did.
    pub seq: u64,
    /// How often it was taken.
    pub times: u32,
}

impl Kept {
    /// Returns whether it changed a row.
    pub fn is_effective(&self) -> bool {
        matches!(self.outcome, 'A' | 'M' | 'C')
    }
}

impl Backend {
    /// Starts a server that holds what the programmes begin with.
    pub fn new(world: Arc<SimWorld>, cast: &Cast, page_rows: usize, bug: Option<Bug>) -> Self {
        let mut server = SimServer::new(world.clone(), page_rows);
        let programmes: Vec<Uuid> = cast.programmes.iter().map(|programme| programme.id).collect();
        for (at, programme) in programmes.iter().enumerate() {
            let touches = cast.rows(at).into_iter().map(|(kind, row)| Touch::Put(kind, row)).collect();
            server.store().change(|state| state.commit(*programme, touches, Seal::default()));
        }
        server.plant(bug);
        Self { server, world, programmes, bug, crash_next: None, mutations: 0 }
    }

    /// Answers a request.
    pub fn exchange(&mut self, programme: usize, user: Uuid, body: &[u8]) -> Answer {
        let Some(hello) = hello_of(body) else { return Answer { chunks: Vec::new(), is_whole: false } };
        let body = at_once(body);
        let sender = Sender { programme: self.programmes[programme], user, device: hello.device.0 };
        let crash = self.crash_next.take().map(|is_after_commit| self.crash_point(is_after_commit));
        if crash.is_some() && self.bug == Some(Bug::AckBeforeCommit) {
            return self.answer_before_commit(sender, &body);
        }
        let body = if self.bug == Some(Bug::GroupTornApart) { torn_apart(&body) } else { body };
        match self.server.exchange(sender, &body, During { crash, ..During::default() }) {
            Response::Frames(chunks) => Answer { chunks, is_whole: true },
            Response::Died(chunks) => Answer { chunks, is_whole: false },
            Response::Refused(..) => Answer { chunks: Vec::new(), is_whole: false },
        }
    }

    fn crash_point(&mut self, is_after_commit: bool) -> CrashAt {
        self.mutations += 1;
        if is_after_commit { CrashAt::AfterCommit(1) } else { CrashAt::Call(2 + (self.mutations % 14) as u32) }
    }

    /// The planted mistake: what was answered is not kept.
    fn answer_before_commit(&mut self, sender: Sender, body: &[u8]) -> Answer {
        let before = self.back_up();
        let answer = self.server.exchange(sender, body, During::default());
        self.server.store().replace(before.0);
        self.server.restart();
        match answer {
            Response::Frames(chunks) | Response::Died(chunks) => Answer { chunks, is_whole: true },
            Response::Refused(..) => Answer { chunks: Vec::new(), is_whole: false },
        }
    }

    /// Returns the head of a programme.
    pub fn head(&self, programme: usize) -> Cursor {
        self.server.store().state().head(self.programmes[programme])
    }

    /// Returns the head at which a request waits for news, `None` when it is answered at once.
    pub fn head_to_wait_at(&self, programme: usize, body: &[u8]) -> Option<u64> {
        let hello = hello_of(body)?;
        let head = self.head(programme);
        (hello.cursor == head && hello.behind.is_empty()).then_some(head.seq)
    }

    /// Returns every live row of a kind, with its version, in the order of the identifiers.
    pub fn rows(&self, programme: usize, kind: EntityKind) -> Vec<(Row, u64)> {
        let (state, programme) = (self.server.store().state(), self.programmes[programme]);
        let rows = state.rows.range((programme, kind, Uuid::nil())..=(programme, kind, Uuid::max()));
        rows.map(|(key, row)| (row.clone(), state.places.get(key).map_or(0, |place| place.seq))).collect()
    }

    /// Returns every live row of a programme with its version.
    pub fn all_rows(&self, programme: usize) -> BTreeMap<(EntityKind, Uuid), (Row, u64)> {
        let (state, programme) = (self.server.store().state(), self.programmes[programme]);
        let own = state.rows.iter().filter(|((of, ..), _)| *of == programme);
        own.map(|(key, row)| ((key.1, key.2), (row.clone(), state.places.get(key).map_or(0, |place| place.seq))))
            .collect()
    }

    /// Returns whether a row was ever there.
    pub fn was_there(&self, programme: usize, kind: EntityKind, id: Uuid) -> bool {
        self.server.store().state().places.contains_key(&(self.programmes[programme], kind, id))
    }

    /// Returns every mutation that a programme keeps, the office's too.
    pub fn kept(&self, programme: usize) -> Vec<Kept> {
        let (state, programme) = (self.server.store().state(), self.programmes[programme]);
        let own = state.mutations.iter().filter(|((outbox, _), _)| outbox.0 == programme);
        own.map(|((outbox, no), kept)| {
            let payload = kept.record.payload.as_deref();
            let decoded = payload.map(Mutation::decode);
            let sealed = state.seal_of(outbox, *no).map(|(seq, _)| seq);
            Kept {
                identity: (outbox.1, outbox.2, *no),
                deed: decoded.as_ref().and_then(|decoded| deed_of(decoded.as_ref().ok()?)),
                kind: EntityKind::from_number(kept.record.kind),
                row: kept.record.row_id,
                outcome: kept.record.outcome,
                received_at: kept.record.received_at,
                seq: kept.applied_seq.or(sealed).unwrap_or(0),
                times: kept.times,
            }
        })
        .collect()
    }

    /// Returns whether a person may not sign in.
    pub fn is_barred(&self, user: Uuid) -> bool {
        let at = EntityKind::User.def().position("is_active").unwrap_or_default();
        let state = self.server.store().state();
        let found = self.programmes.iter().find_map(|of| state.rows.get(&(*of, EntityKind::User, user)));
        found.is_none_or(|row| row.values[at] == Value::Bool(false))
    }

    /// Returns the enterprises on which a person has a permission now, by what the office has decided.
    pub fn granted(&self, programme: usize, user: Uuid) -> BTreeSet<Uuid> {
        let def = EntityKind::ScopeGrant.def();
        let now = server::world::World::now(self.world.as_ref());
        let rows = self.rows(programme, EntityKind::ScopeGrant).into_iter().map(|(row, _)| row);
        rows.filter(|row| row.get(def, "user_id").as_uuid() == Some(user))
            .filter(|row| match (row.get(def, "valid_from_at"), row.get(def, "valid_until_at")) {
                (Value::Timestamp(from), Value::Timestamp(until)) => *from <= now && now < *until,
                (Value::Timestamp(from), _) => *from <= now,
                _ => false,
            })
            .filter_map(|row| row.get(def, "scope_id").as_uuid())
            .collect()
    }

    /// Carries out a change of the office through the one write path. An office change that meets another one is
    /// refused.
    pub fn edit(
        &mut self,
        cast: &Cast,
        who: (usize, Uuid),
        what: (EntityKind, Uuid, Op),
        patch: Patch,
        base_seq: u64,
        reason: String,
    ) -> Result<(), String> {
        debug_assert_eq!(self.programmes[who.0], cast.programmes[who.0].id);
        let now = server::world::World::now(self.world.as_ref());
        let (kind, row_id, op) = what;
        let mutation = Mutation {
            no: 1,
            op,
            kind,
            row_id,
            author: UserId(who.1),
            captured_at: now,
            uptime_ms: 0,
            base_seq,
            field_bases: Vec::new(),
            patch,
            group: None,
            reason: Some(reason),
            unknown: Vec::new(),
        };
        self.mutations += 1;
        let incarnation = Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.mutations.to_be_bytes());
        self.perform(who.0, incarnation, mutation)
    }

    fn perform(&mut self, programme: usize, incarnation: Uuid, mutation: Mutation) -> Result<(), String> {
        let store = self.server.store().beside();
        let programme = self.programmes[programme];
        let received_at = mutation.captured_at;
        let payload = mutation.encode();
        let incoming =
            Incoming { no: 1, hash: ChainHash::START.then(&payload), payload, mutation: Some(mutation.clone()) };
        let work = async move {
            let mut tx = store.write_tx().await.map_err(|error| error.to_string())?;
            let viewer = tx.viewer(programme, mutation.author.0).await.map_err(|error| error.to_string())?;
            let viewer: Viewer = viewer.ok_or("nobody who may sign in")?;
            let batch = Batch {
                outbox: Outbox { programme, device: Uuid::nil(), incarnation },
                viewer: &viewer,
                received_at,
                clock_offset_ms: 0,
                is_strict: true,
                mutations: vec![incoming].into(),
            };
            let written = write::apply(&mut tx, &batch).await.map_err(|error| error.to_string())?;
            let result = written.results.into_iter().next().ok_or("no result")?;
            if matches!(result.outcome, Outcome::Applied | Outcome::Merged | Outcome::Conflict) && written.seq > 0 {
                tx.commit().await.map_err(|error| error.to_string())
            } else {
                tx.rollback().await.map_err(|error| error.to_string())?;
                Err(format!("{:?} {} {:?}", result.outcome, result.code, result.message))
            }
        };
        futures::executor::block_on(work)
    }

    /// Returns a copy of everything.
    pub fn back_up(&self) -> Backup {
        Backup(self.server.backup())
    }

    /// Puts a copy in the place of what there is.
    pub fn restore(&mut self, backup: &Backup) {
        self.server.restore(backup.0.clone());
    }

    /// Returns what the server holds, without what clocks say.
    pub fn state_lines(&self) -> Vec<String> {
        let state = self.server.store().state();
        let lines = state.rows.iter().map(|((programme, kind, id), row)| {
            let timeless = row.values.iter().map(|value| match value {
                Value::Timestamp(_) => "time".to_owned(),
                other => other.to_json().to_string(),
            });
            format!("{programme} {} {id} {}", kind.def().name, timeless.collect::<Vec<_>>().join(" "))
        });
        lines.collect()
    }

    /// Adds frames of a newer version that an older application skips.
    pub fn with_newer_frames(&self, chunks: Vec<Bytes>, chance: u32, dice: &mut Dice) -> Vec<Bytes> {
        if chance == 0 || chunks.is_empty() {
            return chunks;
        }
        let add = |chunk: Bytes| {
            let mut bytes = Vec::new();
            for frame in frames(&chunk) {
                frame::write(&mut bytes, frame.kind, &frame.payload);
                if dice.per_mille(chance) {
                    frame::write(&mut bytes, frame::SKIPPABLE | 0x21, b"something new");
                }
            }
            Bytes::from(bytes)
        };
        chunks.into_iter().map(add).collect()
    }
}

/// The planted mistake of a server that numbers its work at the beginning.
impl Backend {
    /// Begins a transaction of the office that stays open. Returns the number that it took, if it took one.
    pub fn begin_slow(&mut self, programme: usize) -> Option<u64> {
        let programme = self.programmes[programme];
        let is_wrong = self.bug == Some(Bug::PlainSequence);
        is_wrong.then(|| self.server.store().change(|state| state.reserve(programme)))
    }

    /// Gives what was committed last the number that its transaction took at its beginning.
    pub fn number_as(&mut self, programme: usize, early: u64) {
        let programme = self.programmes[programme];
        self.server.store().change(|state| state.renumber(programme, early));
    }
}

/// Returns the first message of a request.
pub fn hello_of(body: &[u8]) -> Option<Hello> {
    match Message::read(frames(body).first()?).ok()? {
        Message::Hello(hello) => Some(hello),
        _ => None,
    }
}

/// Returns the frames of a body, as far as they can be read.
pub fn frames(body: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(MAX_FRAME_BYTES);
    reader.push(body);
    std::iter::from_fn(|| reader.next_frame().ok().flatten()).collect()
}

/// Returns a request that does not wait for news: waiting is done by the history.
fn at_once(body: &[u8]) -> Vec<u8> {
    rewritten(body, |message| {
        if let Message::Hello(hello) = message {
            hello.wait_ms = 0;
        }
    })
}

/// The planted mistake: every mutation is a push of its own.
fn torn_apart(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames(body) {
        match Message::read(&frame) {
            Ok(Message::Push(push)) => {
                let (mut hash, numbered) = (push.prev_hash, (push.first_no..).zip(push.mutations));
                for (no, mutation) in numbered {
                    let next = hash.then(&mutation);
                    let single = sync_protocol::wire::Push { first_no: no, prev_hash: hash, mutations: vec![mutation] };
                    Message::Push(single).write(&mut out);
                    hash = next;
                }
            }
            _ => frame::write(&mut out, frame.kind, &frame.payload),
        }
    }
    out
}

fn rewritten(body: &[u8], mut change: impl FnMut(&mut Message)) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames(body) {
        match Message::read(&frame) {
            Ok(mut message @ Message::Hello(_)) => {
                change(&mut message);
                message.write(&mut out);
            }
            _ => frame::write(&mut out, frame.kind, &frame.payload),
        }
    }
    out
}

/// Returns what is in a chunk of a response, in a few words.
pub fn describe(chunk: &[u8]) -> String {
    let frames = frames(chunk);
    let words = frames.iter().map(|frame| match Message::read(frame) {
        Ok(Message::Welcome(w)) => format!("welcome {:?} head {} last_no {}", w.history, w.head, w.last_no),
        Ok(Message::PushResult(r)) => {
            let results: Vec<String> =
                r.results.iter().map(|r| format!("{}:{:?}:{}", r.no, r.outcome, r.code)).collect();
            format!("result upto {} {:?} {}", r.upto_no, r.demand, results.join(","))
        }
        Ok(Message::Scopes(s)) => format!("scopes {}", s.scopes.len()),
        Ok(Message::Rows(r)) => format!("{} {}", r.rows.len(), r.kind.map_or("?", |kind| kind.def().name)),
        Ok(Message::Gone(g)) => format!("gone {}", g.rows.len()),
        Ok(Message::Checkpoint(c)) => format!("checkpoint {:?}", c.cursor.map(|cursor| cursor.seq)),
        Ok(Message::End(e)) => format!("end {}", if e.more { "more" } else { "" }),
        Ok(Message::Fault(f)) => format!("fault {}", f.code),
        Ok(other) => format!("{:?}", std::mem::discriminant(&other)),
        Err(error) => error.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}
