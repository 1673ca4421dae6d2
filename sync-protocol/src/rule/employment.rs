//! Job records: I18 to I20, the lifecycle, who may verify.

use rust_decimal::{Decimal, RoundingStrategy};
use uuid::Uuid;

use super::duplicate::matched_employments;
use super::state::Lifecycle;
use super::{Need, RuleContext, Violation, differs, set};
use crate::code::{EmploymentStatus, Verification};
use crate::entity::{Employment, Enterprise, Entity, EntityKind, Row};
use crate::message::MessageKey;
use crate::time::Date;
use crate::value::{FieldValue, Value};

/// Contracted hours a week that make one full-time equivalent; more is overtime and does not count.
pub const FULL_TIME_HOURS: i64 = 40;

/// Days for which two people may hold one position while they hand over (I19).
const HANDOVER_DAYS: i32 = 0;
const MINIMUM_AGE: i32 = 15;
const MINIMUM_AGE_WITHOUT_CONSENT: i32 = 16;
const FULL_AGE: i32 = 18;

const KIND: EntityKind = EntityKind::Employment;

const LIFECYCLE: Lifecycle<EmploymentStatus> = {
    use EmploymentStatus::{Disputed, Ended, Evidenced, Recorded, Verified, Voided};
    Lifecycle {
        first: &[Recorded, Evidenced, Ended],
        anyone: &[
            (Recorded, Evidenced),
            (Recorded, Ended),
            (Evidenced, Ended),
            (Verified, Ended),
            (Recorded, Disputed),
            (Evidenced, Disputed),
            (Verified, Disputed),
            (Ended, Disputed),
            (Recorded, Voided),
            (Evidenced, Voided),
            (Ended, Voided),
            (Disputed, Voided),
        ],
        office: &[
            (Evidenced, Verified),
            (Verified, Voided),
            (Disputed, Recorded),
            (Disputed, Evidenced),
            (Disputed, Verified),
            (Disputed, Ended),
            (Ended, Verified),
        ],
    }
};

/// Returns the full-time equivalent of contracted hours: a fortieth, two decimals, half to even.
pub fn fte_of(weekly_hours: Decimal) -> Decimal {
    (weekly_hours / Decimal::from(FULL_TIME_HOURS)).round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven)
}

pub(super) fn needs(before: Option<&Row>, after: &Row) -> Vec<Need> {
    let mut needs = Vec::new();
    let changed = |field| differs(KIND, before, after, field);
    let parent = |field| after.get(KIND.def(), field).as_uuid();
    if changed("start_on") {
        needs.extend(parent("enterprise_id").map(|id| Need::Row { kind: EntityKind::Enterprise, id }));
    }
    if changed("start_on") || changed("end_on") || changed("status") {
        let siblings = |parent: Uuid| Need::Children { kind: KIND, field: "position_id", parent };
        needs.extend(parent("position_id").map(siblings));
    }
    needs
}

/// Computes `fte` and binds a new record to its author.
pub(super) fn complete(before: Option<&Row>, after: &mut Row, cx: &RuleContext<'_>) {
    if let Some(hours) = Decimal::from_value(after.get(KIND.def(), "weekly_hours")) {
        set(after, KIND, "fte", Value::Decimal(fte_of(hours)));
    }
    if before.is_none() && after.get(KIND.def(), "recorded_by").is_null() {
        set(after, KIND, "recorded_by", Value::Uuid(cx.actor.0));
    }
}

pub(super) fn check(before: Option<&Employment>, after: &Employment, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    LIFECYCLE.check(before.map(|row| row.status), after.status, cx, out);
    check_hours(after, out);
    check_term(after, out);
    check_author(before, after, cx, out);
    check_verification(after, out);
    if before.is_none_or(|row| row.start_on != after.start_on) {
        check_registration(after, cx, out);
    }
    if before.is_none_or(|row| (row.start_on, row.holder_birth_on) != (after.start_on, after.holder_birth_on)) {
        check_age(after, out);
    }
    if before.is_none_or(|row| term_of(row) != term_of(after) || row.status != after.status) {
        check_overlap(after, cx, out);
    }
}

fn check_hours(after: &Employment, out: &mut Vec<Violation>) {
    let hard = |field, message, limit: i64| Violation::hard("I19", field, message).arg("limit", limit);
    if after.weekly_hours <= Decimal::ZERO {
        out.push(hard("weekly_hours", MessageKey::WeeklyHoursNotPositive, 0));
    } else if after.weekly_hours > Decimal::from(FULL_TIME_HOURS) {
        out.push(hard("weekly_hours", MessageKey::WeeklyHoursAboveLimit, FULL_TIME_HOURS));
    } else if after.fte <= Decimal::ZERO {
        // Less than 12 minutes a week: the hours are above 0, what counts is not.
        out.push(hard("fte", MessageKey::FteOutOfRange, 1));
    }
}

