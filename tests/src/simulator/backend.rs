//! The server of a history: the real code on its store in memory, the planted mistakes of servers around it, and
//! what the checkers look into.

mod erasing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use server::domain::viewer::Viewer;
use server::domain::write::{self, Batch, Incoming};
use server::store::mutations::Outbox;
use server::store::{SyncStore as _, WriteTx as _};
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::{EntityKind, Erasure, Row};
use sync_protocol::id::UserId;
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch::Patch;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use sync_protocol::wire::Outcome;
use uuid::Uuid;

use super::bug::Bug;
use super::cast::Cast;
use super::clock::SimWorld;
use super::deed::deed_of;
use super::server::{CrashAt, During, Response, Seal, Sender, SimServer, State, Touch};
use super::talk::{Answer, at_once, hello_of, torn_apart};

/// The server of a history.
pub struct Backend {
    server: SimServer,
    world: Arc<SimWorld>,
    programmes: Vec<Uuid>,
    bug: Option<Bug>,
    /// Whether the server stops in the request that comes next, and after its commit or before.
    pub crash_next: Option<bool>,
    mutations: u64,
    /// Kept where no backup reaches: the programme, by its place in the cast, and what was erased there.
    erased: Vec<(usize, Erasure)>,
}

/// A copy of everything the server holds.
#[derive(Clone)]
pub struct Backup(State);

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
        Self { server, world, programmes, bug, crash_next: None, mutations: 0, erased: Vec::new() }
    }

    /// Answers a request.
    pub fn exchange(&mut self, programme: usize, user: Uuid, body: &[u8]) -> Answer {
        let Some(hello) = hello_of(body) else { return Answer::new(Vec::new(), false) };
        let body = at_once(&hello, body);
        let sender = Sender { programme: self.programmes[programme], user, device: hello.device.0 };
        let crash = self.crash_next.take().map(|is_after_commit| self.crash_point(is_after_commit));
        if crash.is_some() && self.bug == Some(Bug::AckBeforeCommit) {
            return self.answer_before_commit(sender, &body);
        }
        let body = if self.bug == Some(Bug::GroupTornApart) { torn_apart(&body) } else { body };
        match self.server.exchange(sender, &body, During { crash, ..During::default() }) {
            Response::Frames(chunks) => Answer::new(chunks, true),
            Response::Died(chunks) => Answer::new(chunks, false),
            Response::Refused(..) => Answer::new(Vec::new(), false),
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
            Response::Frames(chunks) | Response::Died(chunks) => Answer::new(chunks, true),
            Response::Refused(..) => Answer::new(Vec::new(), false),
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

    /// Returns every live row of a programme with its version, in the order of kinds and identifiers.
    pub fn each_row(&self, programme: usize, mut look: impl FnMut(EntityKind, &Row, u64)) {
        let (state, programme) = (self.server.store().state(), self.programmes[programme]);
        for (key, row) in state.rows.iter().filter(|((of, ..), _)| *of == programme) {
            look(key.1, row, state.places.get(key).map_or(0, |place| place.seq));
        }
    }

    /// Returns every live row of a programme with its version.
    pub fn all_rows(&self, programme: usize) -> BTreeMap<(EntityKind, Uuid), (Row, u64)> {
        let mut rows = BTreeMap::new();
        self.each_row(programme, |kind, row, seq| drop(rows.insert((kind, row.id), (row.clone(), seq))));
        rows
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

    /// Returns how many permissions hold now.
    pub fn grants(&self, programme: usize) -> usize {
        let users = self.rows(programme, EntityKind::User).into_iter();
        users.map(|(user, _)| self.granted(programme, user.id).len()).sum()
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
                earlier: &[],
                viewer: &viewer,
                received_at,
                clock_offset_ms: 0,
                uptime_ms: None,
                is_strict: true,
                trusts_new: false,
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

    /// Forgets deletions up to a number. Returns whether there were any.
    pub fn prune(&mut self, programme: usize, upto: u64) -> bool {
        let programme = self.programmes[programme];
        self.server.store().change(|state| state.prune(programme, upto))
    }

    /// Returns a copy of everything.
    pub fn back_up(&self) -> Backup {
        Backup(self.server.backup())
    }

    /// Puts a copy in the place of what there is. The newest mark is so many commits older than the copy.
    /// Returns whether anything was lost, and whether something had to be erased again.
    pub fn restore(&mut self, backup: &Backup, marks_ago: usize) -> (bool, bool) {
        let has_lost = self.programmes.iter().any(|of| self.server.store().state().head(*of) != backup.0.head(*of));
        self.server.restore(backup.0.clone(), marks_ago);
        let has_erased = self.bug != Some(Bug::ErasuresNotRepeated) && self.erase_again();
        (has_lost, has_erased)
    }

    /// Returns what the server itself holds, for a look behind its tables.
    pub fn state(&self) -> Arc<State> {
        self.server.store().state()
    }

    /// Returns what the server holds, without what clocks say.
    pub fn state_lines(&self) -> Vec<String> {
        let state = self.server.store().state();
        let lines = state.rows.iter().map(|((programme, kind, id), row)| {
            let fields = row.values.iter().zip(kind.def().fields);
            let timeless = fields.map(|(value, field)| match value {
                Value::Timestamp(_) => "time".to_owned(),
                // Whether anyone can tell when work was done is what clocks say, also of work that waits for its row.
                Value::Null if (*kind, field.name) == (EntityKind::HeldItem, "corrected_at") => "time".to_owned(),
                Value::Int(_) if field.name == "clock_offset_s" => "offset".to_owned(),
                other => other.to_json().to_string(),
            });
            format!("{programme} {} {id} {}", kind.def().name, timeless.collect::<Vec<_>>().join(" "))
        });
        lines.collect()
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
