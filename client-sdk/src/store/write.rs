//! Recording changes: checked by the rules, durable in the outbox, shown at once.

use std::collections::BTreeSet;

use sync_protocol::code::ConflictState;
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::Origin;
use sync_protocol::id::UserId;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch::{self, Patch};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::cache::{Base, LOCAL_ONLY};
use super::change::ChangeState;
use super::outbox::{RowKey, execute};
use super::overlay::{Layer, Overlay};
use super::{Inner, Query, Store, query};
use crate::error::{Error, Refusal, Result};

/// A change that is about to be recorded.
#[derive(Debug)]
pub struct Proposal<'p> {
    /// The kind of row.
    pub kind: EntityKind,
    /// The row as it is shown; `None` for a new one.
    pub before: Option<&'p Row>,
    /// The row as it shall be; computed fields may be completed.
    pub after: &'p mut Row,
    /// Who makes the change.
    pub author: UserId,
    /// The time by the device's clock; `None` when that shows less than the server's did last, and so is wrong.
    pub now: Option<Timestamp>,
}

/// Checks changes before they are recorded.
pub trait Validator: Send + Sync {
    /// Returns what the rules refuse; nothing when the change may be recorded.
    fn check(&self, proposal: Proposal<'_>, lookup: &dyn Lookup) -> Result<Vec<Refusal>>;
}

/// What a validator may look up: rows as they are shown, earlier changes of the same batch included.
pub trait Lookup {
    /// Returns one row.
    fn row(&self, kind: EntityKind, id: Uuid) -> Result<Option<Row>>;
    /// Returns every row of a kind whose field names a parent.
    fn children(&self, kind: EntityKind, field: &'static str, parent: Uuid) -> Result<Vec<Row>>;
}

/// A validator without rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptAll;

impl Validator for AcceptAll {
    fn check(&self, _: Proposal<'_>, _: &dyn Lookup) -> Result<Vec<Refusal>> {
        Ok(Vec::new())
    }
}

/// Changes that become durable together.
pub struct WriteBatch<'s> {
    store: &'s Store,
    inner: &'s mut Inner,
    author: UserId,
    now: Timestamp,
    /// The same for the rules; `None` when the clock shows less than the server's did last, and so is wrong.
    judged_now: Option<Timestamp>,
    uptime_ms: u64,
    group: Option<u64>,
    reason: Option<String>,
    recorded: u32,
}

impl Store {
    /// Records changes. They are durable, and shown, when this returns `Ok`; otherwise nothing has happened.
    ///
    /// The whole batch costs one write to the disk. Needs a device that is enrolled: the author is bound here.
    /// Inside `work`, read through the batch: the store itself is locked until it returns.
    pub fn write<T>(&self, work: impl FnOnce(&mut WriteBatch<'_>) -> Result<T>) -> Result<T> {
        let mut inner = self.inner.lock();
        inner.recover().or_else(|error| inner.renew_damaged_cache(error))?;
        if !inner.ballast.restore() {
            return Err(Error::StorageFull { doing: "record a change" });
        }
        let author = inner.outbox.account.ok_or(Error::NeedsSignIn)?.user;
        // The change may rest on rows that have just come: after a crash, it could not be shown without them.
        inner.cache.keep_pages()?;
        inner.cache.begin()?;
        execute(&inner.cache.conn, "SAVEPOINT batch")?;
        let (last, last_hash) = (inner.outbox.last, inner.outbox.last_hash);
        let outcome = self.run_batch(&mut inner, author, work);
        match outcome {
            Ok((value, recorded)) => {
                if let Err(error) = inner.keep_shown() {
                    // The changes are durable, and laid over the cache again at the next opening.
                    tracing::warn!(%error, "the cache could not be written");
                    inner.give_up_cache();
                }
                drop(inner);
                if recorded > 0 {
                    self.notify_recorded();
                }
                Ok(value)
            }
            Err(error) => {
                inner.outbox.roll_back();
                (inner.outbox.last, inner.outbox.last_hash) = (last, last_hash);
                if inner.undo_batch().is_err() {
                    inner.give_up_cache();
                }
                if error.is_damage() {
                    inner.renew_damaged_cache(error)?;
                    return Err(Error::Damaged { file: "cache.db", what: "it was made anew; try again".to_owned() });
                }
                Err(error)
            }
        }
    }

    fn run_batch<T>(
        &self,
        inner: &mut Inner,
        author: UserId,
        work: impl FnOnce(&mut WriteBatch<'_>) -> Result<T>,
    ) -> Result<(T, u32)> {
        let (now, uptime_ms) = (self.world.now(), self.world.uptime_ms());
        let day_ms = inner.outbox.day_ms()?;
        let judged_now = (now.0 >= day_ms).then_some(now);
        let (group, reason, recorded) = (None, None, 0);
        let mut batch = WriteBatch { store: self, inner, author, now, judged_now, uptime_ms, group, reason, recorded };
        batch.inner.outbox.begin()?;
        let value = work(&mut batch)?;
        let recorded = batch.recorded;
        inner.outbox.commit()?;
        Ok((value, recorded))
    }
}

impl WriteBatch<'_> {
    /// Makes the changes that follow one group: the server applies all of them or none.
    pub fn group(&mut self) {
        self.group = Some(self.store.world.random_below(1 << 32));
    }

    /// Gives the reason for the changes that follow.
    pub fn reason(&mut self, reason: impl Into<String>) {
        self.reason = Some(reason.into());
    }

    /// Returns a row as it is shown, earlier changes of this batch included.
    pub fn get(&self, kind: EntityKind, id: Uuid) -> Result<Option<Row>> {
        Ok(self.inner.cache.get((kind, id))?.map(|(_, row)| row))
    }

    /// Returns rows as they are shown, earlier changes of this batch included.
    pub fn list(&self, kind: EntityKind, query: &Query) -> Result<Vec<Row>> {
        let rows = query::run(&self.inner.cache, kind, query)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// Creates a row. Returns the row as recorded, computed fields included.
    pub fn put(&mut self, kind: EntityKind, row: Row) -> Result<Row> {
        let key = (kind, row.id);
        check_row(kind, &row)?;
        if self.inner.cache.get(key)?.is_some() {
            return Err(Error::Exists { kind: kind.def().name, id: row.id });
        }
        let after = self.checked(kind, None, row)?;
        self.record(key, Op::Put, patch::creation(&after), 0)?;
        self.inner.cache.show_own(kind, LOCAL_ONLY, &after)?;
        Ok(after)
    }

    /// Changes some fields of a row. Returns the row as recorded, computed fields included.
    ///
    /// A change of nothing records nothing.
    pub fn patch(&mut self, kind: EntityKind, id: Uuid, patch: &Patch) -> Result<Row> {
        self.change(kind, id, patch, &Patch::new())
    }

    /// Sets fields like [`WriteBatch::patch`], also where the row shows these values already: the person has decided
    /// for them.
    pub fn affirm(&mut self, kind: EntityKind, id: Uuid, patch: &Patch) -> Result<Row> {
        self.change(kind, id, patch, patch)
    }

    fn change(&mut self, kind: EntityKind, id: Uuid, patch: &Patch, affirmed: &Patch) -> Result<Row> {
        let key = (kind, id);
        check_patch(kind, patch)?;
        let (seq, before) = self.shown(key)?;
        let mut after = before.clone();
        patch::apply(&mut after, patch);
        let after = self.checked(kind, Some(&before), after)?;
        let mut changed = patch::diff(&before, &after);
        changed.extend(affirmed.iter().filter(|(at, value)| before.values.get(*at) == Some(value)).cloned());
        changed.sort_unstable_by_key(|(at, _)| *at);
        if changed.is_empty() {
            return Ok(after);
        }
        if self.has_rejected(key) {
            self.supersede(key, &after)?;
        } else {
            self.keep_base(kind, seq, &before)?;
            self.record(key, Op::Patch, changed, self.seen(kind, seq, &before)?)?;
        }
        self.inner.cache.show_own(kind, seq, &after)?;
        Ok(after)
    }

    /// Voids a row. A row that only this device knows, and that the server refused, is simply given up.
    pub fn delete(&mut self, kind: EntityKind, id: Uuid) -> Result<()> {
        let key = (kind, id);
        let (seq, before) = self.shown(key)?;
        // What only refused changes know of is nowhere else. A server's version that has not come again is kept aside.
        let is_laid_over = self.inner.overlay.layers(key).iter().any(|layer| !layer.is_rejected());
        let is_known = seq != LOCAL_ONLY || is_laid_over || self.inner.cache.is_kept_aside(key)?;
        if is_known {
            self.keep_base(kind, seq, &before)?;
            self.record(key, Op::Delete, Patch::new(), self.seen(kind, seq, &before)?)?;
        }
        // Not before: what they show would be taken for the server's version.
        self.settle_rejected(key)?;
        self.inner.cache.hide(key)
    }

    fn shown(&self, key: RowKey) -> Result<(i64, Row)> {
        self.inner.cache.get(key)?.ok_or(Error::NotFound { kind: key.0.def().name, id: key.1 })
    }

    /// Returns the version that a person sees of a row: that of the row, or that of the newest open conflict about
    /// it. Who changes the row before both settles the conflict, also where the row itself was left as it was. While
    /// newer rows of the scope are still to come, the row may be one of them: then a conflict says nothing of it.
    fn seen(&self, kind: EntityKind, seq: i64, row: &Row) -> Result<u64> {
        let known = seq.max(0) as u64;
        if seq == LOCAL_ONLY || kind.def().origin == Origin::Server {
            return Ok(known);
        }
        let about = Query::new().eq("subject_id", row.id).eq("state", ConflictState::Open).limit(u32::MAX);
        let conflicts = query::run(&self.inner.cache, EntityKind::Conflict, &about)?;
        let newest = conflicts.into_iter().map(|(seq, _)| seq.max(0) as u64).max();
        match newest.filter(|newest| *newest > known) {
            Some(newest) if self.inner.is_level(kind, row)? => Ok(newest),
            _ => Ok(known),
        }
    }

    fn checked(&self, kind: EntityKind, before: Option<&Row>, mut after: Row) -> Result<Row> {
        let proposal = Proposal { kind, before, after: &mut after, author: self.author, now: self.judged_now };
        let refusals = self.store.validator.check(proposal, self)?;
        if refusals.is_empty() { Ok(after) } else { Err(Error::Refused(refusals)) }
    }

    /// Keeps the server's version aside before the first change is laid over it.
    fn keep_base(&self, kind: EntityKind, seq: i64, row: &Row) -> Result<()> {
        if seq == LOCAL_ONLY || self.inner.overlay.contains((kind, row.id)) {
            return Ok(());
        }
        self.inner.cache.keep_base(kind, &Base { seq, row: row.clone(), is_gone: false })
    }

    fn record(&mut self, key: RowKey, op: Op, patch: Patch, base_seq: u64) -> Result<()> {
        let inner = &mut *self.inner;
        let first_base = |at: usize| inner.overlay.first_base(key, at).filter(|base| *base != base_seq);
        let patched = patch.iter().filter(|_| op == Op::Patch);
        let field_bases = patched.filter_map(|(at, _)| first_base(*at).map(|base| (*at, base))).collect();
        let mutation = Mutation {
            no: inner.outbox.number(inner.outbox.last + 1),
            op,
            kind: key.0,
            row_id: key.1,
            author: self.author,
            captured_at: self.now,
            uptime_ms: self.uptime_ms,
            base_seq,
            field_bases,
            patch,
            group: self.group,
            reason: self.reason.clone(),
            unknown: Vec::new(),
        };
        let position = inner.outbox.append(&mutation)?;
        inner.overlay.push(position, ChangeState::Pending, 0, &mutation);
        self.recorded += 1;
        Ok(())
    }

    fn has_rejected(&self, key: RowKey) -> bool {
        self.inner.overlay.layers(key).iter().any(Layer::is_rejected)
    }

    /// Records one change that says everything the rejected ones said, as it is now put right. What it repeats of
    /// them has hidden what others wrote there meanwhile: of such a field, the person has seen no more than before.
    fn supersede(&mut self, key: RowKey, after: &Row) -> Result<()> {
        let base = self.inner.cache.base(key)?;
        let accepted = self.inner.lay_over_accepted(key, base.as_ref().map(|base| base.row.clone()))?;
        let seq = base.map_or(0, |base| base.seq.max(0) as u64);
        match accepted {
            Some(accepted) => {
                let mut said = patch::diff(&accepted, after);
                if seq == 0 {
                    self.say_again(key, &accepted, after, &mut said);
                }
                self.record(key, Op::Patch, said, seq)?;
            }
            None => self.record(key, Op::Put, patch::creation(after), 0)?,
        }
        self.settle_rejected(key)
    }

    /// Says also what was refused of a row that comes from a history that was left, where the row has it already: it
    /// may have had it there, and the server has never heard of it.
    fn say_again(&self, key: RowKey, accepted: &Row, after: &Row, said: &mut Patch) {
        let refused = self.refused_fields(key).filter(|at| accepted.values[*at] == after.values[*at]);
        said.extend(refused.map(|at| (at, after.values[at].clone())));
        said.sort_unstable_by_key(|(at, _)| *at);
    }

    /// Returns the fields that refused changes of a row set, each once.
    fn refused_fields(&self, key: RowKey) -> impl Iterator<Item = usize> {
        let layers = self.inner.overlay.layers(key).iter().filter(|layer| layer.is_rejected());
        let fields: BTreeSet<usize> = layers.flat_map(Layer::shown_fields).collect();
        fields.into_iter()
    }

    fn settle_rejected(&mut self, key: RowKey) -> Result<()> {
        let layers = self.inner.overlay.layers(key).iter();
        let rejected: Vec<u64> = layers.filter(|layer| layer.is_rejected()).map(|layer| layer.position).collect();
        for position in rejected {
            self.inner.outbox.set_state(position, ChangeState::Settled, None)?;
            self.inner.overlay.remove(position);
        }
        Ok(())
    }
}

impl Lookup for WriteBatch<'_> {
    fn row(&self, kind: EntityKind, id: Uuid) -> Result<Option<Row>> {
        self.get(kind, id)
    }

    fn children(&self, kind: EntityKind, field: &'static str, parent: Uuid) -> Result<Vec<Row>> {
        self.list(kind, &Query::new().eq(field, parent).limit(u32::MAX))
    }
}

impl Inner {
    fn undo_batch(&mut self) -> Result<()> {
        execute(&self.cache.conn, "ROLLBACK TO batch")?;
        execute(&self.cache.conn, "RELEASE batch")?;
        self.overlay = Overlay::load(&self.outbox)?;
        Ok(())
    }

