use uuid::Uuid;

use super::{EntityKind, entity};
use crate::code::ConflictState;
use crate::id::{ConflictId, UserId};
use crate::time::Timestamp;

entity! {
    /// Two concurrent edits of one field. Both values are kept and both people see it.
    Conflict("conflict", ConflictId) scope(Scope("subject_scope_id")) from(Server) {
        /// The scope of the row that was edited.
        subject_scope_id: Uuid [indexed immutable],
        /// The kind of that row.
        subject_kind: String [max(40) immutable],
        /// The row.
        subject_id: Uuid [indexed immutable],
        /// The field.
        field: String [max(40) immutable],
        /// The value that is shown, as JSON text.
        kept_value: Option<String> [max(100_000)],
        /// The value that is not shown, as JSON text.
        other_value: Option<String> [max(100_000)],
        /// Who wrote the value that is shown; `null` when it is not known.
        kept_by: Option<UserId> [to(EntityKind::User)],
        /// Who wrote the other value.
        other_by: Option<UserId> [to(EntityKind::User)],
        /// When the server noticed.
        detected_at: Timestamp [indexed immutable],
        /// The policy that chose.
        policy: String [max(40)],
        /// The state.
        state: ConflictState [indexed],
        /// Who settled it.
        resolved_by: Option<UserId> [to(EntityKind::User)],
        /// When it was settled.
        resolved_at: Option<Timestamp>,
    }
}