fn check_term(after: &Employment, out: &mut Vec<Violation>) {
    if after.end_on.is_some_and(|end_on| end_on < after.start_on) {
        out.push(Violation::hard("I19", "end_on", MessageKey::EndBeforeStart).arg("limit", after.start_on));
    }
    if after.end_on.is_some() && after.end_reason.is_none() {
        out.push(Violation::hard("I19", "end_reason", MessageKey::EndReasonMissing));
    }
    if after.end_on.is_none() && (after.end_reason.is_some() || after.status == EmploymentStatus::Ended) {
        out.push(Violation::hard("I19", "end_on", MessageKey::EndDateMissing));
    }
}

fn check_registration(after: &Employment, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    let enterprise = cx.related.untyped(EntityKind::Enterprise, after.enterprise_id.0);
    let registered_on = enterprise.and_then(|row| Date::from_value(row.get(Enterprise::DEF, "registered_on")));
    if let Some(limit) = registered_on.filter(|registered_on| after.start_on < *registered_on) {
        out.push(Violation::hard("I19", "start_on", MessageKey::StartBeforeRegistration).arg("limit", limit));
    }
}

fn check_age(after: &Employment, out: &mut Vec<Violation>) {
    let Some(born_on) = after.holder_birth_on else { return };
    let is_younger_than = |years| after.start_on < birthday(born_on, years);
    let found = |violation: Violation, limit: i32| violation.arg("limit", limit);
    let field = "holder_birth_on";
    if is_younger_than(MINIMUM_AGE) {
        out.push(found(Violation::hard("I20", field, MessageKey::HolderTooYoung), MINIMUM_AGE));
    } else if is_younger_than(MINIMUM_AGE_WITHOUT_CONSENT) {
        out.push(found(Violation::warning("I20", field, MessageKey::HolderNeedsConsent), MINIMUM_AGE));
    } else if is_younger_than(FULL_AGE) {
        out.push(found(Violation::warning("I20", field, MessageKey::HolderUnderAge), FULL_AGE));
    }
}

/// Returns the day on which a person becomes `years` old; 1 March for 29 February in a common year.
fn birthday(born_on: Date, years: i32) -> Date {
    let same_day = born_on.plus_months(years * 12);
    let was_clamped = same_day.plus_months(-years * 12) != born_on;
    if was_clamped { same_day.plus_days(1) } else { same_day }
}

fn check_overlap(after: &Employment, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    if after.status == EmploymentStatus::Voided {
        return;
    }
    let others = cx.related.children::<Employment>("position_id", after.position_id);
    let counts = |other: &&Employment| other.id != after.id && other.status != EmploymentStatus::Voided;
    for other in others.iter().filter(counts).filter(|other| overlap(after, other)) {
        out.push(if matched_employments(after, other).is_empty() {
            let violation = Violation::hard("I19", "start_on", MessageKey::EmploymentOverlap);
            violation.holder(&other.holder_name, other.id.0).arg("from", other.start_on)
        } else {
            // One person, registered twice: both records stand until a person merges them.
            let candidates = format!("{}, {}", other.holder_name, other.start_on);
            Violation::warning("I19", "holder_name", MessageKey::DuplicateSuspect).arg("candidates", candidates)
        });
    }
}

pub(super) fn overlap(one: &Employment, other: &Employment) -> bool {
    let (one_start, one_end) = term_of(one);
    let (other_start, other_end) = term_of(other);
    let begins_before_end =
        |start: Date, end: Option<Date>| end.is_none_or(|end| start.plus_days(HANDOVER_DAYS) <= end);
    begins_before_end(one_start, other_end) && begins_before_end(other_start, one_end)
}

fn term_of(employment: &Employment) -> (Date, Option<Date>) {
    (employment.start_on, employment.end_on)
}

fn check_author(before: Option<&Employment>, after: &Employment, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    if before.is_none() && !cx.in_office && after.recorded_by != cx.actor {
        out.push(Violation::hard("DUTIES", "recorded_by", MessageKey::RecordedByOther));
    }
}

