//! Changes that the server kept: what became of them arrives as rows. A restored server may have lost what was decided:
//! then it says again that it keeps them.

use sync_protocol::code::HeldState;
use sync_protocol::entity::{EntityKind, HeldAnswer, Row};
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::Mutation;
use sync_protocol::rows::{Rows, VersionedRow};
use sync_protocol::value::{FieldValue as _, Value};

use super::archive::DAY_MS;
use super::change::{Answer, ChangeState};
use super::erase;
use super::outbox::{Head, RowKey};
use super::overlay::Overlay;
use super::{Filter, Inner, Query, query};
use crate::error::Result;

/// What the text for people mentions.
type Arg = (&'static str, String);

impl Inner {
    /// Shows changes as waiting again that were decided in a history which the server has left. What it says of them now
    /// comes with the page, which is kept after this: a crash in between only makes it come again.
    pub(super) fn hold_again(&mut self, rows: &[Rows]) -> Result<()> {
        let mut news = Vec::new();
        for item in items(rows) {
            if !self.has_item(item)? {
                news.push(&item.row);
            }
        }
        self.hold_undecided(&news)
    }

    /// The same where the cache has the item as it is on a restored server: a loss of power took the decision from the
    /// cache, and left it in the outbox.
    pub(super) fn hold_known_again(&mut self, upto_seq: u64) -> Result<()> {
        let kept = self.own_items()?;
        let kept: Vec<&Row> = kept.iter().filter(|(seq, _)| *seq <= upto_seq as i64).map(|(_, row)| row).collect();
        self.hold_undecided(&kept)
    }

    fn hold_undecided(&mut self, items: &[&Row]) -> Result<()> {
        let mut again = Vec::new();
        for item in items {
            let Some((position, state)) = self.subject(item)?.filter(|(at, _)| *at <= self.outbox.acked) else {
                continue;
            };
            let Some(head) = self.outbox.heads_between(position - 1, position)?.pop() else { continue };
            if self.is_decided_otherwise(&head, state, item)? {
                again.push((head, self.reason(item, &self.outbox.mutation(position)?)?));
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        self.outbox.durably(|outbox| {
            let mut again = again.iter();
            again.try_for_each(|(head, reason)| outbox.set_state(head.position, ChangeState::Held, Some(reason)))
        })?;
        self.overlay = Overlay::load(&self.outbox)?;
        again.iter().try_for_each(|(head, _)| self.lay_over_shown(head.key))
    }

    /// Returns the items about changes of this device.
    fn own_items(&self) -> Result<Vec<(i64, Row)>> {
        let query = Query::new().filter(Filter::Eq("device_id", Value::Uuid(self.outbox.device))).limit(u32::MAX);
        query::run(&self.cache, EntityKind::HeldItem, &query)
    }

    /// Whether this version of an item, or a later one, is here.
    fn has_item(&self, item: &VersionedRow) -> Result<bool> {
        let known = self.cache.get((EntityKind::HeldItem, item.row.id))?;
        Ok(known.is_some_and(|(seq, _)| seq >= item.seq as i64))
    }

    /// Whether the server says something else of a change than what this device was told was decided.
    fn is_decided_otherwise(&self, head: &Head, state: HeldState, item: &Row) -> Result<bool> {
        Ok(match state {
            _ if head.state == ChangeState::Held => false,
            HeldState::Held => true,
            HeldState::Applied => head.state == ChangeState::Rejected,
            // What was returned for the same reason may have been given up meanwhile.
            HeldState::Returned => self.outbox.answer(head.position)? != answer_of(item),
            _ => false,
        })
    }

    /// Returns why a change waits, as the server said when it came.
    fn reason(&self, item: &Row, change: &Mutation) -> Result<Answer> {
        let code = field(item, "reason_code").as_text().unwrap_or_default().to_owned();
        let arg = match MessageKey::parse(&code) {
            Some(MessageKey::HeldParentMissing) => parent_of(item, change),
            Some(MessageKey::HeldPeriodLocked) => self.period_of(item)?,
            Some(MessageKey::HeldClockImplausible) => offset_of(item),
            _ => None,
        };
        let args = arg.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Ok(Answer { code, rule: None, field: None, message: None, args })
    }

    fn period_of(&self, item: &Row) -> Result<Option<Arg>> {
        let kind = EntityKind::ReportingPeriod;
        let Some(id) = field(item, "waits_for_id").as_uuid() else { return Ok(None) };
        let period = self.cache.get((kind, id))?;
        let code = period.and_then(|(_, row)| row.get(kind.def(), "code").as_text().map(str::to_owned));
        Ok(code.map(|code| ("period", code)))
    }

    /// Returns the held changes that the server has applied meanwhile. Those that it returned become rejected, with
    /// the reason.
    pub(super) fn apply_held_items(&mut self, rows: &[Rows], touched: &mut Vec<RowKey>) -> Result<Vec<u64>> {
        let mut applied = Vec::new();
        for item in items(rows) {
            self.apply_held_item(&item.row, &mut applied, touched)?;
        }
        Ok(applied)
    }

    /// Returns the held changes of which the cache knows that the server has applied them: a loss of power undid that in
    /// the outbox only, and the item does not come again.
    pub(super) fn apply_known_items(&mut self, touched: &mut Vec<RowKey>) -> Result<Vec<u64>> {
        let mut applied = Vec::new();
        if self.overlay.in_state(ChangeState::Held).is_empty() {
            return Ok(applied);
        }
        for (_, item) in self.own_items()? {
            self.apply_held_item(&item, &mut applied, touched)?;
        }
        Ok(applied)
    }

    fn apply_held_item(&mut self, item: &Row, applied: &mut Vec<u64>, touched: &mut Vec<RowKey>) -> Result<()> {
        let Some((position, state)) = self.subject(item)? else { return Ok(()) };
        if !matches!(state, HeldState::Applied | HeldState::Returned) {
            return Ok(());
        }
        let held = self.overlay.in_state(ChangeState::Held);
        let Some((_, key, _)) = held.into_iter().find(|(held, ..)| *held == position) else { return Ok(()) };
        touched.push(key);
        if state == HeldState::Applied {
            applied.push(position);
            return Ok(());
        }
        self.take_back(Head { position, key, state: ChangeState::Held, seq: 0 }, answer_of(item))
    }

    /// Shows a change that the server returned as refused. Of one about an erased person nothing is left.
    fn take_back(&mut self, head: Head, answer: Option<Answer>) -> Result<()> {
        if answer.as_ref().is_some_and(erase::is_erased) {
            self.outbox.durably(|outbox| outbox.empty(&head))?;
        } else {
            self.outbox.set_state(head.position, ChangeState::Rejected, answer.as_ref())?;
        }
        self.overlay.set_state(head.position, ChangeState::Rejected, 0);
        Ok(())
    }

    /// Returns which change of this device an item is about, and how it stands.
    fn subject(&self, item: &Row) -> Result<Option<(u64, HeldState)>> {
        let def = EntityKind::HeldItem.def();
        let state = HeldState::parse(item.get(def, "state").as_text().unwrap_or_default());
        let is_ours = item.get(def, "device_id").as_uuid() == Some(self.outbox.device);
        let incarnation = item.get(def, "incarnation").as_uuid();
        match (incarnation, item.get(def, "mutation_no")) {
            (Some(incarnation), Value::Int(number)) if is_ours => {
                let position = self.outbox.position(incarnation, *number as u64)?;
                Ok(position.map(|position| (position, state)))
            }
            _ => Ok(None),
        }
    }
}

/// Returns the items of a page.
fn items(rows: &[Rows]) -> impl Iterator<Item = &VersionedRow> {
    rows.iter().filter(|rows| rows.kind == Some(EntityKind::HeldItem)).flat_map(|rows| &rows.rows)
}

fn field<'r>(item: &'r Row, name: &str) -> &'r Value {
    item.get(EntityKind::HeldItem.def(), name)
}

/// Returns the kind of the row that a change waits for: its own, or one that it names.
fn parent_of(item: &Row, change: &Mutation) -> Option<Arg> {
    let waits_for = field(item, "waits_for_id").as_uuid()?;
    let named = |(at, value): &(usize, Value)| Some((change.kind.def().fields.get(*at)?.reference?, value.as_uuid()?));
    let mut rows = std::iter::once((change.kind, change.row_id)).chain(change.patch.iter().filter_map(named));
    rows.find(|(_, id)| *id == waits_for).map(|(kind, _)| ("parent", kind.def().name.to_owned()))
}

/// Returns by how much the clock was off that the change was captured by.
fn offset_of(item: &Row) -> Option<Arg> {
    let (Value::Timestamp(held_at), Value::Timestamp(captured_at)) =
        (field(item, "held_at"), field(item, "captured_at"))
    else {
        return None;
    };
    let Value::Int(offset_s) = field(item, "clock_offset_s") else { return None };
    let off_ms = (held_at.0 - captured_at.0 - offset_s * 1_000).abs();
    Some(("offset", format!("{} d", off_ms / DAY_MS)))
}

/// Returns why a change was returned.
fn answer_of(item: &Row) -> Option<Answer> {
    let HeldAnswer { code, rule, field, message, args } =
        HeldAnswer::from_value(item.get(EntityKind::HeldItem.def(), "answer"))?;
    Some(Answer { code, rule, field, message, args })
}
