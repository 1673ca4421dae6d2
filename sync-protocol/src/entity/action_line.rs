use super::{I18n, entity};
use crate::id::ActionLineId;

entity! {
    /// A main line of action of the programme.
    ActionLine("action_line", ActionLineId) scope(Programme) from(Office) {
        /// The Roman numeral, I to VI.
        roman_no: String [max(8)],
        /// The order in lists, from 1.
        position: i32 [indexed],
        /// What the line does.
        title: I18n,
        /// Whether the programme's own document names it; otherwise it is our reading.
        is_from_source: bool,
    }
}
