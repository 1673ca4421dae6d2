use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EntityKind, entity};
use crate::code::{ChangeOperation, HeldState};
use crate::id::{DeviceId, EnterpriseId, HeldItemId, UserId};
use crate::time::Timestamp;
use crate::value::json_field_value;

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
        /// The enterprise that it is about.
        enterprise_id: Option<EnterpriseId> [to(EntityKind::Enterprise) indexed],
        /// What it does to the row; `null` when this version of the server cannot read it.
        operation: Option<ChangeOperation>,
        /// The fields that it sets, by their names in the field table, without special categories.
        content: Option<HeldContent>,
        /// When it was captured, by the device's own clock.
        captured_at: Option<Timestamp>,
        /// The same instant by the server's clock, as far as it can be told.
        corrected_at: Option<Timestamp>,
        /// By how many seconds the device's clock was behind the server's when it was sent.
        clock_offset_s: Option<i32>,
        /// Who applied or returned it; `null` when what it waited for came by itself.
        decided_by: Option<UserId> [to(EntityKind::User)],
        /// What that person said about it. A return needs a reason.
        decision_note: Option<String> [max(1000)],
        /// What that person changed before it was applied. The original stays in `content`.
        correction: Option<HeldContent>,
        /// Why it was returned, as the device tells the author.
        answer: Option<HeldAnswer>,
    }
}

/// Fields and their values, by name.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeldContent(pub BTreeMap<String, serde_json::Value>);

/// What the author is told of a change that was returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAnswer {
    /// The stable code, such as `REJECT_RULE`.
    pub code: String,
    /// The rule that refused, such as `I19`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The field to put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The key of the text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the text mentions: (name, value).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(String, String)>,
}

json_field_value!(HeldContent, HeldAnswer);
