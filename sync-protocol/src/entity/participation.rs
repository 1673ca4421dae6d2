use super::entity;
use crate::code::{County, EmploymentStatusAtEntry, ExitReason, IscedBand, ParticipationStatus, Sex};
use crate::id::ParticipationId;
use crate::time::Date;

entity! {
    /// The headline record of one person in the programme; identity lives elsewhere, under stricter rules.
    Participation("participation", ParticipationId) scope(Office) from(Office) {
        /// The code of the participant, such as `PT-031`.
        code: String [max(20) indexed],
        /// The group of the first course.
        group_code: Option<String> [max(20)],
        /// Sex, as reported.
        sex: Option<Sex> [indexed],
        /// Age in full years at entry, frozen there (I2).
        age_at_entry: Option<i32>,
        /// The county of residence.
        county: County [indexed],
        /// Whether the residence is rural.
        is_rural: bool,
        /// First entry; a re-entry keeps it (I1).
        entry_on: Date [indexed],
        /// Last exit.
        exit_on: Option<Date>,
        /// Why the person left.
        exit_reason: Option<ExitReason>,
        /// The state.
        status: ParticipationStatus [indexed],
        /// Employment status at entry (I3).
        employment_status: Option<EmploymentStatusAtEntry>,
        /// Education at entry.
        isced_band: Option<IscedBand>,
        /// When the first certificate was issued.
        first_certificate_on: Option<Date>,
        /// When the second, individualised certificate was issued.
        second_certificate_on: Option<Date>,
        /// Whether the record counts beyond the grand total (I5).
        is_complete: bool,
    }
}
