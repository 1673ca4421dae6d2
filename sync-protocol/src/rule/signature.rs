//! What a signature covers, and when it stops holding (I27).

use sha2::{Digest, Sha256};

use super::{Violation, set};
use crate::code::VisitStatus;
use crate::entity::{Attendee, ChecklistAnswer, Entity, EntityKind, Finding, Row, Visit};
use crate::message::MessageKey;
use crate::value::{FieldValue, Value};

/// Names the encoding; another encoding gets another name.
const ENCODING: &str = "teren/signed-visit/1";

const SIGNATURE_FIELDS: [&str; 4] = ["signer_name", "signer_role", "signed_at", "signed_content_hash"];

type Content = Vec<(&'static str, Value)>;

impl Visit {
    /// Returns whether somebody signed.
    pub fn is_signed(&self) -> bool {
        self.signed_at.is_some() && self.signed_content_hash.is_some() && !super::is_blank(self.signer_name.as_deref())
    }
}

/// Returns the SHA-256 of what is signed: the visit as it took place, its answers, findings and attendees.
///
/// The order of the lists does not matter. Plans, kilometres, states and the signature itself are not part of it.
/// Each field goes in with its name, the tag of its type and its length, so that no two contents share bytes.
pub fn signed_content(
    visit: &Visit,
    answers: &[ChecklistAnswer],
    findings: &[Finding],
    attendees: &[Attendee],
) -> [u8; 32] {
    let mut hasher = Sha256::new();
    write_text(&mut hasher, ENCODING);
    write_rows(&mut hasher, "visit", vec![content_of(visit)]);
    write_rows(&mut hasher, "answers", answers.iter().map(answer_content).collect());
    write_rows(&mut hasher, "findings", findings.iter().map(finding_content).collect());
    write_rows(&mut hasher, "attendees", attendees.iter().map(attendee_content).collect());
    hasher.finalize().into()
}

/// Returns whether the visit is signed and its content is still the one that was signed.
pub fn signature_holds(
    visit: &Visit,
    answers: &[ChecklistAnswer],
    findings: &[Finding],
    attendees: &[Attendee],
) -> bool {
    let content = || hexadecimal(&signed_content(visit, answers, findings, attendees));
    visit.is_signed() && visit.signed_content_hash.as_deref().is_some_and(|hash| hash.eq_ignore_ascii_case(&content()))
}

/// Clears the signature of a visit. The change log keeps it.
pub fn void_signature(visit: &mut Row) {
    for field in SIGNATURE_FIELDS {
        set(visit, EntityKind::Visit, field, Value::Null);
    }
}

/// Voids the signature of `after` when signed content changed without a new signature.
pub(super) fn void_when_changed(before: Option<&Row>, after: &mut Row, out: &mut Vec<Violation>) {
    let Some(before) = before.and_then(|row| Visit::from_row(row).ok()) else { return };
    let Ok(changed) = Visit::from_row(after) else { return };
    if let Some(field) = voiding_field(&before, &changed) {
        void_signature(after);
        out.push(Violation::warning("I27", field, MessageKey::SignatureVoided));
    }
}

/// Returns whether the change from `before` to `after` voids the signature.
pub(super) fn is_voided(before: &Visit, after: &Visit) -> bool {
    voiding_field(before, after).is_some()
}

/// Returns the first signed field that changed after completion, unless the visit was signed anew.
fn voiding_field(before: &Visit, after: &Visit) -> Option<&'static str> {
    let is_given = matches!(before.status, VisitStatus::Completed | VisitStatus::Submitted | VisitStatus::Returned);
    let is_signed_anew =
        (before.signed_at, &before.signed_content_hash) != (after.signed_at, &after.signed_content_hash);
    if !is_given || !before.is_signed() || is_signed_anew {
        return None;
    }
    let pairs = content_of(before).into_iter().zip(content_of(after));
    pairs.into_iter().find(|(before, after)| before != after).map(|((field, _), _)| field)
}

fn content_of(visit: &Visit) -> Content {
    vec![
        ("id", visit.id.to_value()),
        ("enterprise_id", visit.enterprise_id.to_value()),
        ("mentor_id", visit.mentor_id.to_value()),
        ("kind", visit.kind.to_value()),
        ("mode", visit.mode.to_value()),
        ("purpose", visit.purpose.to_value()),
        ("actual_start_at", visit.actual_start_at.to_value()),
        ("actual_end_at", visit.actual_end_at.to_value()),
        ("form_id", visit.form_id.to_value()),
        ("arrival_place", visit.arrival_place.to_value()),
        ("gps_exception_reason", visit.gps_exception_reason.to_value()),
        ("summary", visit.summary.to_value()),
        ("risk_rating", visit.risk_rating.to_value()),
        ("next_visit_on", visit.next_visit_on.to_value()),
    ]
}

fn answer_content(answer: &ChecklistAnswer) -> Content {
    vec![
        ("id", answer.id.to_value()),
        ("question_code", answer.question_code.to_value()),
        ("item_id", answer.item_id.to_value()),
        ("value", answer.value.to_value()),
        ("na_reason", answer.na_reason.to_value()),
    ]
}

