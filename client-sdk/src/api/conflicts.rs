//! Two people changed the same field: both values, for a person to look at.

use sync_protocol::cbor::Malformed;
use sync_protocol::code::ConflictState;
use sync_protocol::entity::{Conflict, EntityKind, User};
use sync_protocol::field::Field;
use sync_protocol::id::{ConflictId, UserId};
use sync_protocol::message::field_label;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::error::ApiResult;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::store::{Direction, Query};

/// The field of a conflict about whether the row is there at all.
const VOIDED: &str = "voided";

/// A conflict with the names of the people.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictItem {
    /// The conflict.
    pub id: ConflictId,
    /// The kind of row; `None` for a kind of a newer version.
    pub kind: Option<EntityKind>,
    /// The row.
    pub row_id: Uuid,
    /// The field.
    pub field: String,
    /// The field in the person's language.
    pub field_label: String,
    /// The value that is shown.
    pub kept: Side,
    /// The value that is not shown. To prefer it, [`Client::conflicts_resolve`].
    pub other: Side,
    /// When the office noticed.
    pub detected_at: Timestamp,
}

/// One of the two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The value as text; `None` for no value.
    pub value: Option<String>,
    /// The name of who wrote it; `None` when it is not known here.
    pub by: Option<String>,
}

impl Client {
    /// Returns the conflicts that nobody has settled, the newest first.
    pub fn conflicts(&self, limit: u32) -> ApiResult<Vec<ConflictItem>> {
        let query = Query::new().eq("state", ConflictState::Open).limit(limit);
        let conflicts = self.select::<Conflict>(&query.order_by("detected_at", Direction::Descending))?;
        let items = conflicts.into_iter().map(|conflict| self.conflict_item(conflict.data));
        Ok(items.collect::<Result<_>>()?)
    }

    /// Settles a conflict: the field keeps the shown value, or takes the other one.
    ///
    /// Is a change of the row like any other. The office closes the conflict when it arrives, so that it leaves the
    /// list with the next sync. It stays where more of a download was still to come, and with it newer values.
    pub fn conflicts_resolve(&self, conflict: ConflictId, take_other: bool) -> ApiResult<()> {
        let conflict = self.require::<Conflict>(conflict)?.data;
        if conflict.field == VOIDED {
            return self.resolve_voided(&conflict, take_other);
        }
        let (kind, field) = contested(&conflict).ok_or_else(|| unreadable(&conflict))?;
        let other = || other_value(&conflict, field).ok_or_else(|| unreadable(&conflict));
        let value = take_other.then(other).transpose()?;
        self.record(|writer| writer.affirm(kind, conflict.subject_id, field.name, value))?;
        Ok(())
    }

    /// Settles whether a row that one voided and another changed is there at all.
    fn resolve_voided(&self, conflict: &Conflict, is_voided: bool) -> ApiResult<()> {
        let kind = EntityKind::from_name(&conflict.subject_kind).ok_or_else(|| unreadable(conflict))?;
        self.record(|writer| {
            if is_voided {
                return writer.void_row(kind, conflict.subject_id);
            }
            writer.affirm_row(kind, conflict.subject_id)
        })?;
        Ok(())
    }

    fn conflict_item(&self, conflict: Conflict) -> Result<ConflictItem> {
        let label = field_label(&conflict.field, self.locale()).unwrap_or(&conflict.field).to_owned();
        Ok(ConflictItem {
            id: conflict.id,
            kind: EntityKind::from_name(&conflict.subject_kind),
            row_id: conflict.subject_id,
            field_label: label,
            field: conflict.field,
            kept: Side { value: shown(conflict.kept_value), by: self.name_of(conflict.kept_by)? },
            other: Side { value: shown(conflict.other_value), by: self.name_of(conflict.other_by)? },
            detected_at: conflict.detected_at,
        })
    }

    /// Returns the name of a colleague.
    pub(crate) fn name_of(&self, user: Option<UserId>) -> Result<Option<String>> {
        let Some(user) = user else { return Ok(None) };
        Ok(self.find::<User>(user)?.map(|user| user.data.display_name))
    }
}

/// Returns what a conflict is about; `None` for what a newer version knows.
fn contested(conflict: &Conflict) -> Option<(EntityKind, &'static Field)> {
    let kind = EntityKind::from_name(&conflict.subject_kind)?;
    Some((kind, kind.def().field(&conflict.field)?))
}

fn other_value(conflict: &Conflict, field: &Field) -> Option<Value> {
    let json = serde_json::from_str(conflict.other_value.as_deref().unwrap_or("null")).ok()?;
    Value::from_json(field.field_type, &json)
}

fn unreadable(conflict: &Conflict) -> Error {
    Error::Malformed(Malformed(format!("conflict {} is about something that is not known here", conflict.id.0)))
}

/// Returns a JSON value as people write it.
fn shown(json: Option<String>) -> Option<String> {
    let json = json?;
    match serde_json::from_str(&json) {
        Ok(serde_json::Value::Null) => None,
        Ok(serde_json::Value::String(text)) => Some(text),
        _ => Some(json),
    }
}
