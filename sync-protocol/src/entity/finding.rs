use super::{EntityKind, entity};
use crate::code::{FindingArea, Severity};
use crate::id::{EnterpriseId, FindingId, VisitId};

entity! {
    /// Something that a mentor found during a visit.
    Finding("finding", FindingId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The visit.
        visit_id: VisitId [to(EntityKind::Visit) indexed immutable],
        /// What it is about.
        area: FindingArea [indexed],
        /// How serious it is. A critical finding needs a follow-up action (I28).
        severity: Severity [indexed],
        /// What was found.
        text: String [max(2000) searched],
        /// The rule that it touches.
        rule_ref: Option<String>,
    }
}
