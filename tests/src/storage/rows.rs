//! The rows of the histories: findings of one enterprise, of which only the text matters.

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch::{Patch, empty_row};
use sync_protocol::value::Value;
use uuid::Uuid;

/// The kind of the rows.
pub(super) const KIND: EntityKind = EntityKind::Finding;

/// The enterprise, which is the scope of all rows.
pub(super) const SCOPE: Uuid = Uuid::from_u128(9);

fn at(field: &str) -> usize {
    KIND.def().position(field).expect("findings have this field")
}

/// Returns a row.
pub(super) fn row(id: Uuid, text: &str) -> Row {
    let mut row = empty_row(KIND.def(), id);
    row.values[at("enterprise_id")] = Value::Uuid(SCOPE);
    row.values[at("text")] = Value::Text(text.to_owned());
    row
}

/// Returns the change of the text.
pub(super) fn patch(text: &str) -> Patch {
    vec![(at("text"), Value::Text(text.to_owned()))]
}

/// Returns the text of a row.
pub(super) fn text_of(row: &Row) -> String {
    row.values[at("text")].as_text().unwrap_or_default().to_owned()
}

/// One change, as the person meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) row: Uuid,
    pub(super) text: Option<String>,
    pub(super) is_creation: bool,
}

impl Edit {
    /// Reads a mutation.
    pub(super) fn of(mutation: &Mutation) -> Self {
        let text = mutation.patch.iter().find(|(field, _)| *field == at("text"));
        let text = text.map(|(_, value)| value.as_text().unwrap_or_default().to_owned());
        Self { row: mutation.row_id, text, is_creation: mutation.op == Op::Put }
    }

    /// Returns what is shown after the change.
    pub(super) fn laid_over(&self, before: Option<String>) -> Option<String> {
        match &self.text {
            Some(text) if self.is_creation || before.is_some() => Some(text.clone()),
            _ => None,
        }
    }
}
