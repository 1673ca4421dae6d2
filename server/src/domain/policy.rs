//! Who may do what: one table, asked by every path to the data.
//!
//! Nothing here reads anything. The store gets its row filter as an [`Access`], which only this module makes.

use std::collections::BTreeSet;

use sync_protocol::code::{Role, ScopeKind};
use sync_protocol::entity::{EntityKind, OFFICE_SCOPE};
use sync_protocol::field::{Field, ScopeRule};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::traces::VOIDED;
use super::viewer::Viewer;
use crate::store::fleet::DeviceAccess;

mod matrix;
mod needed;

use matrix::{Reach, cell};

pub use needed::needed;

/// Something that a viewer may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See single rows.
    Read,
    /// See numbers made of many rows, with small cells suppressed.
    Aggregate,
    /// Take rows out as a file.
    Export,
    /// Add a row.
    Create,
    /// Change a row.
    Update,
    /// Remove a row.
    Delete,
    /// Accept or return what a mentor submitted.
    Validate,
    /// Confirm a job record against its evidence.
    Verify,
    /// Decide which mentor is responsible.
    Assign,
    /// Settle a conflict, a held change or a proposal to merge.
    Resolve,
    /// Lock or unlock a reporting period.
    Lock,
}

impl Action {
    /// Returns the name that clients see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Aggregate => "AGGREGATE",
            Self::Export => "EXPORT",
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Validate => "VALIDATE",
            Self::Verify => "VERIFY",
            Self::Assign => "ASSIGN",
            Self::Resolve => "RESOLVE",
            Self::Lock => "LOCK",
        }
    }

    /// Every action.
    pub const ALL: &'static [Self] = &[
        Self::Read,
        Self::Aggregate,
        Self::Export,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Validate,
        Self::Verify,
        Self::Assign,
        Self::Resolve,
        Self::Lock,
    ];
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The role never does this.
    Role,
    /// The role does this, but in other scopes, or the grant does not hold at that instant.
    Scope,
}

/// The answer of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refuse. Someone who may not read the row is told that it does not exist.
    Deny(Denial),
}

impl Decision {
    /// Returns whether the answer is yes.
    pub fn is_allowed(self) -> bool {
        self == Self::Allow
    }
}

/// Which rows of a programme may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowScope {
    /// Every row of the programme.
    All,
    /// The rows of these scopes.
    Scopes(Vec<Uuid>),
    /// No row.
    Nothing,
}

/// The rows of one kind that a viewer may read: the mandatory filter of every read of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    programme_id: Uuid,
    kind: EntityKind,
    rows: RowScope,
}

impl Access {
    /// Returns the programme, which is part of every key.
    pub fn programme_id(&self) -> Uuid {
        self.programme_id
    }

    /// Returns the kind of rows.
    pub fn kind(&self) -> EntityKind {
        self.kind
    }

    /// Returns which rows.
    pub fn rows(&self) -> &RowScope {
        &self.rows
    }
}

/// Decides whether `viewer` may do `action` to a row of `kind` in the scope `scope_id`, judged at `at`: now for
/// reads, the instant of capture for a change made offline.
///
/// The caller has already bound the row to the viewer's programme, which is part of every key.
pub fn decide(viewer: &Viewer, action: Action, kind: EntityKind, scope_id: Uuid, at: Timestamp) -> Decision {
    match range(viewer, action, kind, at) {
        Range::Never => Decision::Deny(Denial::Role),
        Range::Everywhere if in_programme(viewer, kind, scope_id) => Decision::Allow,
        Range::Scopes(scopes) if scopes.contains(&scope_id) => Decision::Allow,
        Range::Everywhere | Range::Scopes(_) => Decision::Deny(Denial::Scope),
    }
}

/// Returns which rows of `kind` the viewer may read at `at`.
pub fn readable(viewer: &Viewer, kind: EntityKind, at: Timestamp) -> RowScope {
    reachable(viewer, Action::Read, kind, at)
}

/// Returns to which rows of `kind` the viewer may do `action` at `at`.
pub fn reachable(viewer: &Viewer, action: Action, kind: EntityKind, at: Timestamp) -> RowScope {
    match range(viewer, action, kind, at) {
        Range::Everywhere => RowScope::All,
        Range::Scopes(scopes) if scopes.contains(&OFFICE_SCOPE) && kind.def().scope == ScopeRule::Office => {
            RowScope::All
        }
        Range::Scopes(scopes) if !scopes.is_empty() => RowScope::Scopes(scopes.into_iter().collect()),
        Range::Scopes(_) | Range::Never => RowScope::Nothing,
    }
}

