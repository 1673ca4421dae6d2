use uuid::Uuid;

use super::{EntityKind, entity};
use crate::code::HeldState;
use crate::id::{DeviceId, HeldItemId, UserId};
use crate::time::Timestamp;

entity! {
    /// A change that the server keeps until something else happens: its parent arrives, a person decides.
    HeldItem("held_item", HeldItemId) scope(Actor("author_id")) from(Server) {
        /// Who made the change.
        author_id: UserId [to(EntityKind::User) indexed immutable],
        /// On which device.
        device_id: DeviceId [immutable],
        /// The incarnation of the device's outbox.
        incarnation: Uuid [immutable],
        /// The number of the mutation.
        mutation_no: i32 [immutable],
        /// The kind of row.
        subject_kind: String [max(40) immutable],
        /// The row.
        subject_id: Uuid [indexed immutable],
        /// The stable code, such as `HELD_PARENT_MISSING`.
        reason_code: String [max(40) indexed],
        /// What is waited for: the missing parent, the locked period.
        waits_for_id: Option<Uuid> [indexed],
        /// When the server received it.
        held_at: Timestamp [indexed immutable],
        /// The state.
        state: HeldState [indexed],
        /// When it was applied or returned.
        resolved_at: Option<Timestamp>,
    }
}