fn check_verification(after: &Employment, out: &mut Vec<Violation>) {
    if after.verified_by == Some(after.recorded_by) {
        out.push(Violation::hard("DUTIES", "verified_by", MessageKey::VerifiedByRecorder));
    }
    if after.verification == Verification::Verified {
        let missing = [("verified_by", after.verified_by.is_none()), ("verified_on", after.verified_on.is_none())];
        let violation = |(field, _)| Violation::hard("DUTIES", field, MessageKey::VerifierMissing);
        out.extend(missing.into_iter().filter(|(_, is_missing)| *is_missing).map(violation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{EndReason, Locale};
    use crate::id::{EmploymentId, UserId};
    use crate::rule::fixture::{self, MENTOR, OFFICER, day};
    use crate::rule::{Level, Related};

    type Edit = fn(&mut Employment);

    fn created(edit: Edit, related: &Related) -> Vec<Violation> {
        let mut employment = fixture::employment();
        edit(&mut employment);
        fixture::check_new(&employment, related)
    }

    fn keys(violations: &[Violation]) -> Vec<MessageKey> {
        violations.iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn a_new_job_record_passes_or_breaks_one_rule() {
        use MessageKey as Key;
        let related = Related::new().with_row(EntityKind::Enterprise, fixture::enterprise().to_row());
        let cases: &[(Edit, Option<(Key, &str)>)] = &[
            (|_| {}, None),
            (|e| e.weekly_hours = Decimal::ZERO, Some((Key::WeeklyHoursNotPositive, "I19"))),
            (|e| e.weekly_hours = Decimal::new(401, 1), Some((Key::WeeklyHoursAboveLimit, "I19"))),
            (|e| e.weekly_hours = Decimal::new(1, 1), Some((Key::FteOutOfRange, "I19"))),
            (|e| e.weekly_hours = Decimal::from(40), None),
            (|e| e.start_on = day("2020-01-14"), Some((Key::StartBeforeRegistration, "I19"))),
            (|e| e.start_on = day("2020-01-15"), None),
            (|e| (e.end_on, e.end_reason) = (Some(e.start_on), None), Some((Key::EndReasonMissing, "I19"))),
            (
                |e| (e.end_on, e.end_reason) = (Some(day("2020-01-31")), Some(EndReason::Mutual)),
                Some((Key::EndBeforeStart, "I19")),
            ),
            (|e| (e.end_on, e.end_reason) = (Some(e.start_on), Some(EndReason::Mutual)), None),
            (|e| e.status = EmploymentStatus::Ended, Some((Key::EndDateMissing, "I19"))),
            (|e| e.status = EmploymentStatus::Verified, Some((Key::FirstStateRefused, "STATE"))),
            (|e| e.holder_birth_on = Some(day("2005-02-02")), Some((Key::HolderTooYoung, "I20"))),
            (|e| e.holder_birth_on = Some(day("2002-02-01")), None),
            (|e| e.recorded_by = OFFICER, Some((Key::RecordedByOther, "DUTIES"))),
        ];
        for (at, (edit, expected)) in cases.iter().enumerate() {
            let found: Vec<_> = created(*edit, &related).iter().map(|v| (v.message, v.rule)).collect();
            assert_eq!(found, expected.iter().copied().collect::<Vec<_>>(), "case {at}");
        }
    }

    #[test]
    fn the_young_may_work_with_a_warning() {
        for (born_on, key) in [
            ("2005-02-01", MessageKey::HolderNeedsConsent),
            ("2004-02-02", MessageKey::HolderNeedsConsent),
            ("2004-02-01", MessageKey::HolderUnderAge),
            ("2002-02-02", MessageKey::HolderUnderAge),
        ] {
            let mut employment = fixture::employment();
            employment.holder_birth_on = Some(day(born_on));
            let found = fixture::check_new(&employment, &Related::new());
            assert_eq!((keys(&found), found[0].level), (vec![key], Level::Warning), "born on {born_on}");
        }
    }

    #[test]
    fn who_is_born_on_29_february_becomes_older_on_1_march_of_a_common_year() {
        let born_on = day("2004-02-29");
        assert_eq!(birthday(born_on, 15), day("2019-03-01"));
        assert_eq!(birthday(born_on, 16), day("2020-02-29"));
        assert_eq!(birthday(day("2005-03-01"), 15), day("2020-03-01"));
        assert_eq!(birthday(day("2004-02-28"), 15), day("2019-02-28"));
    }

    #[test]
    fn thirty_hours_a_week_are_three_quarters_and_halves_go_to_even() {
        for (tenths, fte) in [(300, "0.75"), (200, "0.5"), (10, "0.02"), (402, "1"), (50, "0.12"), (150, "0.38")] {
            assert_eq!(fte_of(Decimal::new(tenths, 1)), fte.parse().unwrap(), "{tenths} tenths of an hour");
        }
    }

    #[test]
    fn the_row_gets_its_fte_and_its_author() {
        let mut row = fixture::employment().to_row();
        set(&mut row, KIND, "fte", Value::Null);
        set(&mut row, KIND, "recorded_by", Value::Null);
        let related = Related::new();
        assert_eq!(crate::rule::check(KIND, None, &mut row, &fixture::context(&related)), []);
        let completed = Employment::from_row(&row).unwrap();
        assert_eq!((completed.fte, completed.recorded_by), ("0.75".parse().unwrap(), MENTOR));
    }

    #[test]
    fn two_people_do_not_hold_one_position_on_one_day() {
        let mut other = Employment { holder_name: "Ana Stan".to_owned(), ..fixture::employment() };
        other.id = EmploymentId(Uuid::from_u128(77));
        other.end_reason = Some(EndReason::Mutual);
        for (start, end, status, is_refused) in [
            ("2019-01-01", Some("2020-02-01"), EmploymentStatus::Ended, true),
            ("2019-01-01", Some("2020-01-31"), EmploymentStatus::Ended, false),
            ("2021-01-01", None, EmploymentStatus::Recorded, true),
            ("2019-01-01", None, EmploymentStatus::Voided, false),
        ] {
            (other.start_on, other.end_on, other.status) = (day(start), end.map(day), status);
            let siblings = vec![other.to_row(), fixture::employment().to_row()];
            let position = other.position_id.0;
            let related = Related::new().with_children(KIND, "position_id", position, siblings);
            let found = created(|_| {}, &related);
            let expected: &[MessageKey] = if is_refused { &[MessageKey::EmploymentOverlap] } else { &[] };
            assert_eq!(keys(&found), expected, "{start} to {end:?}");
            if is_refused {
                assert!(found[0].text(Locale::En).contains(&format!("held by Ana Stan, from {start}")));
            }
        }
    }

    #[test]
    fn one_person_recorded_twice_in_one_position_is_a_warning() {
        let other = Employment { id: EmploymentId(Uuid::from_u128(77)), ..fixture::employment() };
        let related = Related::new().with_children(KIND, "position_id", other.position_id.0, vec![other.to_row()]);
        let found = created(|employment| employment.holder_name = "tepes ION".to_owned(), &related);
        assert_eq!((keys(&found), found[0].level), (vec![MessageKey::DuplicateSuspect], Level::Warning));
        assert!(found[0].text(Locale::En).contains("Ion Țepeș, 2020-02-01"), "{}", found[0].text(Locale::En));
        let found = created(|employment| employment.holder_name = "Ana Stan".to_owned(), &related);
        assert_eq!(keys(&found), [MessageKey::EmploymentOverlap]);
    }

    #[test]
    fn a_start_before_registration_is_explained_in_the_mentor_s_language() {
        let related = Related::new().with_row(EntityKind::Enterprise, fixture::enterprise().to_row());
        let found = created(|employment| employment.start_on = day("2019-12-31"), &related);
        assert_eq!(
            found[0].text(Locale::Ro),
            "Angajarea începe înainte de înregistrarea întreprinderii (2020-01-15). Alegeți o dată de la 2020-01-15 încolo."
        );
    }

    #[test]
    fn states_move_along_the_table() {
        use EmploymentStatus::{Disputed, Ended, Evidenced, Recorded, Verified, Voided};
        for (from, to, in_office, expected) in [
            (Recorded, Evidenced, false, None),
            (Evidenced, Verified, false, Some(MessageKey::TransitionOfficeOnly)),
            (Evidenced, Verified, true, None),
            (Recorded, Verified, true, Some(MessageKey::TransitionRefused)),
            (Verified, Disputed, false, None),
            (Recorded, Voided, false, None),
            (Voided, Recorded, true, Some(MessageKey::TransitionRefused)),
            (Verified, Ended, false, None),
        ] {
            let mut before = fixture::employment();
            (before.end_on, before.end_reason) = (Some(day("2021-01-01")), Some(EndReason::Mutual));
            let mut after = before.clone();
            (before.status, after.status) = (from, to);
            let found = fixture::check_change(&before, &after, in_office, &Related::new());
            assert_eq!(keys(&found), expected.into_iter().collect::<Vec<_>>(), "{from} to {to}");
        }
    }

    #[test]
    fn whoever_recorded_a_job_does_not_verify_it() {
        for (verified_by, expected) in [
            (Some(OFFICER), vec![]),
            (Some(MENTOR), vec![MessageKey::VerifiedByRecorder]),
            (None::<UserId>, vec![MessageKey::VerifierMissing]),
        ] {
            let before = fixture::employment();
            let mut after = before.clone();
            (after.verification, after.verified_on) = (Verification::Verified, Some(day("2020-03-01")));
            after.verified_by = verified_by;
            assert_eq!(keys(&fixture::check_change(&before, &after, true, &Related::new())), expected);
        }
    }

    #[test]
    fn only_a_change_of_the_term_asks_for_other_rows() {
        let before = fixture::employment();
        assert_eq!(needs(None, &before.to_row()).len(), 2);
        let mut after = before.clone();
        after.contract_no = Some("17".to_owned());
        assert_eq!(needs(Some(&before.to_row()), &after.to_row()), []);
        after.end_on = Some(day("2021-01-01"));
        assert_eq!(needs(Some(&before.to_row()), &after.to_row()).len(), 1);
    }
}
