use super::{I18n, entity};
use crate::id::FormId;
use crate::time::Date;

entity! {
    /// A version of a visit form. A visit keeps the version that it was started with.
    Form("form", FormId) scope(Programme) from(Office) {
        /// The form, such as `VISIT_ROUTINE`.
        code: String [max(40) indexed],
        /// The version, counted from 1.
        version_no: i32,
        /// The title.
        title: I18n,
        /// The first day on which visits may start with it.
        valid_from_on: Date,
        /// The last day on which visits may start with it.
        valid_until_on: Option<Date>,
    }
}
