//! Carries out the operations of the office, each as one small batch of the write path.
//!
//! An operation that is refused leaves no trace, so that it can be tried again under the same id. One that took
//! effect is answered from its record when it comes again.

use sync_protocol::code::Role;
use sync_protocol::entity::{Entity, EntityKind, HeldItem, Row};
use sync_protocol::field::ScopeRule;
use sync_protocol::id::UserId;
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{MutationResult, Outcome};
use uuid::Uuid;

use super::operation::{self, Change, Ground, Operation};
use super::policy::{self, Action};
use super::traces;
use super::viewer::Viewer;
use super::write::{self, Batch, Incoming};
use crate::store::mutations::Outbox;
use crate::store::rows::StoredRow;
use crate::store::{StoreError, WriteTx};

/// An operation as it was asked for.
#[derive(Debug)]
pub struct Request<'v> {
    /// Who asks.
    pub viewer: &'v Viewer,
    /// When.
    pub now: Timestamp,
    /// The id that the client made; the same id takes effect once.
    pub mutation_id: Uuid,
    /// The version that the client saw; another one refuses the operation.
    pub expected_version: Option<u64>,
    /// What to do.
    pub operation: Operation,
}

/// What became of an operation.
#[derive(Debug)]
pub enum Reply {
    /// It took effect, now or when the id came first. The number of the commit; 0 when nothing changed.
    Done(u64),
    /// A rule refused it.
    Refused(Box<MutationResult>),
    /// An argument names nothing that would make sense; the name of the argument.
    Unsuitable(&'static str),
    /// The row has another version by now.
    Conflict(u64),
    /// The viewer may see the row, but not do this.
    NotPermitted,
    /// There is no such row, or the viewer may not see it.
    NotFound,
}

/// Carries out an operation in an open transaction. The caller commits when the reply is [`Reply::Done`], and
/// otherwise rolls back.
pub async fn perform(tx: &mut impl WriteTx, request: &Request<'_>) -> Result<Reply, StoreError> {
    let outbox = outbox(request);
    if let Some(target) = tx.target_of(&outbox).await? {
        return Ok(replayed(request, target));
    }
    let Some(subject) = subject(tx, request).await? else { return Ok(Reply::NotFound) };
    if !is_permitted(request, &subject.row) {
        return Ok(Reply::NotPermitted);
    }
    if request.expected_version.is_some_and(|expected| expected != subject.seq) {
        return Ok(Reply::Conflict(subject.seq));
    }
    if let Some(argument) = unsuitable(tx, request, &subject.row).await? {
        return Ok(Reply::Unsuitable(argument));
    }
    let grants = grants(tx, request).await?;
    let restored = restored(tx, request, &subject.row).await?;
    let ground = Ground {
        subject: &subject.row,
        seq: subject.seq,
        grants: &grants,
        restored,
        actor: request.viewer.user_id,
        now: request.now,
        mutation_id: request.mutation_id,
    };
    let written = write::apply(tx, &batch(request, outbox, &request.operation.changes(&ground))).await?;
    let refused = written.results.into_iter().find(|result| !is_effective(result.outcome));
    Ok(refused.map_or(Reply::Done(written.seq), |result| refusal(result, subject.seq)))
}

fn outbox(request: &Request<'_>) -> Outbox {
    Outbox { programme: request.viewer.programme_id, device: Uuid::nil(), incarnation: request.mutation_id }
}

/// An id that was used for another row is a mistake of the client.
fn replayed(request: &Request<'_>, target: (EntityKind, Uuid)) -> Reply {
    let result = request.operation.result(request.mutation_id);
    if target == result { Reply::Done(0) } else { Reply::Unsuitable("clientMutationId") }
}

/// Returns the row that the operation is about, locked, if the viewer may see it.
async fn subject(tx: &mut impl WriteTx, request: &Request<'_>) -> Result<Option<StoredRow>, StoreError> {
    let (kind, id) = request.operation.subject();
    let programme = request.viewer.programme_id;
    let mut found = tx.load_for_update(programme, kind, &[id]).await?.into_iter().next();
    if found.is_none() && matches!(request.operation, Operation::ErasePerson { .. }) {
        found = without_row(tx, programme, kind, id).await?;
    }
    let is_visible = |stored: &StoredRow| {
        let scope = stored.row.scope_id(kind.def(), programme);
        policy::decide(request.viewer, Action::Read, kind, scope, request.now).is_allowed()
    };
    Ok(found.filter(is_visible))
}

/// Returns a record that has no row, as the change says that was to create it: one that is held, or that was refused.
async fn without_row(
    tx: &mut impl WriteTx,
    programme: Uuid,
    kind: EntityKind,
    id: Uuid,
) -> Result<Option<StoredRow>, StoreError> {
    let items = tx.children(programme, EntityKind::HeldItem, "subject_id", &[id]).await?;
    let items = items.iter().filter_map(|row| HeldItem::from_row(row).ok());
    let held =
        items.filter(|item| item.subject_kind == kind.def().name).map(|item| traces::as_held(kind, &item)).next();
    let row = match held {
        Some(row) => Some(row),
        None => tx.refused_creations(programme, kind, &[id]).await?.first().map(created),
    };
    Ok(row.map(|row| StoredRow { row, seq: 0 }))
}

/// Returns a row as a change would have created it.
fn created(mutation: &Mutation) -> Row {
    let mut row = patch::empty_row(mutation.kind.def(), mutation.row_id);
    patch::apply(&mut row, &mutation.patch);
    row
}

fn is_permitted(request: &Request<'_>, subject: &Row) -> bool {
    let programme = request.viewer.programme_id;
    let (action, kind) = request.operation.permission();
    let scope = match kind.def().scope {
        ScopeRule::Programme => programme,
        _ => subject.scope_id(request.operation.subject().0.def(), programme),
    };
    policy::decide(request.viewer, action, kind, scope, request.now).is_allowed()
}

/// Returns the argument that makes no sense: someone who is not a mentor at work, a conflict that is settled.
async fn unsuitable(
    tx: &mut impl WriteTx,
    request: &Request<'_>,
    subject: &Row,
) -> Result<Option<&'static str>, StoreError> {
    let mentor = match &request.operation {
        Operation::AssignMentor { mentor, .. } => Some(*mentor),
        Operation::PlanVisit { values, .. } => {
            values.iter().find(|(name, _)| *name == "mentor_id").and_then(|(_, value)| value.as_uuid())
        }
        Operation::ResolveConflict { takes_other, .. } => {
            let state = subject.get(EntityKind::Conflict.def(), "state").as_text();
            let is_readable = !takes_other || operation::restored(subject, 0).is_some();
            return Ok((state == Some("RESOLVED") || !is_readable).then_some("conflictId"));
        }
        Operation::LockPeriod { .. } | Operation::UnlockPeriod { .. } => {
            let is_locked = subject.get(EntityKind::ReportingPeriod.def(), "state").as_text() == Some("LOCKED");
            let is_to_be_locked = matches!(request.operation, Operation::LockPeriod { .. });
            return Ok((is_locked == is_to_be_locked).then_some("periodId"));
        }
        _ => None,
    };
    let Some(mentor) = mentor else { return Ok(None) };
    let viewer = tx.viewer(request.viewer.programme_id, mentor).await?;
    Ok((!viewer.is_some_and(|viewer| viewer.role == Role::Mentor)).then_some("mentorId"))
}

