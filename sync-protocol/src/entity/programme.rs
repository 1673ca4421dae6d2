use rust_decimal::Decimal;

use super::{I18n, entity};
use crate::code::{Fund, ProgrammeStatus, RegulationSet};
use crate::id::ProgrammeId;
use crate::time::Date;

entity! {
    /// A funded programme: the tenant that everything else belongs to.
    Programme("programme", ProgrammeId) scope(Programme) from(Office) {
        /// The short code that people use, such as `WEST-SE`.
        code: String [max(40)],
        /// The title.
        title: I18n,
        /// What the programme is for.
        objective: I18n,
        /// The fund that pays.
        fund: Fund,
        /// Which indicator and state-aid rules apply.
        regulation_set: RegulationSet,
        /// The number in the Romanian management system (SMIS).
        smis_code: Option<String> [max(40)],
        /// The NUTS 2 region, such as `RO42`.
        nuts2: String [max(4)],
        /// The first day.
        starts_on: Date,
        /// The last day of implementation.
        ends_on: Date,
        /// The last day on which jobs and enterprises must be sustained.
        sustainability_ends_on: Option<Date>,
        /// The whole budget, in `currency`.
        total_budget_amount: Decimal,
        /// The European contribution, in `currency`.
        eu_contribution_amount: Decimal,
        /// ISO 4217 code.
        currency: String [max(3)],
        /// The organisation that leads.
        lead_organisation: String,
        /// The state of the programme.
        status: ProgrammeStatus,
    }
}
