//! Who asks: a user of a programme with the permissions that were granted, read once per request.

use sync_protocol::code::{Locale, Role, ScopeKind};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

/// A user who asks for something, with everything that the policy needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Viewer {
    /// The user.
    pub user_id: Uuid,
    /// The programme that the user signed in to; no other one is ever seen.
    pub programme_id: Uuid,
    /// What the user may do in the whole programme.
    pub role: Role,
    /// The language of texts.
    pub locale: Locale,
    /// The permissions on single scopes, past and future ones included.
    pub grants: Vec<Grant>,
}

/// The permission of the viewer on one scope, for a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// What kind of scope it is.
    pub scope_kind: ScopeKind,
    /// The scope.
    pub scope_id: Uuid,
    /// In which role.
    pub role: Role,
    /// From when on.
    pub valid_from_at: Timestamp,
    /// Until when (exclusive); `None` while it lasts.
    pub valid_until_at: Option<Timestamp>,
}

impl Grant {
    /// Returns whether the grant holds at an instant.
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.valid_from_at <= at && self.valid_until_at.is_none_or(|until| at < until)
    }
}

impl Viewer {
    /// Returns the grants that hold at an instant. A change made offline is judged by its own instant.
    pub fn grants_at(&self, at: Timestamp) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.holds_at(at))
    }
}
