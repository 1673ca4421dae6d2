//! Held work that is decided again: because what it waited for came, or because a person says so.

use std::collections::{BTreeMap, HashSet};

use sync_protocol::code::HeldState;
use sync_protocol::entity::{Entity as _, EntityKind, HeldItem, Row};
use sync_protocol::id::{HeldItemId, UserId};
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rule::{self, Violation};
use sync_protocol::value::Value;
use sync_protocol::wire::{MutationResult, Outcome};
use uuid::Uuid;

use super::{Decider, HeldOutcome, Source, Verdict, nameless};
use crate::domain::load::Judged;
use crate::domain::merge;
use crate::domain::traces;
use crate::domain::viewer::Viewer;
use crate::store::mutations::{HeldMutation, Outbox};
use crate::store::row_history::FieldChange;

/// That a person lets held work take effect.
pub(super) struct Approval {
    /// The held item.
    pub(super) item: HeldItemId,
    /// The outbox that the work came from.
    pub(super) outbox: Outbox,
    /// Who approves.
    pub(super) by: UserId,
}

/// Held work that a person let take effect.
struct Approved {
    /// The row that it met.
    before: Option<Row>,
    mutation: Mutation,
    verdict: Verdict,
}

/// The fields of a row that a change set which took effect.
pub(super) struct Rewrite {
    outbox: Outbox,
    no: u64,
    fields: HashSet<usize>,
}

/// A held mutation, and on whose behalf it is decided again.
type Waiting<'v> = (&'v Viewer, HeldMutation, Mutation);

