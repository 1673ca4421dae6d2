//! Decides what becomes of each mutation of a batch. Pure: everything was loaded, nothing is written here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sync_protocol::cursor;
use sync_protocol::entity::{EntityKind, Erasure, Row};
use sync_protocol::id::UserId;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::rule::{self, HOLDER, NAMELESS, Related, RuleContext, Violation};
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{MutationResult, Outcome};
use uuid::Uuid;

use self::approval::{Approval, Rewrite};
use super::load::{Key, Loaded, references};
use super::merge::{Clash, Writer};
use super::traces;
use super::traces::Voided;
use super::viewer::Viewer;
use super::write::{Batch, Incoming};
use crate::store::mutations::HeldMutation;

mod aliased;
mod approval;
mod clock;
mod concurrent;
mod duplicates;
mod erasing;
mod late;
mod merging;
mod months;
mod permission;

/// What a batch does to the rows of one kind.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Rows to create.
    pub created: Vec<Row>,
    /// Rows to replace.
    pub updated: Vec<Row>,
    /// Rows to delete.
    pub deleted: Vec<Uuid>,
}

impl Changes {
    /// Adds what the batch does to a row. Returns whether it gets a new version.
    fn add(&mut self, id: Uuid, slot: Slot) -> bool {
        match (slot.before, slot.now) {
            (None, Some(row)) => {
                // A row that was brought back comes as it was, so that the log tells the edit from it.
                let as_it_was = slot.grave.or(slot.first);
                self.updated.extend(as_it_was.as_ref().filter(|before| **before != row).map(|_| row.clone()));
                self.created.push(as_it_was.unwrap_or(row));
            }
            (Some(before), Some(row)) if before != row => self.updated.push(row),
            (Some(before), None) => {
                // What the batch changed before goes into the log, where an edit that brings the row back finds it.
                self.updated.extend(slot.last.filter(|last| *last != before));
                self.deleted.push(id);
            }
            // Nothing is written, so that the row keeps its version: the device must not give it a new one.
            (Some(_), Some(_)) => return false,
            (None, None) => self.add_voided_again(id, slot.grave, slot.last),
        }
        true
    }

    /// Adds what the batch changed of a row that it brought back and deleted again: the next edit that brings it back
    /// finds that, too.
    fn add_voided_again(&mut self, id: Uuid, grave: Option<Row>, last: Option<Row>) {
        if let Some((as_it_was, last)) = grave.zip(last).filter(|(as_it_was, last)| as_it_was != last) {
            self.created.push(as_it_was);
            self.updated.push(last);
            self.deleted.push(id);
        }
    }
}

/// A mutation that was held and has now another result.
#[derive(Debug)]
pub(super) struct HeldOutcome {
    /// The mutation.
    pub held: HeldMutation,
    /// What became of it.
    pub result: MutationResult,
}

/// What a batch comes to.
#[derive(Debug)]
pub(super) struct Decided {
    /// What to write, by kind.
    pub changes: BTreeMap<EntityKind, Changes>,
    /// One result for each mutation, in order.
    pub results: Vec<MutationResult>,
    /// Mutations that are held no longer.
    pub released: Vec<HeldOutcome>,
    /// Rows of which nothing is kept, not even in the log.
    pub purged: BTreeSet<Key>,
    /// Whether the rows will be exactly what the sender shows.
    pub is_verbatim: bool,
    touched_again: HashSet<Key>,
}

impl Decided {
    /// Returns whether more than one mutation of the batch changed a row.
    pub(super) fn is_touched_again(&self, kind: EntityKind, row: Uuid) -> bool {
        self.touched_again.contains(&(kind, row))
    }
}

/// A row during the batch.
#[derive(Clone, Debug)]
struct Slot {
    /// As it was before the batch.
    before: Option<Row>,
    /// As it is now.
    now: Option<Row>,
    /// The number of its last change before the batch.
    seq: u64,
    /// As it was when someone deleted it, where an edit that did not know of that brings it back.
    grave: Option<Row>,
    /// As others may have seen it in a history that was left: as this batch created it, before what its author did
    /// to it later on.
    first: Option<Row>,
    /// As it was when this batch deleted it.
    last: Option<Row>,
    is_touched: bool,
}

