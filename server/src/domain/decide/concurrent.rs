//! Edits that did not know of each other: merged where both can stand, and otherwise both kept, one in the row and
//! one in a conflict row.

use sync_protocol::cursor;
use sync_protocol::entity::{Conflict, Entity as _, EntityKind, Row};
use sync_protocol::id::UserId;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rule::{self, Violation};
use sync_protocol::validate::FIELD;
use sync_protocol::value::Value;

use super::{Decider, Since, Slot, Source, Verdict};
use crate::domain::merge::{self, Clash, History, Writer};
use crate::domain::traces::{self, Voided};
use crate::store::mutations::Outbox;
use crate::store::row_history::FieldChange;

impl Decider<'_> {
    /// Brings back a row that someone deleted while the author of an edit did not know of it. The row stays until a
    /// person decides: deleting it would lose the edit.
    pub(super) fn dig_up(&self, mutation: &Mutation, slot: &mut Slot) -> Option<Voided> {
        let grave = self.loaded.graves.get(&(mutation.kind, mutation.row_id))?;
        if mutation.op != Op::Patch || slot.now.is_some() || slot.is_touched || grave.seq <= mutation.base_seq {
            return None;
        }
        slot.now = Some(grave.row.clone());
        slot.grave = Some(grave.row.clone());
        Some(Voided { kept_by: Some(mutation.author), voided_by: grave.actor.map(UserId) })
    }

    /// Keeps a row apart that this batch brings back, before an edit that came after it: in a history that was left,
    /// others may have seen the row without the edit, and the log must tell one from the other. An edit that names no
    /// version may be as late: its author never heard that the server had the row, and others had it from there.
    pub(super) fn keep_as_seen(&self, mutation: &Mutation, slot: &mut Slot) {
        let is_brought_back = slot.before.is_none() && slot.grave.is_none() && slot.first.is_none();
        let forks = &self.loaded.forks;
        let is_later = cursor::is_lost(forks, mutation.base_seq) || (mutation.base_seq == 0 && !forks.is_empty());
        if is_brought_back && is_later && mutation.op == Op::Patch {
            slot.first.clone_from(&slot.now);
        }
    }

    /// Deletes a row, unless someone has changed it since the sender saw it: then a person decides.
    pub(super) fn delete(&mut self, mutation: &Mutation, mut slot: Slot, source: &Source<'_>) -> Verdict {
        let key = (mutation.kind, mutation.row_id);
        let changes = self.loaded.changes.get(&key).map_or(&[][..], Vec::as_slice);
        let is_unseen = |change: &&FieldChange| change.seq > mutation.base_seq && !source.writer.made(change, mutation);
        let changed_by = changes.iter().rev().find(is_unseen).map(|change| change.actor.map(UserId));
        if let Some(kept_by) = changed_by.or_else(|| self.unseen_conflict(mutation)) {
            let voided = Voided { kept_by, voided_by: Some(mutation.author) };
            if source.is_strict {
                return Verdict::Rejected { code: "CONFLICT", violation: None };
            }
            self.is_verbatim = false;
            return Verdict::Conflict(Vec::new(), Some(voided));
        }
        if let Some(kept) = self.enter_period(mutation, slot.now.as_ref(), None, source) {
            return kept;
        }
        slot.last = slot.now.take();
        self.put(key, slot, None);
        self.settle_conflicts(mutation);
        Verdict::Applied
    }

    /// Returns who lost a conflict about the row that the sender has not seen: that edit changed nothing, and would be
    /// lost with the row.
    fn unseen_conflict(&self, mutation: &Mutation) -> Option<Option<UserId>> {
        let about = self.loaded.conflicts.get(&(mutation.kind, mutation.row_id))?;
        let slots = about.iter().map(|id| self.slot((EntityKind::Conflict, *id)));
        let mut unseen = slots.filter(|slot| slot.seq > mutation.base_seq).filter_map(|slot| slot.now);
        unseen.find(traces::is_about_value).map(|conflict| Conflict::from_row(&conflict).ok().and_then(|c| c.other_by))
    }

    /// Returns the row with the mutation, or the rule that refuses it.
    pub(super) fn merge(
        &self,
        mutation: &Mutation,
        slot: &Slot,
        shown: &Row,
        clashes: &mut Vec<Clash>,
        source: &Source<'_>,
    ) -> Result<Row, Violation> {
        let before = slot.now.as_ref();
        if let Some(current) = before {
            clashes.iter_mut().filter(|clash| clash.is_state).for_each(|clash| {
                self.order_states(mutation, current, clash, source);
            });
        }
        let mut after = with_winners(shown, clashes);
        let Err(violation) = self.check_rules(mutation, before, &mut after, source) else { return Ok(after) };
        let history = before.and_then(|current| self.history(mutation, current, slot, source.writer));
        let Some(history) = history.filter(|_| !source.is_strict) else { return Err(violation) };
        let is_wrong_anywhere = || {
            let position = mutation.kind.def().position(violation.field);
            violation.rule == FIELD && position.is_some_and(|at| mutation.sets(at))
        };
        // Both may be right where their authors stood: edits that cannot stand together are a conflict, no mistake.
        match merge::is_row_known_as_seen(mutation, &history) {
            true => self.check_by_itself(mutation, &history, source)?,
            false if is_wrong_anywhere() => return Err(violation),
            false => {}
        }
        clashes.iter_mut().for_each(Clash::let_server_win);
        let mut after = with_winners(shown, clashes);
        if self.check_rules(mutation, before, &mut after, source).is_ok() && !clashes.is_empty() {
            return Ok(after);
        }
        *clashes = vec![merge::clash_of_row(mutation, &history)];
        let mut after = with_winners(shown, clashes);
        if self.check_rules(mutation, before, &mut after, source).is_err() {
            clashes.iter_mut().for_each(Clash::let_server_win);
            after = history.current.clone();
        }
        Ok(after)
    }

    /// Of two states that cannot follow each other both ways, the later one is shown: who cancels what another one
    /// has done, and who does what another one cancels, end alike whoever comes first.
    fn order_states(&self, mutation: &Mutation, current: &Row, clash: &mut Clash, source: &Source<'_>) {
        let mut incoming = current.clone();
        for field in &clash.fields {
            incoming.values[field.position] = field.incoming.clone();
        }
        let is_step = |from: &Row, to: &Row| {
            let checked = self.check_rules(mutation, Some(from), &mut to.clone(), source);
            checked.err().is_none_or(|violation| violation.rule != rule::STATE)
        };
        let (forward, backward) = (is_step(current, &incoming), is_step(&incoming, current));
        if forward != backward {
            clash.incoming_wins = forward;
        }
    }

    /// Checks a mutation where its author stood: on the row as it was seen there.
    fn check_by_itself(
        &self,
        mutation: &Mutation,
        history: &History<'_>,
        source: &Source<'_>,
    ) -> Result<(), Violation> {
        let whole = merge::clash_of_row(mutation, history);
        let (mut before, mut after) = (history.current.clone(), history.current.clone());
        for field in &whole.fields {
            before.values[field.position] = field.seen.clone().unwrap_or(Value::Null);
            after.values[field.position] = field.incoming.clone();
        }
        let before = (mutation.op != Op::Put).then_some(&before);
        self.check_rules(mutation, before, &mut after, source)
    }

    /// Returns what happened to a row that others changed since the sender saw it, `None` when nobody did.
    fn history<'h>(
        &'h self,
        mutation: &Mutation,
        current: &'h Row,
        slot: &'h Slot,
        writer: Writer<'h>,
    ) -> Option<History<'h>> {
        if slot.grave.is_none() && self.changes_since(mutation, slot, &writer) != Since::Others {
            return None;
        }
        let changes = self.loaded.changes.get(&(mutation.kind, mutation.row_id)).map_or(&[][..], Vec::as_slice);
        let is_put_right = self.loaded.put_right.contains(&(mutation.kind, mutation.row_id));
        let (forks, stored) = (self.loaded.forks.as_slice(), slot.before.as_ref());
        Some(History { current, changes, writer, forks, is_put_right, stored })
    }

    pub(super) fn clashes(&self, mutation: &Mutation, slot: &Slot, writer: Writer<'_>) -> Vec<Clash> {
        let Some(current) = &slot.now else { return Vec::new() };
        let changes = self.loaded.changes.get(&(mutation.kind, mutation.row_id)).map_or(&[][..], Vec::as_slice);
        let (forks, stored) = (self.loaded.forks.as_slice(), slot.before.as_ref());
        let is_put_right = self.loaded.put_right.contains(&(mutation.kind, mutation.row_id));
        merge::clashes(mutation, &History { current, changes, writer, forks, is_put_right, stored })
    }

    pub(super) fn trace_conflicts(
        &mut self,
        mutation: &Mutation,
        clashes: &[Clash],
        voided: Option<&Voided>,
        outbox: &Outbox,
    ) {
        let mutation = &*self.redirected(mutation);
        let scope = self.scope_of((mutation.kind, mutation.row_id));
        let now = self.batch.received_at;
        let fields = clashes.iter().flat_map(|clash| clash.lost().map(move |field| (clash, field)));
        let mut rows: Vec<_> =
            fields.map(|(clash, field)| traces::conflict(mutation, clash, field, scope, outbox, now)).collect();
        rows.extend(voided.map(|voided| traces::voided_conflict(mutation, voided, scope, outbox, now)));
        for trace in rows {
            self.loaded.conflicts.entry((mutation.kind, mutation.row_id)).or_default().push(trace.row.id);
            self.replace(EntityKind::Conflict, trace);
        }
    }
}

/// Returns the row as the sender shows it, with the winner's values wherever two edits met.
fn with_winners(shown: &Row, clashes: &[Clash]) -> Row {
    let mut row = shown.clone();
    for (clash, field) in clashes.iter().flat_map(|clash| clash.fields.iter().map(move |field| (clash, field))) {
        row.values[field.position] = field.kept_and_other(clash.incoming_wins).0.clone();
    }
    row
}
