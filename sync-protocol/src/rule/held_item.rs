//! Held changes: decided once, returned for a reason, and otherwise as they came.

use super::state::STATE;
use super::{Violation, is_blank};
use crate::code::HeldState;
use crate::entity::HeldItem;
use crate::message::MessageKey;

pub(super) fn check(before: Option<&HeldItem>, after: &HeldItem, out: &mut Vec<Violation>) {
    let Some(before) = before else { return };
    let is_decision = matches!(after.state, HeldState::Applied | HeldState::Returned);
    if before.state != HeldState::Held || !is_decision {
        out.push(Violation::hard(STATE, "state", MessageKey::HeldDecided));
    }
    if after.state == HeldState::Returned && is_blank(after.decision_note.as_deref()) {
        out.push(Violation::hard(STATE, "decision_note", MessageKey::ReturnReasonMissing));
    }
    let decided = HeldItem {
        state: after.state,
        decision_note: after.decision_note.clone(),
        correction: after.correction.clone(),
        ..before.clone()
    };
    if decided != *after {
        out.push(Violation::hard(STATE, "state", MessageKey::OfficeOnly));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::entity::{Entity, EntityKind};
    use crate::patch::empty_row;
    use crate::rule::Related;
    use crate::rule::fixture::check_change;
    use crate::value::Value;

    fn item(state: HeldState, note: Option<&str>) -> HeldItem {
        let def = EntityKind::HeldItem.def();
        let mut row = empty_row(def, Uuid::from_u128(1));
        for (at, field) in def.fields.iter().enumerate().filter(|(_, field)| !field.nullable) {
            row.values[at] = match field.field_type {
                crate::value::FieldType::Uuid => Value::Uuid(Uuid::nil()),
                crate::value::FieldType::Int => Value::Int(1),
                crate::value::FieldType::Timestamp => Value::Timestamp(crate::time::Timestamp(0)),
                _ => Value::Text("visit".to_owned()),
            };
        }
        let sound = HeldItem { state, decision_note: note.map(str::to_owned), ..typed(row) };
        typed(sound.to_row())
    }

    fn typed(mut row: crate::entity::Row) -> HeldItem {
        let at = EntityKind::HeldItem.def().position("state").unwrap();
        if row.values[at] == Value::Text("visit".to_owned()) {
            row.values[at] = Value::Text("HELD".to_owned());
        }
        HeldItem::from_row(&row).unwrap()
    }

    #[test]
    fn a_held_change_is_decided_once_and_returned_for_a_reason() {
        use HeldState::{Applied, Held, Returned};
        for (from, to, note, expected) in [
            (Held, Applied, None, None),
            (Held, Returned, Some("Lipsește semnătura"), None),
            (Held, Returned, Some(" "), Some(MessageKey::ReturnReasonMissing)),
            (Applied, Returned, Some("prea târziu"), Some(MessageKey::HeldDecided)),
            (Returned, Applied, None, Some(MessageKey::HeldDecided)),
        ] {
            let found = check_change(&item(from, None), &item(to, note), true, &Related::new());
            let keys: Vec<_> = found.iter().map(|violation| violation.message).collect();
            assert_eq!(keys, expected.into_iter().collect::<Vec<_>>(), "{from} to {to}");
        }
        let other = HeldItem { reason_code: "OTHER".to_owned(), ..item(Applied, None) };
        assert_eq!(check_change(&item(Held, None), &other, true, &Related::new()).len(), 1);
    }
}