/// What becomes of one mutation.
enum Verdict {
    Applied,
    Merged,
    Conflict(Vec<Clash>, Option<Voided>),
    Held(Hold),
    Rejected { code: &'static str, violation: Option<Violation> },
}

/// The code of a refusal of what is about an erased record.
pub(super) const ERASED: &str = "REJECT_ERASED";

/// Why the server keeps a mutation.
struct Hold {
    code: &'static str,
    /// The row that it waits for.
    waits_for: Option<Uuid>,
    /// What the text for people mentions.
    arg: Option<(&'static str, String)>,
}

/// Rows, related rows, booked periods, verbatim, how many changes were noted: what an atomic group that fails goes back
/// to.
type Saved = (HashMap<Key, Slot>, Related, HashMap<Uuid, Uuid>, bool, usize);

/// What happened to a row after the version that the sender had seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Nothing,
    /// Only changes of the sender, which shows them.
    Own,
    /// Only changes of the sender, of which the server made something else.
    Unseen,
    Others,
}

impl Verdict {
    fn is_written(&self) -> bool {
        matches!(self, Self::Applied | Self::Merged | Self::Conflict(..))
    }

    /// Whether it is about something that was erased. The rest of its group takes effect without it.
    fn is_erased(&self) -> bool {
        matches!(self, Self::Rejected { code, .. } if *code == ERASED)
    }

    fn fails_group(&self) -> bool {
        !self.is_written() && !self.is_erased()
    }

    /// Returns what becomes of it in an atomic group that failed by another one, `None` when the group did not fail.
    fn in_group<'v>(&'v self, failed: Option<&'v Self>) -> &'v Self {
        failed.filter(|_| !self.is_erased()).unwrap_or(self)
    }

    /// Keeps a mutation until a person has looked at it.
    fn review() -> Self {
        Self::Held(Hold { code: "HELD_DEVICE_REVIEW", waits_for: None, arg: None })
    }

    /// Keeps work that was done after its author had lost the permission.
    fn grant_ended() -> Self {
        Self::Held(Hold { code: "HELD_GRANT_ENDED", waits_for: None, arg: None })
    }

    /// Keeps a mutation until a row arrives.
    fn waiting_for((kind, row): Key) -> Self {
        let arg = Some(("parent", kind.def().name.to_owned()));
        Self::Held(Hold { code: "HELD_PARENT_MISSING", waits_for: Some(row), arg })
    }

    fn refused(violation: Violation) -> Self {
        Self::Rejected { code: "REJECT_RULE", violation: Some(violation) }
    }
}

/// On whose behalf a mutation is decided: held work may be another person's than the batch that releases it.
#[derive(Clone, Copy)]
struct Source<'v> {
    viewer: &'v Viewer,
    writer: Writer<'v>,
    clock_offset_ms: i64,
    uptime_ms: Option<u64>,
    /// Of held work: when it was captured, as far as that could be told as it came.
    corrected_at: Option<Timestamp>,
    received_at: Timestamp,
    is_strict: bool,
    /// The decision of a person that this work shall take effect although it was held.
    approval: Option<&'v Approval>,
    /// Whether it belongs to work of which a person has decided so in this batch.
    is_vouched_for: bool,
}

impl<'v> Source<'v> {
    fn of(batch: &Batch<'v>) -> Self {
        Self {
            viewer: batch.viewer,
            writer: Writer { outbox: batch.outbox, earlier: batch.earlier, alias: None },
            clock_offset_ms: batch.clock_offset_ms,
            uptime_ms: batch.uptime_ms,
            corrected_at: None,
            received_at: batch.received_at,
            is_strict: batch.is_strict,
            approval: None,
            is_vouched_for: false,
        }
    }

    fn of_held(held: &HeldMutation, viewer: &'v Viewer, batch: &Batch<'v>) -> Self {
        // What its incarnation continues is known only where the batch comes from the same one.
        let is_known = held.outbox == batch.outbox;
        let earlier = if is_known { batch.earlier } else { &[] };
        let writer = Writer { outbox: held.outbox, earlier, alias: None };
        Self {
            viewer,
            writer,
            clock_offset_ms: held.clock_offset_ms,
            uptime_ms: None,
            corrected_at: held.corrected_at,
            received_at: held.held_at,
            is_strict: false,
            approval: None,
            is_vouched_for: false,
        }
    }

    fn is_office(&self) -> bool {
        self.writer.outbox.device.is_nil()
    }
}

struct Decider<'b> {
    batch: &'b Batch<'b>,
    /// The people who made what was held, besides the sender.
    authors: &'b HashMap<Uuid, Viewer>,
    loaded: Loaded,
    slots: HashMap<Key, Slot>,
    touched_again: HashSet<Key>,
    /// The rows whose changes by the batch were noted beside those of the log, in order.
    noted: Vec<Key>,
    /// What was set where the batch releases held work, by the batch and by what it has released.
    rewritten: HashMap<Key, Vec<Rewrite>>,
    released: Vec<HeldOutcome>,
    /// The rows of held work that a person let take effect, and what belongs to them.
    vouched_for: HashSet<Uuid>,
    purged: BTreeSet<Key>,
    /// The new rows that were refused because they are about someone who was erased, with that erasure.
    refused: BTreeMap<Key, Erasure>,
    is_verbatim: bool,
}

