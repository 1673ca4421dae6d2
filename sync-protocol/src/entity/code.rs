use super::{I18n, entity};
use crate::id::CodeId;
use crate::time::Date;

entity! {
    /// One entry of an open, dated code list: localities (`SIRUTA`), occupations (`ISCO`), activities (`NACE`).
    Code("code", CodeId) scope(Programme) from(Office) {
        /// The list, such as `SIRUTA`.
        list: String [max(40) indexed],
        /// The code within the list. Names are no keys: 52 names of localities occur more than once in the region.
        code: String [max(40) indexed],
        /// The label.
        label: I18n,
        /// The code of the parent entry: the county of a locality.
        parent_code: Option<String> [max(40)],
        /// Where it is, for places.
        place: Option<super::Place>,
        /// The first day on which the code may be used.
        valid_from_on: Option<Date>,
        /// The last day on which the code may be used.
        valid_until_on: Option<Date>,
    }
}