impl<'b> Decider<'b> {
    fn author(&self, mutation: &Mutation) -> Option<&'b Viewer> {
        let own = self.batch.viewer;
        if mutation.author.0 == own.user_id { Some(own) } else { self.authors.get(&mutation.author.0) }
    }

    /// Applies what was held, in any order: one may be the parent of another. Each is judged by the permissions of
    /// its own author; what belongs to nobody who may still sign in stays held.
    pub(super) fn release_all(&mut self, held: Vec<(HeldMutation, Mutation)>) {
        let settled: Vec<_> = self.released.iter().map(|outcome| outcome.held.held_item_id).collect();
        let open = held.into_iter().filter(|(held, _)| !settled.contains(&held.held_item_id));
        let known: Vec<Waiting<'b>> =
            open.filter_map(|(held, mutation)| Some((self.author(&mutation)?, held, mutation))).collect();
        let mut waiting: Vec<&[Waiting<'b>]> = known.chunk_by(are_one_group).collect();
        loop {
            let before = waiting.len();
            waiting.retain(|group| !self.release(group));
            if waiting.len() == before {
                return;
            }
        }
    }

    /// Notes what the batch changed, as the log will: the authors of held work have not seen it, and what was held
    /// of the sender is older.
    pub(super) fn note_changes(&mut self, results: &[MutationResult]) {
        let effective = |outcome| matches!(outcome, Outcome::Applied | Outcome::Merged | Outcome::Conflict);
        let pairs = self.batch.mutations.iter().zip(results).filter(|(_, result)| effective(result.outcome));
        let outbox = self.batch.outbox;
        for mutation in pairs.filter_map(|(incoming, _)| incoming.mutation.as_ref()) {
            let key = (mutation.kind, mutation.row_id);
            let before = self.slots.get(&key).and_then(|slot| slot.before.clone());
            self.note_change(mutation, before.as_ref(), &outbox, mutation.row_id);
            self.note_rewrite(mutation, outbox, mutation.no);
        }
    }

    /// Notes what a change set, for what its author had said of that before and still waits.
    fn note_rewrite(&mut self, mutation: &Mutation, outbox: Outbox, no: u64) {
        let fields = mutation.patch.iter().map(|(at, _)| *at).collect();
        self.rewritten.entry((mutation.kind, mutation.row_id)).or_default().push(Rewrite { outbox, no, fields });
    }

    /// Notes a change that its author made of a row by a name, as the log will: who comes next has not seen it. Where
    /// another value was kept, nothing has changed.
    pub(super) fn note_change(&mut self, mutation: &Mutation, before: Option<&Row>, outbox: &Outbox, name: Uuid) {
        let is_put_right = self.loaded.put_right.contains(&(mutation.kind, mutation.row_id));
        let may_meet = match mutation.op {
            Op::Patch => true,
            Op::Put => merge::is_anyones(mutation.row_id) || is_put_right,
            Op::Delete => false,
        };
        if !may_meet {
            return;
        }
        let key = (mutation.kind, mutation.row_id);
        let Some(now) = self.slot(key).now else { return };
        let changed =
            mutation.patch.iter().filter(|(at, _)| before.is_none_or(|row| row.values[*at] != now.values[*at]));
        let old: BTreeMap<String, Value> = changed
            .filter_map(|(at, _)| {
                let value = before.map_or(&Value::Null, |row| &row.values[*at]);
                mutation.kind.def().fields.get(*at).map(|field| (field.name.to_owned(), value.clone()))
            })
            .collect();
        if old.is_empty() {
            return;
        }
        let change = FieldChange {
            row_id: mutation.row_id,
            seq: merge::HERE,
            old,
            outbox: (!outbox.device.is_nil()).then_some(*outbox),
            no: mutation.no,
            actor: Some(mutation.author.0),
            is_verbatim: true,
            names: vec![name],
        };
        self.loaded.changes.entry(key).or_default().push(change);
        self.noted.push(key);
    }

    /// Decides held mutations again, together or not at all. While something else is missing, they wait for that.
    fn release(&mut self, group: &[Waiting<'_>]) -> bool {
        let saved = (group.len() > 1).then(|| self.save());
        let group: Vec<Waiting<'_>> = group.iter().map(|waiting| self.without_rewritten(waiting)).collect();
        let (befores, verdicts): (Vec<_>, Vec<_>) = group.iter().map(|waiting| self.decide_released(waiting)).unzip();
        let failed = verdicts.iter().position(Verdict::fails_group);
        if let (Some(_), Some(saved)) = (failed, saved) {
            self.restore(saved);
        }
        self.is_verbatim = false;
        let decisive = |at: usize| verdicts[at].in_group(failed.map(|at| &verdicts[at]));
        if let Some(Verdict::Held(hold)) = failed.map(|at| &verdicts[at]) {
            let changed = group.iter().filter(|(_, held, _)| held.waits_for_id != hold.waits_for);
            for (_, held, _) in changed {
                self.rewrite_item(held, |item| {
                    (item.waits_for_id, item.reason_code) = (hold.waits_for, hold.code.to_owned());
                });
            }
            return false;
        }
        for (at, (_, held, mutation)) in group.iter().enumerate() {
            self.settle(held, mutation, decisive(at), |_| {});
            if failed.is_none() {
                self.note_released(held, mutation, befores[at].as_ref(), &verdicts[at]);
            }
        }
        true
    }

    /// Notes what held work changed when it took effect: who comes after it in the batch has not seen it.
    fn note_released(&mut self, held: &HeldMutation, mutation: &Mutation, before: Option<&Row>, verdict: &Verdict) {
        self.note_change(mutation, before, &held.outbox, mutation.row_id);
        if verdict.is_written() {
            self.note_rewrite(mutation, held.outbox, held.no);
        }
    }

    /// Returns what became of a held mutation, and the row that it met.
    fn decide_released(&mut self, (viewer, held, mutation): &Waiting<'_>) -> (Option<Row>, Verdict) {
        let before = self.slot((mutation.kind, mutation.row_id)).now;
        let is_vouched_for = held.waits_for_id.is_some_and(|row| self.vouched_for.contains(&row));
        let source = Source { is_vouched_for, ..Source::of_held(held, viewer, self.batch) };
        let verdict = self.decide_mutation(mutation, &source);
        if is_vouched_for && verdict.is_written() {
            self.vouched_for.insert(mutation.row_id);
        }
        (before, verdict)
    }

    /// Leaves out of a held change what its author has set anew since, in the batch, or in what was held as well and
    /// came up before: that came later.
    fn without_rewritten<'v>(&self, (viewer, held, mutation): &Waiting<'v>) -> Waiting<'v> {
        let mut mutation = self.without_overruled(held, mutation);
        let sender = Source::of(self.batch).writer;
        let is_later = |rewrite: &&Rewrite| match rewrite.outbox == held.outbox {
            true => rewrite.no > held.no,
            false => rewrite.outbox == sender.outbox && sender.knows(&held.outbox, held.no),
        };
        let rewrites = self.rewritten.get(&(mutation.kind, mutation.row_id)).into_iter().flatten();
        let rewritten: HashSet<usize> =
            rewrites.filter(is_later).flat_map(|rewrite| &rewrite.fields).copied().collect();
        mutation.patch.retain(|(at, _)| !rewritten.contains(at));
        (*viewer, held.clone(), mutation)
    }

    fn without_overruled(&self, held: &HeldMutation, mutation: &Mutation) -> Mutation {
        let mut mutation = mutation.clone();
        // What creates a row that is not there says all of it.
        let is_whole = mutation.op == Op::Put && self.slot((mutation.kind, mutation.row_id)).now.is_none();
        if let Some(overruled) = self.loaded.overruled.get(&held.held_item_id).filter(|_| !is_whole) {
            mutation.patch.retain(|(at, _)| !overruled.contains(at));
        }
        mutation
    }

    /// Carries out what a person decided about a held change.
    pub(super) fn judge(
        &mut self,
        decision: &Mutation,
        before: Option<&Row>,
        mut after: Row,
        source: &Source<'_>,
    ) -> Verdict {
        if let Err(violation) = self.check_rules(decision, before, &mut after, source) {
            return Verdict::refused(violation);
        }
        let group = self.loaded.judged.get(&decision.row_id).cloned().unwrap_or_default();
        let Ok(item) = HeldItem::from_row(&after) else { return Verdict::review() };
        if group.is_empty() {
            return Verdict::refused(Violation::hard(rule::STATE, "state", MessageKey::HeldDecided));
        }
        match item.state {
            HeldState::Applied => self.approve(&item, &group, source),
            _ => self.send_back(&item, &group, source),
        }
    }

    /// Lets held work take effect, with the group that it belongs to.
    fn approve(&mut self, item: &HeldItem, group: &[Judged], source: &Source<'_>) -> Verdict {
        let saved = self.save();
        let mut written = Vec::with_capacity(group.len());
        for judged in group {
            match self.approve_one(item, judged, source) {
                Ok(applied) => written.push(applied),
                Err(refusal) => {
                    self.restore(saved);
                    return refusal;
                }
            }
        }
        for (judged, Approved { before, mutation, verdict }) in group.iter().zip(&written) {
            let decided = decided_by(item, source);
            self.settle(&judged.held, mutation, verdict, decided);
            self.note_released(&judged.held, mutation, before.as_ref(), verdict);
            self.vouched_for.insert(mutation.row_id);
        }
        Verdict::Applied
    }

    fn approve_one(&mut self, item: &HeldItem, judged: &Judged, source: &Source<'_>) -> Result<Approved, Verdict> {
        let Some(original) = &judged.mutation else {
            return Err(Verdict::refused(Violation::hard(rule::STATE, "state", MessageKey::HeldUnreadable)));
        };
        let is_asked_for = judged.held.held_item_id == item.id.0;
        let correction = item.correction.as_ref().filter(|_| is_asked_for);
        let original = self.without_overruled(&judged.held, original);
        let mutation = traces::corrected(&original, correction).map_err(Verdict::refused)?;
        let (item, outbox, by) =
            (HeldItemId(judged.held.held_item_id), judged.held.outbox, UserId(source.viewer.user_id));
        let approval = Approval { item, outbox, by };
        // What nobody who may still sign in did takes effect on the authority of who approves.
        let viewer = self.author(&mutation).unwrap_or(self.batch.viewer);
        let again = Source { approval: Some(&approval), ..Source::of_held(&judged.held, viewer, self.batch) };
        let before = self.slot((mutation.kind, mutation.row_id)).now;
        match self.decide_mutation(&mutation, &again) {
            Verdict::Held(_) => {
                Err(Verdict::refused(Violation::hard(rule::STATE, "state", MessageKey::HeldStillWaiting)))
            }
            rejected @ Verdict::Rejected { .. } => Err(rejected),
            verdict => Ok(Approved { before, mutation, verdict }),
        }
    }

    /// Gives held work back to its author, who finds it on the device, editable, with the reason.
    fn send_back(&mut self, item: &HeldItem, group: &[Judged], source: &Source<'_>) -> Verdict {
        let reason = item.decision_note.clone().unwrap_or_default();
        for judged in group {
            let result = MutationResult {
                no: judged.held.no,
                outcome: Outcome::Rejected,
                code: "RETURNED".to_owned(),
                rule: None,
                field: None,
                message: Some(MessageKey::HeldReturned.code().to_owned()),
                args: vec![("reason".to_owned(), reason.clone())],
            };
            self.settle_with(&judged.held, result, decided_by(item, source));
        }
        Verdict::Applied
    }

    /// Writes what became of a held mutation.
    fn settle(&mut self, held: &HeldMutation, mutation: &Mutation, verdict: &Verdict, also: impl Fn(&mut HeldItem)) {
        if let Verdict::Conflict(clashes, voided) = verdict {
            self.trace_conflicts(mutation, clashes, voided.as_ref(), &held.outbox);
        }
        let result = nameless(self.conclude(held.no, verdict));
        if verdict.is_erased() {
            // The person was erased while it was on its way here: what it says goes as well.
            self.purged.extend([(mutation.kind, mutation.row_id), (EntityKind::HeldItem, held.held_item_id)]);
            return self.settle_with(held, result, |item| (item.content, item.correction) = (None, None));
        }
        self.settle_with(held, result, also);
    }

    fn settle_with(&mut self, held: &HeldMutation, result: MutationResult, also: impl Fn(&mut HeldItem)) {
        let now = self.batch.received_at;
        self.rewrite_item(held, |item| {
            traces::settle_item(item, &result, now);
            also(item);
        });
        self.is_verbatim = false;
        self.released.push(HeldOutcome { held: held.clone(), result });
    }

    /// Changes the row that shows a held mutation to people.
    fn rewrite_item(&mut self, held: &HeldMutation, change: impl FnOnce(&mut HeldItem)) {
        let key = (EntityKind::HeldItem, held.held_item_id);
        let slot = self.slot(key);
        let Some(mut item) = slot.now.as_ref().and_then(|row| HeldItem::from_row(row).ok()) else { return };
        change(&mut item);
        self.put(key, slot, Some(item.to_row()));
    }
}

/// Says on a held item who decided, and what that person said and changed.
fn decided_by(decision: &HeldItem, source: &Source<'_>) -> impl Fn(&mut HeldItem) + use<> {
    let by = UserId(source.viewer.user_id);
    let (asked, note, correction) = (decision.id, decision.decision_note.clone(), decision.correction.clone());
    move |item| {
        item.decided_by = Some(by);
        item.decision_note.clone_from(&note);
        if item.id == asked {
            item.correction.clone_from(&correction);
        }
    }
}

fn are_one_group((_, held_a, a): &Waiting<'_>, (_, held_b, b): &Waiting<'_>) -> bool {
    held_a.outbox == held_b.outbox && a.group.is_some() && a.group == b.group
}
