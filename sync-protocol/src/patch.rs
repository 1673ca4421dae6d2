//! Patches: what changed between two rows, and a row with a change applied.

use crate::entity::Row;
use crate::field::EntityDef;
use crate::value::Value;

/// New values for some fields of a row, by position in the field table, in ascending order.
pub type Patch = Vec<(usize, Value)>;

/// Returns what turns `before` into `after`.
pub fn diff(before: &Row, after: &Row) -> Patch {
    let pairs = before.values.iter().zip(&after.values).enumerate();
    pairs.filter(|(_, (old, new))| old != new).map(|(at, (_, new))| (at, new.clone())).collect()
}

/// Returns the patch that creates `row`: every field that has a value.
pub fn creation(row: &Row) -> Patch {
    row.values.iter().cloned().enumerate().filter(|(_, value)| !value.is_null()).collect()
}

/// Writes the new values into `row`. Positions outside the row are ignored.
pub fn apply(row: &mut Row, patch: &Patch) {
    for (at, value) in patch {
        if let Some(slot) = row.values.get_mut(*at) {
            slot.clone_from(value);
        }
    }
}

/// Returns a row without values, onto which a creation is applied.
pub fn empty_row(def: &EntityDef, id: uuid::Uuid) -> Row {
    Row { id, values: vec![Value::Null; def.fields.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Entity as _, Finding};
    use uuid::Uuid;

    fn row(texts: &[Option<&str>]) -> Row {
        let values = texts.iter().map(|text| text.map_or(Value::Null, |text| Value::Text(text.to_owned())));
        Row { id: Uuid::nil(), values: values.collect() }
    }

    #[test]
    fn applying_a_difference_gives_the_other_row() {
        let before = row(&[Some("a"), None, Some("c"), Some("d")]);
        let after = row(&[Some("a"), Some("b"), None, Some("x")]);
        let patch = diff(&before, &after);
        assert_eq!(patch.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 3]);
        let mut patched = before;
        apply(&mut patched, &patch);
        assert_eq!(patched, after);
    }

    #[test]
    fn a_creation_rebuilds_the_row_and_leaves_nulls_out() {
        let mut original = empty_row(Finding::DEF, Uuid::nil());
        original.values[4] = Value::Text("Panou lipsă".to_owned());
        let patch = creation(&original);
        assert_eq!(patch.len(), 1);
        let mut rebuilt = empty_row(Finding::DEF, Uuid::nil());
        apply(&mut rebuilt, &patch);
        assert_eq!(rebuilt, original);
    }
}