/// Decides a batch.
pub(super) fn decide(batch: &Batch<'_>, mut loaded: Loaded) -> Decided {
    let released = std::mem::take(&mut loaded.released);
    let authors = std::mem::take(&mut loaded.authors);
    let mut decider = Decider {
        batch,
        authors: &authors,
        loaded,
        slots: HashMap::new(),
        touched_again: HashSet::new(),
        noted: Vec::new(),
        rewritten: HashMap::new(),
        released: Vec::new(),
        vouched_for: HashSet::new(),
        purged: BTreeSet::new(),
        refused: BTreeMap::new(),
        is_verbatim: true,
    };
    let mut results = Vec::with_capacity(batch.mutations.len());
    for group in groups(&batch.mutations) {
        decider.decide_group(group, &mut results);
    }
    if !released.is_empty() {
        decider.note_changes(&results);
    }
    decider.release_all(released);
    decider.erase_refused();
    decider.propose_merges();
    decider.finish(results)
}

/// Cuts the mutations into atomic groups; a mutation without a group is one of its own.
fn groups(mutations: &[Incoming]) -> impl Iterator<Item = &[Incoming]> {
    let group_of = |incoming: &Incoming| incoming.mutation.as_ref().and_then(|mutation| mutation.group);
    mutations.chunk_by(move |a, b| group_of(a).is_some() && group_of(a) == group_of(b))
}

