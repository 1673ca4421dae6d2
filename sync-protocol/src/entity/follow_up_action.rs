use super::{EntityKind, entity};
use crate::code::{ActionStatus, Priority, Responsible};
use crate::field::MergePolicy;
use crate::id::{EnterpriseId, FindingId, FollowUpActionId, UserId, VisitId};
use crate::time::Date;

entity! {
    /// Something to be done after a visit, followed until it is verified.
    FollowUpAction("follow_up_action", FollowUpActionId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The visit that it follows from.
        visit_id: VisitId [to(EntityKind::Visit) indexed immutable],
        /// The finding that it answers.
        finding_id: Option<FindingId> [to(EntityKind::Finding)],
        /// What has to be done.
        text: String [max(2000) searched],
        /// Who has to act.
        responsible: Responsible,
        /// The name of that person.
        responsible_name: Option<String>,
        /// The user who follows it up.
        owner_id: Option<UserId> [to(EntityKind::User)],
        /// How urgent it is.
        priority: Priority,
        /// By when; not before the visit (I28).
        due_on: Date [indexed],
        /// The state. Overdue is computed from `due_on`.
        status: ActionStatus [indexed policy(MergePolicy::State) group("status")],
        /// When it was done.
        done_on: Option<Date> [group("status")],
        /// The visit during which it was seen to be done.
        verified_in_visit_id: Option<VisitId> [to(EntityKind::Visit) group("status")],
        /// What was said about the state.
        status_note: Option<String> [max(1000) group("status")],
        /// Why it was cancelled.
        cancel_reason: Option<String> [max(500) group("status")],
    }
}