    fn keep_shown(&mut self) -> Result<()> {
        execute(&self.cache.conn, "RELEASE batch")?;
        self.cache.applied = self.outbox.last;
        self.cache.wrote()
    }

    /// Returns a row with its unsettled changes laid over it; `None` when there is no row or it is voided.
    pub(super) fn lay_over(&self, key: RowKey, base: Option<Row>) -> Result<Option<Row>> {
        self.lay_over_those(key, base, |_| true)
    }

    /// Returns a row with its unsettled changes but for those that the server refused.
    fn lay_over_accepted(&self, key: RowKey, base: Option<Row>) -> Result<Option<Row>> {
        self.lay_over_those(key, base, |state| state != ChangeState::Rejected)
    }

    fn lay_over_those(
        &self,
        key: RowKey,
        base: Option<Row>,
        is_shown: impl Fn(ChangeState) -> bool,
    ) -> Result<Option<Row>> {
        let mut shown = base;
        for layer in self.overlay.layers(key).iter().filter(|layer| is_shown(layer.state)) {
            let mutation = layer.shown(self.outbox.mutation(layer.position)?);
            shown = laid_over(shown, &mutation);
        }
        Ok(shown)
    }
}

/// Returns a row after one change.
pub(super) fn laid_over(row: Option<Row>, mutation: &Mutation) -> Option<Row> {
    match (mutation.op, row) {
        (Op::Put, row) => {
            let mut row = row.unwrap_or_else(|| patch::empty_row(mutation.kind.def(), mutation.row_id));
            patch::apply(&mut row, &mutation.patch);
            Some(row)
        }
        (Op::Patch, Some(mut row)) => {
            patch::apply(&mut row, &mutation.patch);
            Some(row)
        }
        (Op::Patch, None) | (Op::Delete, _) => None,
    }
}

fn check_row(kind: EntityKind, row: &Row) -> Result<()> {
    let def = kind.def();
    if row.values.len() != def.fields.len() {
        return Err(Error::Usage(format!("a {} has {} fields, not {}", def.name, def.fields.len(), row.values.len())));
    }
    let wrong = def.fields.iter().zip(&row.values).find(|(field, value)| !value.fits(field.field_type));
    wrong.map_or(Ok(()), |(field, _)| Err(wrong_type(kind, field.name)))
}

fn check_patch(kind: EntityKind, patch: &Patch) -> Result<()> {
    for (at, value) in patch {
        match kind.def().fields.get(*at) {
            Some(field) if value.fits(field.field_type) => {}
            Some(field) => return Err(wrong_type(kind, field.name)),
            None => return Err(Error::Usage(format!("a {} has no field number {at}", kind.def().name))),
        }
    }
    Ok(())
}

fn wrong_type(kind: EntityKind, field: &str) -> Error {
    Error::Usage(format!("the value of {}.{field} has another type", kind.def().name))
}
