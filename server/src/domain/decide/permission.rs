//! Whether the author of a mutation may make it, as of when the work was done.

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::Origin;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{Decider, Source, Verdict};
use crate::domain::policy::{self, Action};
use crate::domain::viewer::Viewer;

impl Decider<'_> {
    /// Returns what becomes of a mutation that its author may not make; `None` when it is allowed.
    pub(super) fn check_permission(
        &self,
        mutation: &Mutation,
        before: Option<&Row>,
        after: &Row,
        source: &Source<'_>,
    ) -> Option<Verdict> {
        let denied = Some(Verdict::Rejected { code: "REJECT_SCOPE", violation: None });
        let def = mutation.kind.def();
        let is_offered = is_offered(mutation, before.is_some(), source.is_office());
        let actions = policy::needed(mutation.op, mutation.kind, before, after, &mutation.patch);
        // Both sides, or moving a row would leak it.
        let scopes = || before.into_iter().chain([after]).map(|row| row.scope_id(def, self.batch.outbox.programme));
        let may = |viewer: &Viewer, scope, at| {
            let decide = |action: &Action| policy::decide(viewer, *action, mutation.kind, scope, at);
            actions.iter().all(|action| decide(action).is_allowed())
        };
        // Who approves what nobody can date lets it count as work of the day on which it came.
        let at = source.captured_at(mutation).unwrap_or(source.received_at);
        // Who approves held work may let it take effect where its author could not.
        let is_approved = source.approval.is_some() || source.is_vouched_for;
        let may_approver = |scope| is_approved && may(self.batch.viewer, scope, self.batch.received_at);
        let is_allowed = |scope: Uuid| may(source.viewer, scope, at) || may_approver(scope);
        if is_offered && scopes().all(is_allowed) {
            return None;
        }
        // Whoever lost the permission may not have heard of it: the work is kept, and a person decides.
        let ends = source.viewer.grants.iter().filter_map(|grant| grant.valid_until_at).filter(|until| *until <= at);
        let last_instants: Vec<Timestamp> = ends.map(|until| until.plus_ms(-1)).collect();
        let was_allowed = |scope: Uuid| last_instants.iter().any(|last| may(source.viewer, scope, *last));
        let is_kept =
            is_offered && !source.is_office() && scopes().all(|scope| is_allowed(scope) || was_allowed(scope));
        if !is_kept {
            return denied;
        }
        // The parts of something that waits for a decision come with it.
        Some(self.missing_parent(mutation).map_or_else(Verdict::grant_ended, Verdict::waiting_for))
    }
}

/// Whether a change of this kind may come from there at all.
fn is_offered(mutation: &Mutation, is_there: bool, is_office: bool) -> bool {
    match mutation.kind.def().origin {
        Origin::Field => true,
        Origin::Office => is_office || is_there,
        Origin::Server => {
            let is_decided_by_people =
                matches!(mutation.kind, EntityKind::Conflict | EntityKind::HeldItem | EntityKind::MergeProposal);
            is_decided_by_people && mutation.op == Op::Patch && is_there
        }
    }
}