/// Returns the filter with which the store reads rows of `kind` for the viewer.
pub fn access(viewer: &Viewer, kind: EntityKind, at: Timestamp) -> Access {
    Access { programme_id: viewer.programme_id, kind, rows: readable(viewer, kind, at) }
}

/// Returns whose devices the viewer may see; `None` for nobody's.
pub fn devices(viewer: &Viewer) -> Option<DeviceAccess> {
    match matrix::devices(viewer.role).reach(Action::Read) {
        Reach::All => Some(DeviceAccess::All),
        Reach::Own => Some(DeviceAccess::Of(viewer.user_id)),
        Reach::None => None,
    }
}

/// Returns whether the viewer may block and unblock devices of the programme.
pub fn may_block_devices(viewer: &Viewer) -> bool {
    matrix::devices(viewer.role).reach(Action::Update) == Reach::All
}

/// Returns whether the viewer may read a field of the rows that it may read. A field that may not be read may
/// not be filtered, ordered or searched by either: the order of rows tells its values.
pub fn may_read_field(viewer: &Viewer, kind: EntityKind, field: &Field) -> bool {
    match protection(kind, field) {
        Protection::None => true,
        Protection::Identity => matrix::reads_identity(viewer.role),
        Protection::Special => matrix::reads_special(viewer.role),
    }
}

/// Returns whether the viewer may read the values that a conflict row keeps of a field of another row.
pub fn may_read_conflicting(viewer: &Viewer, subject_kind: &str, field: &str) -> bool {
    let kind = EntityKind::from_name(subject_kind);
    // Whether the row is there at all is no secret to who may read the conflict.
    if field == VOIDED {
        return kind.is_some();
    }
    let found = kind.and_then(|kind| kind.def().field(field).map(|field| (kind, field)));
    found.is_some_and(|(kind, field)| may_read_field(viewer, kind, field))
}

/// Returns whether there are roles that may not read the field.
pub fn is_protected(kind: EntityKind, field: &Field) -> bool {
    protection(kind, field) != Protection::None
}

/// How a field is protected beyond its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    None,
    /// Who a job holder is.
    Identity,
    /// Special categories of personal data (GDPR Art. 9).
    Special,
}

fn protection(kind: EntityKind, field: &Field) -> Protection {
    match (kind, field.name) {
        _ if field.special => Protection::Special,
        (EntityKind::Employment, "holder_name" | "holder_birth_on")
        // Held work may be a job record, and so may what was merged.
        | (EntityKind::HeldItem, "content" | "correction")
        | (EntityKind::MergeProposal, "merged_content") => Protection::Identity,
        _ => Protection::None,
    }
}

/// Returns whether a scope can belong to the viewer's programme, as far as the row alone tells.
fn in_programme(viewer: &Viewer, kind: EntityKind, scope_id: Uuid) -> bool {
    kind.def().scope != ScopeRule::Programme || scope_id == viewer.programme_id
}

/// Where a viewer may do something.
enum Range {
    Never,
    Scopes(BTreeSet<Uuid>),
    Everywhere,
}

/// Joins what the viewer's own role allows with what each grant adds in its scope.
fn range(viewer: &Viewer, action: Action, kind: EntityKind, at: Timestamp) -> Range {
    let reach = cell(viewer.role, kind).reach(action);
    let mut scopes = BTreeSet::new();
    if reach == Reach::Own && belongs_to_people(kind) {
        scopes.insert(viewer.user_id);
    }
    let mut everywhere = reach == Reach::All;
    for grant in viewer.grants_at(at).filter(|grant| grant_adds(grant.role, action, kind)) {
        everywhere |= grant.scope_kind == ScopeKind::Programme && grant.scope_id == viewer.programme_id;
        scopes.insert(grant.scope_id);
    }
    match (everywhere, reach) {
        (true, _) => Range::Everywhere,
        (false, Reach::None) if scopes.is_empty() => Range::Never,
        (false, _) => Range::Scopes(scopes),
    }
}

/// Returns whether a grant in `role` allows something in its scope. What belongs to a person is not widened by
/// a grant on an enterprise.
fn grant_adds(role: Role, action: Action, kind: EntityKind) -> bool {
    match cell(role, kind).reach(action) {
        Reach::All => true,
        Reach::Own => !matches!(kind.def().scope, ScopeRule::Actor(_)),
        Reach::None => false,
    }
}

fn belongs_to_people(kind: EntityKind) -> bool {
    matches!(kind.def().scope, ScopeRule::Actor(_) | ScopeRule::Scope(_))
}

#[cfg(test)]
mod tests;