/// Returns the change that brings the other value of a conflict back to the row as it is now.
async fn restored(tx: &mut impl WriteTx, request: &Request<'_>, subject: &Row) -> Result<Option<Change>, StoreError> {
    let Operation::ResolveConflict { takes_other: true, .. } = request.operation else { return Ok(None) };
    let Some((kind, id)) = operation::subject_of(subject) else { return Ok(None) };
    let found = tx.load_for_update(request.viewer.programme_id, kind, &[id]).await?;
    Ok(found.first().and_then(|stored| operation::restored(subject, stored.seq)))
}

/// Returns the grants on the enterprise whose mentor changes, with their versions.
async fn grants(tx: &mut impl WriteTx, request: &Request<'_>) -> Result<Vec<(Row, u64)>, StoreError> {
    let Operation::AssignMentor { enterprise, .. } = request.operation else { return Ok(Vec::new()) };
    let (programme, kind) = (request.viewer.programme_id, EntityKind::ScopeGrant);
    let found = tx.children(programme, kind, "scope_id", &[enterprise]).await?;
    let ids: Vec<Uuid> = found.iter().map(|grant| grant.id).collect();
    let locked = tx.load_for_update(programme, kind, &ids).await?;
    Ok(locked.into_iter().map(|stored| (stored.row, stored.seq)).collect())
}