fn finding_content(finding: &Finding) -> Content {
    vec![
        ("id", finding.id.to_value()),
        ("area", finding.area.to_value()),
        ("severity", finding.severity.to_value()),
        ("text", finding.text.to_value()),
        ("rule_ref", finding.rule_ref.to_value()),
    ]
}

fn attendee_content(attendee: &Attendee) -> Content {
    vec![
        ("id", attendee.id.to_value()),
        ("name", attendee.name.to_value()),
        ("role", attendee.role.to_value()),
        ("organisation", attendee.organisation.to_value()),
        ("is_present", attendee.is_present.to_value()),
    ]
}

/// Writes rows in the order of their identifiers, which lead every content.
fn write_rows(hasher: &mut Sha256, name: &str, mut rows: Vec<Content>) {
    rows.sort_by_key(|content| content.first().and_then(|(_, id)| id.as_uuid()));
    write_text(hasher, name);
    hasher.update((rows.len() as u64).to_le_bytes());
    for (field, value) in rows.iter().flatten() {
        write_text(hasher, field);
        write_value(hasher, value);
    }
}

fn write_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update([0]),
        Value::Bool(yes) => hasher.update([1, u8::from(*yes)]),
        Value::Int(number) => write_number(hasher, 2, *number),
        Value::Decimal(number) => write_tagged(hasher, 3, &number.normalize().to_string()),
        Value::Text(text) => write_tagged(hasher, 4, text),
        Value::Uuid(id) => write_tagged(hasher, 5, &id.to_string()),
        Value::Date(date) => write_number(hasher, 6, date.0.into()),
        Value::Timestamp(instant) => write_number(hasher, 7, instant.0),
        Value::Json(json) => write_tagged(hasher, 8, json),
    }
}

fn write_number(hasher: &mut Sha256, tag: u8, number: i64) {
    hasher.update([tag]);
    hasher.update(number.to_le_bytes());
}

fn write_tagged(hasher: &mut Sha256, tag: u8, text: &str) {
    hasher.update([tag]);
    write_text(hasher, text);
}

fn write_text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::entity::AnswerValue;
    use crate::id::FindingId;
    use crate::rule::fixture;
    use crate::rule::{Level, Related};

    fn submitted() -> Visit {
        Visit { status: VisitStatus::Submitted, ..fixture::visit() }
    }

    #[test]
    fn a_change_of_signed_content_voids_the_signature() {
        let before = submitted().to_row();
        let after = Visit { summary: Some("another".to_owned()), ..submitted() };
        let mut row = after.to_row();
        let related = Related::new();
        let found = super::super::check(EntityKind::Visit, Some(&before), &mut row, &fixture::context(&related));
        assert_eq!((found[0].message, found[0].level), (MessageKey::SignatureVoided, Level::Warning));
        let voided = Visit::from_row(&row).unwrap();
        assert!(!voided.is_signed() && voided.signer_name.is_none());
        assert_eq!(voided.summary, after.summary);
    }

    #[test]
    fn kilometres_a_new_signature_and_an_unfinished_visit_void_nothing() {
        let other = Some("another".to_owned());
        let open = fixture::visit();
        for (before, after) in [
            (submitted(), Visit { travel_km: Some(87), ..submitted() }),
            (submitted(), Visit { summary: other.clone(), signed_content_hash: other.clone(), ..submitted() }),
            (open.clone(), Visit { summary: other.clone(), ..open.clone() }),
        ] {
            assert_eq!(fixture::check_change(&before, &after, false, &Related::new()), []);
        }
    }

    #[test]
    fn the_hash_ignores_order_and_notices_every_part() {
        let visit = fixture::visit();
        let (answer, finding, attendee) = (fixture::answer(), fixture::finding(), fixture::attendee());
        let second = Finding { id: FindingId(Uuid::from_u128(999)), ..finding.clone() };
        let hash = |visit: &Visit, answer: &ChecklistAnswer, findings: &[Finding], attendee: &Attendee| {
            signed_content(visit, std::slice::from_ref(answer), findings, std::slice::from_ref(attendee))
        };
        let both = [finding.clone(), second.clone()];
        let base = hash(&visit, &answer, &both, &attendee);
        assert_eq!(base, hash(&visit, &answer, &[second, finding.clone()], &attendee));
        assert_eq!(base, hash(&Visit { travel_km: Some(9), ..visit.clone() }, &answer, &both, &attendee));

        let other_visit = Visit { summary: None, ..visit.clone() };
        let other_answer = ChecklistAnswer { value: Some(AnswerValue::Bool(false)), ..answer.clone() };
        let other_attendee = Attendee { is_present: false, ..attendee.clone() };
        assert_ne!(base, hash(&other_visit, &answer, &both, &attendee));
        assert_ne!(base, hash(&visit, &other_answer, &both, &attendee));
        assert_ne!(base, hash(&visit, &answer, &[finding], &attendee));
        assert_ne!(base, hash(&visit, &answer, &both, &other_attendee));
    }

    #[test]
    fn a_signature_holds_for_its_content_only() {
        let mut visit = fixture::visit();
        visit.signed_content_hash = Some(hexadecimal(&signed_content(&visit, &[], &[], &[])));
        assert!(signature_holds(&visit, &[], &[], &[]));
        assert!(!signature_holds(&visit, &[fixture::answer()], &[], &[]));
    }
}