impl Decider<'_> {
    /// Decides mutations that take effect together or not at all.
    fn decide_group(&mut self, group: &[Incoming], results: &mut Vec<MutationResult>) {
        let saved = (group.len() > 1).then(|| self.save());
        let verdicts: Vec<Verdict> = group.iter().map(|incoming| self.decide_incoming(incoming)).collect();
        let failed = verdicts.iter().position(Verdict::fails_group);
        if let (Some(_), Some(saved)) = (failed, saved) {
            self.restore(saved);
        }
        for (incoming, verdict) in group.iter().zip(&verdicts) {
            let decisive = verdict.in_group(failed.map(|at| &verdicts[at]));
            let result = self.conclude(incoming.no, decisive);
            results.push(if self.batch.is_office() { result } else { nameless(result) });
            self.trace(incoming, decisive);
        }
    }

    /// Returns what an atomic group that fails goes back to.
    fn save(&self) -> Saved {
        let Loaded { related, booked, .. } = &self.loaded;
        (self.slots.clone(), related.clone(), booked.clone(), self.is_verbatim, self.noted.len())
    }

    fn restore(&mut self, saved: Saved) {
        let noted;
        (self.slots, self.loaded.related, self.loaded.booked, self.is_verbatim, noted) = saved;
        for key in self.noted.drain(noted..) {
            self.loaded.changes.get_mut(&key).and_then(Vec::pop);
        }
    }

    fn decide_incoming(&mut self, incoming: &Incoming) -> Verdict {
        match &incoming.mutation {
            Some(mutation) if mutation.author.0 == self.batch.viewer.user_id => {
                self.decide_mutation(mutation, &Source::of(self.batch))
            }
            // Someone else used the device. The work is kept, and a person decides whose it is.
            _ => Verdict::review(),
        }
    }

    /// Decides a mutation of the row that it names.
    fn decide_named(&mut self, mutation: &Mutation, source: &Source<'_>) -> Verdict {
        let key = (mutation.kind, mutation.row_id);
        let mut slot = self.slot(key);
        let voided = self.dig_up(mutation, &mut slot);
        self.keep_as_seen(mutation, &mut slot);
        if mutation.op == Op::Delete && slot.now.is_none() {
            // Someone was faster; both wanted the same.
            return Verdict::Applied;
        }
        let Some(shown) = shown_by_sender(mutation, slot.now.as_ref()) else {
            return Verdict::waiting_for(key);
        };
        if let Some(held) = source.doubt(mutation) {
            return held;
        }
        if let Some(denied) = self.check_permission(mutation, slot.now.as_ref(), &shown, source) {
            return denied;
        }
        if let Some(parent) = self.missing_parent(mutation) {
            return Verdict::waiting_for(parent);
        }
        if mutation.kind == EntityKind::Erasure && mutation.op == Op::Put {
            return self.erase(mutation, slot, shown, source);
        }
        if mutation.kind == EntityKind::HeldItem {
            return self.judge(mutation, slot.now.as_ref(), shown, source);
        }
        if mutation.kind == EntityKind::MergeProposal {
            return self.decide_merge(mutation, slot, shown, source);
        }
        if mutation.op == Op::Delete {
            return self.delete(mutation, slot, source);
        }
        let mut clashes = self.clashes(mutation, &slot, source.writer);
        if !clashes.is_empty() && source.is_strict {
            return Verdict::Rejected { code: "CONFLICT", violation: None };
        }
        let after = match self.merge(mutation, &slot, &shown, &mut clashes, source) {
            Ok(after) => after,
            Err(violation) => return Verdict::refused(violation),
        };
        if let Some(kept) = self.enter_period(mutation, slot.now.as_ref(), Some(&after), source) {
            return kept;
        }
        let since = self.changes_since(mutation, &slot, &source.writer);
        let is_alone = clashes.is_empty() && voided.is_none();
        self.is_verbatim &= after == shown && is_alone && since != Since::Unseen && since != Since::Others;
        // The sender may show in other fields what a history had that was left.
        self.is_verbatim &= !cursor::is_lost(&self.loaded.forks, mutation.base_seq);
        self.put(key, slot, Some(after));
        self.settle_conflicts(mutation);
        match (is_alone, since) {
            (false, _) => Verdict::Conflict(clashes, voided),
            (true, Since::Others) => Verdict::Merged,
            (true, _) => Verdict::Applied,
        }
    }

    /// Settles the conflicts that the author had seen: the row says now what a person chose.
    fn settle_conflicts(&mut self, mutation: &Mutation) {
        let about = self.loaded.conflicts.get(&(mutation.kind, mutation.row_id)).cloned().unwrap_or_default();
        for id in about {
            let slot = self.slot((EntityKind::Conflict, id));
            // Nobody has seen what this batch finds.
            let seq = if slot.seq == 0 { u64::MAX } else { slot.seq };
            let settled = slot
                .now
                .and_then(|conflict| traces::settled_conflict(&conflict, seq, mutation, self.batch.received_at));
            if let Some(settled) = settled {
                // The author's device does not show it so.
                self.is_verbatim = false;
                self.replace(EntityKind::Conflict, settled);
            }
        }
    }

    fn slot(&self, key: Key) -> Slot {
        self.slots.get(&key).cloned().unwrap_or_else(|| {
            let stored = self.loaded.rows.get(&key);
            let row = stored.map(|stored| stored.row.clone());
            Slot {
                before: row.clone(),
                now: row,
                seq: stored.map_or(0, |stored| stored.seq),
                grave: None,
                first: None,
                last: None,
                is_touched: false,
            }
        })
    }

    fn put(&mut self, key: Key, mut slot: Slot, now: Option<Row>) {
        if let Some(row) = &now {
            self.loaded.related.follow(key.0, row);
            self.loaded.follow_period(key.0, row);
        }
        if slot.is_touched {
            self.touched_again.insert(key);
        }
        slot.is_touched = true;
        slot.now = now;
        self.slots.insert(key, slot);
    }

    /// Writes a row of the server's own, whatever it was before.
    fn replace(&mut self, kind: EntityKind, change: traces::Trace) {
        let key = (kind, change.row.id);
        let mut slot = self.slot(key);
        if change.is_update && slot.before.is_none() && !slot.is_touched {
            slot.before = Some(patch::empty_row(kind.def(), change.row.id));
        }
        self.put(key, slot, Some(change.row));
    }

    fn missing_parent(&self, mutation: &Mutation) -> Option<Key> {
        let exists = |key: &Key| {
            self.slots.get(key).map_or_else(
                || self.loaded.existing.contains(key) || self.loaded.rows.contains_key(key),
                |slot| slot.now.is_some(),
            )
        };
        references(mutation).find(|key| !exists(key))
    }

    fn changes_since(&self, mutation: &Mutation, slot: &Slot, writer: &Writer<'_>) -> Since {
        if slot.before.is_none() || slot.seq <= mutation.base_seq {
            return Since::Nothing;
        }
        let changes = self.loaded.changes.get(&(mutation.kind, mutation.row_id)).map_or(&[][..], Vec::as_slice);
        let mut since = changes.iter().filter(|change| change.seq > mutation.base_seq).peekable();
        match (since.peek().is_some(), since.all(|change| writer.made(change, mutation))) {
            (false, _) | (_, false) => Since::Others,
            (true, true) if changes.iter().all(|change| change.seq <= mutation.base_seq || change.is_verbatim) => {
                Since::Own
            }
            (true, true) => Since::Unseen,
        }
    }

    fn check_rules(
        &self,
        mutation: &Mutation,
        before: Option<&Row>,
        after: &mut Row,
        source: &Source<'_>,
    ) -> Result<(), Violation> {
        let cx = RuleContext {
            now: Some(self.batch.received_at),
            actor: UserId(source.viewer.user_id),
            in_office: source.is_office(),
            related: &self.loaded.related,
        };
        let violations = rule::check(mutation.kind, before, after, &cx);
        if let Some(violation) = violations.into_iter().find(Violation::is_hard) {
            return Err(violation);
        }
        if !source.is_office() {
            rule::on_receipt(mutation.kind, after);
        }
        Ok(())
    }

    /// Writes the rows by which people see what became of a mutation of the batch.
    fn trace(&mut self, incoming: &Incoming, verdict: &Verdict) {
        match (verdict, &incoming.mutation) {
            (Verdict::Conflict(clashes, voided), Some(mutation)) => {
                self.trace_conflicts(mutation, clashes, voided.as_ref(), &self.batch.outbox);
            }
            (Verdict::Held(hold), mutation) => {
                self.is_verbatim = false;
                let captured_at = mutation.as_ref().and_then(|m| Source::of(self.batch).captured_at(m));
                let (code, waits_for) = (hold.code, hold.waits_for);
                let item = traces::held_item(incoming.no, mutation.as_ref(), code, waits_for, captured_at, self.batch);
                self.replace(EntityKind::HeldItem, item);
            }
            (Verdict::Rejected { .. }, _) => self.is_verbatim = false,
            _ => {}
        }
    }

    fn scope_of(&self, key: Key) -> Uuid {
        let programme = self.batch.outbox.programme;
        self.slot(key).now.map_or(programme, |row| row.scope_id(key.0.def(), programme))
    }

    fn conclude(&self, no: u64, verdict: &Verdict) -> MutationResult {
        let (outcome, code) = match verdict {
            Verdict::Applied => (Outcome::Applied, "ACK"),
            Verdict::Merged => (Outcome::Merged, "ACK_MERGED"),
            Verdict::Conflict(..) => (Outcome::Conflict, "CONFLICT"),
            Verdict::Held(hold) => (Outcome::Held, hold.code),
            Verdict::Rejected { code, .. } => (Outcome::Rejected, *code),
        };
        let (violation, arg) = match verdict {
            Verdict::Rejected { violation, .. } => (violation.as_ref(), None),
            Verdict::Held(hold) => (None, hold.arg.as_ref()),
            _ => (None, None),
        };
        let args = violation.map_or(&[][..], |violation| &violation.args).iter().chain(arg);
        MutationResult {
            no,
            outcome,
            code: code.to_owned(),
            rule: violation.map(|violation| violation.rule.to_owned()),
            field: violation.map(|violation| violation.field.to_owned()),
            message: violation.map(|violation| violation.message.code().to_owned()),
            args: args.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }

    fn finish(mut self, results: Vec<MutationResult>) -> Decided {
        let mut changes: BTreeMap<EntityKind, Changes> = BTreeMap::new();
        let mut slots: Vec<(Key, Slot)> = self.slots.drain().collect();
        slots.sort_unstable_by_key(|(key, _)| *key);
        for ((kind, id), slot) in slots {
            self.is_verbatim &= changes.entry(kind).or_default().add(id, slot);
        }
        let Self { released, purged, is_verbatim, touched_again, .. } = self;
        Decided { changes, results, released, purged, is_verbatim, touched_again }
    }
}

/// Leaves out of what is kept and sent what another person is called: who shows it looks that up, as long as it is there.
fn nameless(mut result: MutationResult) -> MutationResult {
    result.args.iter_mut().filter(|(slot, _)| slot == HOLDER).for_each(|(_, name)| NAMELESS.clone_into(name));
    result
}

/// Returns the row as the sender shows it after the mutation; `None` when the row that it changes is not there.
fn shown_by_sender(mutation: &Mutation, current: Option<&Row>) -> Option<Row> {
    let mut row = match (mutation.op, current) {
        (Op::Put, None) => patch::empty_row(mutation.kind.def(), mutation.row_id),
        (Op::Patch, None) => return None,
        (Op::Delete, None) => return Some(patch::empty_row(mutation.kind.def(), mutation.row_id)),
        (_, Some(current)) => current.clone(),
    };
    patch::apply(&mut row, &mutation.patch);
    Some(row)
}
