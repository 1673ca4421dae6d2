//! Which actions a change of a row comes to: deciding is not the same as editing.

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::Op;
use sync_protocol::patch::Patch;

use super::Action;

/// Returns every action that a change needs. `before` is the stored row, `after` the row with `patch` applied.
pub fn needed(op: Op, kind: EntityKind, before: Option<&Row>, after: &Row, patch: &Patch) -> Vec<Action> {
    match (op, kind, before) {
        (_, EntityKind::Conflict | EntityKind::HeldItem | EntityKind::MergeProposal, _) => vec![Action::Resolve],
        (Op::Delete, _, _) => vec![Action::Delete],
        (_, EntityKind::ScopeGrant, before) if is_mentorship(after) && before.is_none_or(is_mentorship) => {
            vec![Action::Assign]
        }
        (_, _, None) => vec![Action::Create],
        (_, _, Some(before)) => needed_for_patch(kind, before, after, patch),
    }
}

/// A patch that changes nothing needs what its fields need: an answer without permission would tell their values.
fn needed_for_patch(kind: EntityKind, before: &Row, after: &Row, patch: &Patch) -> Vec<Action> {
    let is_changed = |at: usize| before.values.get(at) != after.values.get(at);
    let changes_nothing = !patch.iter().any(|(at, _)| is_changed(*at));
    let told = patch.iter().filter(|(at, _)| changes_nothing || is_changed(*at));
    let fields = told.filter_map(|(at, _)| kind.def().fields.get(*at));
    let mut actions: Vec<Action> = fields.map(|field| needed_for_field(kind, field.name, after)).collect();
    actions.sort_unstable();
    actions.dedup();
    if actions.is_empty() { vec![Action::Update] } else { actions }
}

fn needed_for_field(kind: EntityKind, field: &str, after: &Row) -> Action {
    match (kind, field) {
        (EntityKind::Visit, "validated_by" | "validated_at" | "return_reason") => Action::Validate,
        (EntityKind::Visit, "status") if is_decided(after) => Action::Validate,
        (EntityKind::Employment, "verification" | "verified_by" | "verified_on") => Action::Verify,
        (EntityKind::Enterprise, "mentor_id") => Action::Assign,
        (EntityKind::ReportingPeriod, "state" | "locked_by" | "locked_at" | "unlock_reason") => Action::Lock,
        _ => Action::Update,
    }
}

/// Returns whether a visit is in a state into which only the office brings it.
fn is_decided(visit: &Row) -> bool {
    let status = visit.get(EntityKind::Visit.def(), "status").as_text();
    matches!(status, Some("VALIDATED" | "RETURNED" | "LOCKED"))
}

/// Returns whether a grant makes someone the mentor of an enterprise, and nothing more.
fn is_mentorship(grant: &Row) -> bool {
    let text = |field| grant.get(EntityKind::ScopeGrant.def(), field).as_text();
    text("role") == Some("MENTOR") && text("scope_kind") == Some("ENTERPRISE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::patch::{creation, empty_row};
    use sync_protocol::value::Value;
    use uuid::Uuid;

    fn row(kind: EntityKind, fields: &[(&str, &str)]) -> Row {
        let mut row = empty_row(kind.def(), Uuid::nil());
        for (name, text) in fields {
            row.values[kind.def().position(name).unwrap()] = Value::Text((*text).to_owned());
        }
        row
    }

    #[test]
    fn a_decision_needs_its_own_permission_and_an_edit_beside_it_another() {
        let kind = EntityKind::Visit;
        let before = row(kind, &[("status", "SUBMITTED")]);
        type Fields = &'static [(&'static str, &'static str)];
        let cases: &[(Fields, &[Action])] = &[
            (&[("status", "VALIDATED")], &[Action::Validate]),
            (&[("status", "RETURNED"), ("return_reason", "x")], &[Action::Validate]),
            (&[("status", "VALIDATED"), ("summary", "x")], &[Action::Update, Action::Validate]),
            (&[("status", "COMPLETED")], &[Action::Update]),
            (&[("status", "SUBMITTED")], &[Action::Update]),
        ];
        for (fields, expected) in cases {
            let after = row(kind, fields);
            assert_eq!(needed(Op::Patch, kind, Some(&before), &after, &creation(&after)), *expected, "{fields:?}");
        }
    }

    #[test]
    fn only_a_mentorship_is_assigned_and_every_other_grant_is_administered() {
        let kind = EntityKind::ScopeGrant;
        let grant = |role, scope_kind| row(kind, &[("role", role), ("scope_kind", scope_kind)]);
        let created = |grant: Row| needed(Op::Put, kind, None, &grant, &creation(&grant));
        assert_eq!(created(grant("MENTOR", "ENTERPRISE")), [Action::Assign]);
        assert_eq!(created(grant("MENTOR", "PROGRAMME")), [Action::Create]);
        assert_eq!(created(grant("ADMIN", "ENTERPRISE")), [Action::Create]);
        let (before, after) = (grant("ADMIN", "ENTERPRISE"), grant("MENTOR", "ENTERPRISE"));
        assert_eq!(needed(Op::Patch, kind, Some(&before), &after, &creation(&after)), [Action::Update]);
    }
}
