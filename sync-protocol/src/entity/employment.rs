use rust_decimal::Decimal;

use super::{EntityKind, entity};
use crate::code::{ContractType, EmploymentStatus, EndReason, Verification, WageBand};
use crate::field::MergePolicy;
use crate::id::{EmploymentId, EnterpriseId, PositionId, UserId};
use crate::time::Date;

entity! {
    /// A job record: one person in one position.
    Employment("employment", EmploymentId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The position that the person holds.
        position_id: PositionId [to(EntityKind::Position) indexed immutable],
        /// The name of the person.
        holder_name: String [searched],
        /// The person's date of birth; decides the age at hire (I20).
        holder_birth_on: Option<Date>,
        /// The kind of contract.
        contract_type: ContractType [group("contract")],
        /// The number of the contract.
        contract_no: Option<String> [max(40) group("contract")],
        /// The first day of work.
        start_on: Date [indexed group("term")],
        /// The last day of work.
        end_on: Option<Date> [indexed group("term")],
        /// Why it ended; required with `end_on`.
        end_reason: Option<EndReason> [group("term")],
        /// Contracted hours a week.
        weekly_hours: Decimal [group("contract")],
        /// Full-time equivalent: `weekly_hours` / 40, two decimals, half to even. Computed on every write.
        fte: Decimal [group("contract")],
        /// Gross monthly wage, in bands.
        wage_band: Option<WageBand> [group("contract")],
        /// Whether membership of a vulnerable group is proved by a document.
        is_vulnerable: bool,
        /// The vulnerability categories at hire: special-category data.
        vulnerability_codes: Option<Vec<String>> [special],
        /// The state.
        status: EmploymentStatus [indexed policy(MergePolicy::State)],
        /// How far the office has verified the record.
        verification: Verification [indexed office],
        /// Who verified it; never the person who recorded it.
        verified_by: Option<UserId> [to(EntityKind::User) office],
        /// When it was verified.
        verified_on: Option<Date> [office],
        /// Who recorded it, bound at capture.
        recorded_by: UserId [to(EntityKind::User) immutable],
    }
}
