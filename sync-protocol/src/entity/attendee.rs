use super::{EntityKind, entity};
use crate::id::{AttendeeId, EnterpriseId, VisitId};

entity! {
    /// Someone present at a visit.
    Attendee("attendee", AttendeeId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The visit.
        visit_id: VisitId [to(EntityKind::Visit) indexed immutable],
        /// The name.
        name: String,
        /// The role, such as administrator or employee.
        role: String [max(100)],
        /// The organisation.
        organisation: Option<String>,
        /// Whether the person was there; invited people may be absent.
        is_present: bool,
    }
}