/// The change of the row that the client gets to see comes first: its record tells a retry.
fn batch<'v>(request: &Request<'v>, outbox: Outbox, changes: &[Change]) -> Batch<'v> {
    let result = request.operation.result(request.mutation_id);
    let mut ordered: Vec<&Change> = changes.iter().collect();
    ordered.sort_by_key(|change| (change.kind, change.row_id) != result);
    batch_of(request.viewer, outbox, request.now, &ordered)
}

/// Returns changes of the office as one batch, which takes effect whole or not at all.
fn batch_of<'v>(viewer: &'v Viewer, outbox: Outbox, now: Timestamp, changes: &[&Change]) -> Batch<'v> {
    let mut hash = ChainHash::START;
    let mutations = (1..).zip(changes).map(|(no, change)| {
        let mutation = mutation(viewer, now, no, change);
        let payload = mutation.encode();
        hash = hash.then(&payload);
        Incoming { no, hash, payload, mutation: Some(mutation) }
    });
    Batch {
        outbox,
        earlier: &[],
        viewer,
        received_at: now,
        clock_offset_ms: 0,
        uptime_ms: None,
        is_strict: true,
        trusts_new: false,
        mutations: mutations.collect(),
    }
}

fn mutation(viewer: &Viewer, now: Timestamp, no: u64, change: &Change) -> Mutation {
    Mutation {
        no,
        op: change.op,
        kind: change.kind,
        row_id: change.row_id,
        author: UserId(viewer.user_id),
        captured_at: now,
        uptime_ms: 0,
        base_seq: change.base_seq,
        field_bases: Vec::new(),
        patch: change.patch.clone(),
        group: Some(1),
        reason: None,
        unknown: Vec::new(),
    }
}

/// Creates a row in the name of someone in the office whose permission was judged before. `id` is that of the operation.
/// The caller commits. Returns the number of the commit.
pub async fn repeat_creation<T: Entity>(
    tx: &mut impl WriteTx,
    viewer: &Viewer,
    (id, now): (Uuid, Timestamp),
    created: &T,
) -> Result<u64, StoreError> {
    let row = created.to_row();
    let change = Change { op: Op::Put, kind: T::DEF.kind, row_id: row.id, base_seq: 0, patch: patch::creation(&row) };
    let outbox = Outbox { programme: viewer.programme_id, device: Uuid::nil(), incarnation: id };
    Ok(write::apply(tx, &batch_of(viewer, outbox, now, &[&change])).await?.seq)
}

fn is_effective(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Applied | Outcome::Merged)
}

fn refusal(result: MutationResult, seq: u64) -> Reply {
    match (result.outcome, result.code.as_str()) {
        (Outcome::Held, _) => Reply::NotFound,
        (_, "CONFLICT") => Reply::Conflict(seq),
        (_, "REJECT_SCOPE") => Reply::NotPermitted,
        _ => Reply::Refused(Box::new(result)),
    }
}
