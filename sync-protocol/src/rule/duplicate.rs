//! Which rows may be one and the same: two people registered the same job or position without knowing of each other.
//!
//! Both are accepted, and a proposal to merge them is written. The phone runs this too, and warns.

use std::collections::HashMap;

use crate::code::EmploymentStatus;
use crate::entity::{Employment, Entity, EntityKind, Position, Row};
use crate::text::fold;

/// Returns the fields that decide whether rows of a kind are alike; none for kinds that are not compared. The first
/// one names what both rows must have in common.
pub fn compared(kind: EntityKind) -> &'static [&'static str] {
    match kind {
        EntityKind::Employment => {
            &["enterprise_id", "holder_name", "holder_birth_on", "position_id", "start_on", "end_on", "status"]
        }
        EntityKind::Position => &["enterprise_id", "code"],
        _ => &[],
    }
}

/// Returns what all rows share that are alike to a row, to look for them; `None` for a row to which none is.
pub fn likeness(kind: EntityKind, row: &Row) -> Option<String> {
    let text = |name| row.get(kind.def(), name).as_text().unwrap_or_default();
    let told = match kind {
        EntityKind::Employment if text("status") == EmploymentStatus::Voided.code() => return None,
        EntityKind::Employment => words(text("holder_name")).join(" "),
        EntityKind::Position => fold(text("code")),
        _ => return None,
    };
    Some(format!("{} {told}", row.get(kind.def(), compared(kind).first()?).as_uuid()?))
}

/// Sorts rows by what those share that are alike: only within a family may two be one.
pub fn families<'r>(rows: impl Iterator<Item = (EntityKind, &'r Row)>) -> HashMap<(EntityKind, String), Vec<&'r Row>> {
    let mut families: HashMap<_, Vec<&Row>> = HashMap::new();
    for (kind, row) in rows {
        let Some(likeness) = likeness(kind, row) else { continue };
        families.entry((kind, likeness)).or_default().push(row);
    }
    families
}

/// Returns the fields in which two rows agree so much that they may be one; none when they are surely two.
pub fn matched(kind: EntityKind, one: &Row, other: &Row) -> &'static [&'static str] {
    if one.id == other.id {
        return &[];
    }
    match kind {
        EntityKind::Employment => typed(one, other, matched_employments),
        EntityKind::Position => typed(one, other, matched_positions),
        _ => &[],
    }
}

fn typed<T: Entity>(one: &Row, other: &Row, matched: fn(&T, &T) -> &'static [&'static str]) -> &'static [&'static str] {
    T::from_row(one).ok().zip(T::from_row(other).ok()).map_or(&[], |(one, other)| matched(&one, &other))
}

/// The same person who began on the same day, or who holds the same position at the same time.
pub(super) fn matched_employments(one: &Employment, other: &Employment) -> &'static [&'static str] {
    let is_voided = |row: &Employment| row.status == EmploymentStatus::Voided;
    if one.enterprise_id != other.enterprise_id || is_voided(one) || is_voided(other) || !are_one_person(one, other) {
        return &[];
    }
    match (one.start_on == other.start_on, one.position_id == other.position_id) {
        (true, true) => &["holder_name", "position_id", "start_on"],
        (true, false) => &["holder_name", "start_on"],
        (false, true) if super::employment::overlap(one, other) => &["holder_name", "position_id"],
        (false, _) => &[],
    }
}

/// Names are written in any order, with or without diacritics. A date of birth that is not known contradicts none.
fn are_one_person(one: &Employment, other: &Employment) -> bool {
    let contradicts = one.holder_birth_on.zip(other.holder_birth_on).is_some_and(|(one, other)| one != other);
    !contradicts && words(&one.holder_name) == words(&other.holder_name)
}

fn words(name: &str) -> Vec<String> {
    let folded = fold(name);
    let split = folded.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut words: Vec<String> = split.map(str::to_owned).collect();
    words.sort_unstable();
    words
}

/// The code is how people tell the positions of a programme apart.
fn matched_positions(one: &Position, other: &Position) -> &'static [&'static str] {
    let is_one = one.enterprise_id == other.enterprise_id && fold(&one.code) == fold(&other.code);
    if is_one { &["code"] } else { &[] }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::{EmploymentId, EnterpriseId, PositionId};
    use crate::rule::fixture::{self, day};

    type Edit = fn(&mut Employment);

    #[test]
    fn job_records_are_alike_by_person_and_start_or_position() {
        let base = Employment { holder_birth_on: Some(day("1990-05-01")), ..fixture::employment() };
        let elsewhere = |e: &mut Employment| e.position_id = PositionId(Uuid::from_u128(99));
        let cases: &[(Edit, &[&str])] = &[
            (|_| {}, &["holder_name", "position_id", "start_on"]),
            (|e| e.holder_name = "  TEPES, ion ".to_owned(), &["holder_name", "position_id", "start_on"]),
            (|e| e.holder_name = "Ion Țepeș Popa".to_owned(), &[]),
            (|e| e.holder_birth_on = None, &["holder_name", "position_id", "start_on"]),
            (|e| e.holder_birth_on = Some(day("1991-05-01")), &[]),
            (|e| e.start_on = e.start_on.plus_days(9), &["holder_name", "position_id"]),
            (|e| (e.start_on, e.end_on) = (day("2001-01-01"), Some(day("2001-02-01"))), &[]),
            (|e| e.status = EmploymentStatus::Voided, &[]),
            (|e| e.enterprise_id = EnterpriseId(Uuid::from_u128(98)), &[]),
        ];
        for (at, (edit, expected)) in cases.iter().enumerate() {
            let mut other = Employment { id: EmploymentId(Uuid::from_u128(77)), ..base.clone() };
            edit(&mut other);
            let kind = EntityKind::Employment;
            assert_eq!(matched(kind, &base.to_row(), &other.to_row()), *expected, "case {at}");
            assert_eq!(matched(kind, &other.to_row(), &base.to_row()), *expected, "case {at}, the other way round");
            let share = likeness(kind, &base.to_row()) == likeness(kind, &other.to_row());
            assert!(share || expected.is_empty(), "case {at} would not be found");
        }
        let mut other = Employment { id: EmploymentId(Uuid::from_u128(77)), ..base.clone() };
        elsewhere(&mut other);
        assert_eq!(matched_employments(&base, &other), &["holder_name", "start_on"]);
        other.start_on = other.start_on.plus_days(1);
        assert!(matched_employments(&base, &other).is_empty(), "two jobs of one person");
    }

    #[test]
    fn positions_are_alike_by_their_code() {
        let base = fixture::position();
        let other = |code: &str| Position { id: PositionId(Uuid::from_u128(9)), code: code.to_owned(), ..base.clone() };
        let compare = |other: Position| matched(EntityKind::Position, &base.to_row(), &other.to_row());
        let same = other(&format!(" {} ", base.code.to_lowercase()));
        let kind = EntityKind::Position;
        assert_eq!(likeness(kind, &same.to_row()), likeness(kind, &base.to_row()));
        assert_ne!(likeness(kind, &other("P-999").to_row()), likeness(kind, &base.to_row()));
        assert_eq!(compare(same), &["code"]);
        assert!(compare(other("P-999")).is_empty());
        assert!(
            matched(EntityKind::Position, &base.to_row(), &base.to_row()).is_empty(),
            "a row is not its own double"
        );
    }
}
