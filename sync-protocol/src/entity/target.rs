use super::{EntityKind, I18n, entity};
use crate::id::{ActionLineId, TargetId};
use crate::time::Date;

entity! {
    /// What the programme promised to reach for one indicator.
    Target("target", TargetId) scope(Programme) from(Office) {
        /// The action line that delivers it.
        action_line_id: Option<ActionLineId> [to(EntityKind::ActionLine)],
        /// The indicator, such as `PS04`.
        indicator_code: String [max(16) indexed],
        /// The name of the indicator.
        title: I18n,
        /// What is counted: persons, entities, positions, agreements, documents.
        unit: String [max(40)],
        /// The value at the start.
        baseline_value: i32,
        /// The value to reach.
        target_value: i32,
        /// When it must be reached.
        due_on: Option<Date>,
    }
}
