//! Participations: what is frozen at entry (I1, I2) and what counts as complete (I5).

use super::{Violation, set};
use crate::entity::{EntityKind, Participation, Row};
use crate::message::MessageKey;
use crate::value::Value;

const KIND: EntityKind = EntityKind::Participation;

/// The fields without which a record counts in the grand total only.
const REQUIRED_FOR_REPORTING: [&str; 4] = ["sex", "age_at_entry", "employment_status", "isced_band"];

/// Computes `is_complete`.
pub(super) fn complete(after: &mut Row) {
    let is_complete = REQUIRED_FOR_REPORTING.iter().all(|field| !after.get(KIND.def(), field).is_null());
    set(after, KIND, "is_complete", Value::Bool(is_complete));
}

pub(super) fn check(before: Option<&Participation>, after: &Participation, out: &mut Vec<Violation>) {
    let Some(before) = before else { return };
    if after.entry_on != before.entry_on {
        out.push(Violation::hard("I1", "entry_on", MessageKey::Immutable));
    }
    if before.age_at_entry.is_some() && after.age_at_entry != before.age_at_entry {
        out.push(Violation::hard("I2", "age_at_entry", MessageKey::Immutable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Sex;
    use crate::entity::Entity;
    use crate::rule::Related;
    use crate::rule::fixture::{self, day};

    #[test]
    fn what_was_recorded_at_entry_stays() {
        let before = fixture::participation();
        for (after, rules) in [
            (Participation { exit_on: Some(day("2020-09-01")), ..before.clone() }, vec![]),
            (Participation { entry_on: day("2020-05-01"), ..before.clone() }, vec!["I1"]),
            (Participation { age_at_entry: Some(31), ..before.clone() }, vec!["I2"]),
        ] {
            let found = fixture::check_change(&before, &after, true, &Related::new());
            assert_eq!(found.iter().map(|violation| violation.rule).collect::<Vec<_>>(), rules);
        }
    }

    #[test]
    fn a_record_is_complete_when_all_four_facts_are_known() {
        let mut row = fixture::participation().to_row();
        for (sex, is_complete) in [(None, false), (Some(Sex::Female), true)] {
            set(&mut row, KIND, "sex", sex.map_or(Value::Null, |sex: Sex| Value::Text(sex.code().to_owned())));
            complete(&mut row);
            assert_eq!(row.get(KIND.def(), "is_complete"), &Value::Bool(is_complete));
        }
    }
}
