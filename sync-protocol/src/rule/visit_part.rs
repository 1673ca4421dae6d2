//! Answers, findings and attendees: nothing changes in a visit that the office has validated.

use super::state::STATE;
use super::{Need, RuleContext, Violation, visit};
use crate::code::VisitStatus;
use crate::entity::{Entity, EntityKind, Row, Visit};
use crate::message::MessageKey;

pub(super) fn needs(kind: EntityKind, after: &Row) -> Vec<Need> {
    let visit = after.get(kind.def(), "visit_id").as_uuid();
    visit.map(|id| Need::Row { kind: EntityKind::Visit, id }).into_iter().collect()
}

/// Checks the visit of a part.
///
/// A part that is new is not reported as a change of signed content: it may have been signed and arrive late.
pub(super) fn check(
    kind: EntityKind,
    before: Option<&Row>,
    after: &Row,
    cx: &RuleContext<'_>,
    out: &mut Vec<Violation>,
) {
    let visit = after.get(kind.def(), "visit_id").as_uuid();
    let Some(visit) = visit.and_then(|id| cx.related.untyped(EntityKind::Visit, id)) else { return };
    let status = visit.get(Visit::DEF, "status").as_text().map_or(VisitStatus::Unknown, VisitStatus::parse);
    let is_changed = before.is_none_or(|before| before.values != after.values);
    if is_changed && visit::is_final(status) {
        out.push(Violation::hard(STATE, "visit_id", MessageKey::RecordLocked));
    }
    let is_signed = !visit.get(Visit::DEF, "signed_at").is_null();
    let is_given = matches!(status, VisitStatus::Completed | VisitStatus::Submitted | VisitStatus::Returned);
    if is_changed && before.is_some() && is_signed && is_given {
        out.push(Violation::warning("I27", "visit_id", MessageKey::SignatureOutdated));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Finding;
    use crate::rule::Related;
    use crate::rule::fixture;

    #[test]
    fn a_part_follows_the_state_of_its_visit() {
        let before = fixture::finding();
        let after = Finding { text: "another".to_owned(), ..before.clone() };
        for (status, expected) in [
            (VisitStatus::InProgress, None),
            (VisitStatus::Submitted, Some(MessageKey::SignatureOutdated)),
            (VisitStatus::Validated, Some(MessageKey::RecordLocked)),
            (VisitStatus::Locked, Some(MessageKey::RecordLocked)),
        ] {
            let visit = Visit { status, ..fixture::visit() };
            let related = Related::new().with_row(EntityKind::Visit, visit.to_row());
            let found = fixture::check_change(&before, &after, false, &related);
            let keys: Vec<_> = found.iter().map(|violation| violation.message).collect();
            assert_eq!(keys, expected.into_iter().collect::<Vec<_>>(), "{status}");
        }
    }
}
