use uuid::Uuid;

use super::{EntityKind, entity};
use crate::code::{Role, ScopeKind};
use crate::id::{ScopeGrantId, UserId};
use crate::time::Timestamp;

entity! {
    /// The permission of one user on one scope, for a time.
    ///
    /// Grants travel in the same log as the data, so that entering and leaving a scope is ordered with it.
    ScopeGrant("scope_grant", ScopeGrantId) scope(Actor("user_id")) from(Office) {
        /// Who holds the permission.
        user_id: UserId [to(EntityKind::User) indexed immutable],
        /// What kind of scope it is.
        scope_kind: ScopeKind [immutable],
        /// The scope: the id of the enterprise or programme, nil for the office.
        scope_id: Uuid [indexed immutable],
        /// In which role.
        role: Role,
        /// From when on.
        valid_from_at: Timestamp,
        /// Until when (exclusive); `null` while it lasts.
        valid_until_at: Option<Timestamp>,
    }
}
