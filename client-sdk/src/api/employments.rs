//! Job records: who holds which position, from when to when, for how many hours.

use rust_decimal::Decimal;
use sync_protocol::code::{ContractType, EmploymentStatus, EndReason, PositionStatus, Verification, WageBand};
use sync_protocol::entity::{Employment, Position};
use sync_protocol::id::{EmploymentId, EnterpriseId, PositionId, UserId};
use sync_protocol::rule::{WisePreview, fte_of, wise_preview};
use sync_protocol::time::Date;

use super::error::ApiResult;
use super::records::{Record, Saved};
use super::write::Writer;
use crate::client::Client;
use crate::error::Result;
use crate::store::{Direction, Query};

/// The job records on this device.
#[derive(Clone, Copy)]
pub struct Employments<'c>(pub(super) &'c Client);

/// A person who starts in a position.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEmployment {
    /// The position.
    pub position: PositionId,
    /// The name of the person.
    pub holder_name: String,
    /// The person's date of birth; decides the age at hire (I20).
    pub holder_birth_on: Option<Date>,
    /// The kind of contract.
    pub contract_type: ContractType,
    /// The number of the contract.
    pub contract_no: Option<String>,
    /// The first day of work.
    pub start_on: Date,
    /// Contracted hours a week; the full-time equivalent follows from them.
    pub weekly_hours: Decimal,
    /// Gross monthly wage, in bands.
    pub wage_band: Option<WageBand>,
    /// Whether membership of a vulnerable group is proved by a document.
    pub is_vulnerable: bool,
    /// The vulnerability categories at hire: captured here, never read back.
    pub vulnerability_codes: Option<Vec<String>>,
}

impl NewEmployment {
    /// Returns a person with what every job record needs.
    pub fn new(
        position: PositionId,
        holder_name: impl Into<String>,
        contract_type: ContractType,
        start_on: Date,
        weekly_hours: Decimal,
    ) -> Self {
        Self {
            position,
            holder_name: holder_name.into(),
            holder_birth_on: None,
            contract_type,
            contract_no: None,
            start_on,
            weekly_hours,
            wage_band: None,
            is_vulnerable: false,
            vulnerability_codes: None,
        }
    }
}

impl Employments<'_> {
    /// Records a person in a position, and the position as filled.
    pub fn record(&self, new: NewEmployment) -> ApiResult<Saved<Employment>> {
        let (id, recorded_by) = (self.0.new_id(), self.0.me()?);
        self.0.record(|writer| {
            let position: Position = writer.get(new.position)?;
            let employment = employment(id, recorded_by, position.enterprise_id, new);
            writer.group();
            let recorded = writer.put(&employment)?;
            fill(writer, &position, recorded.start_on)?;
            Ok(recorded)
        })
    }

    /// Ends a job record. The position is vacant when nobody else holds it.
    pub fn end(&self, id: EmploymentId, end_on: Date, reason: EndReason) -> ApiResult<Saved<Employment>> {
        self.0.record(|writer| {
            writer.group();
            let ended = writer.edit(id, |employment: &mut Employment| {
                employment.end_on = Some(end_on);
                employment.end_reason = Some(reason);
                employment.status = EmploymentStatus::Ended;
            })?;
            vacate(writer, ended.position_id)?;
            Ok(ended)
        })
    }

    /// Returns a job record, `None` when it is not on this device.
    pub fn get(&self, id: EmploymentId) -> ApiResult<Option<Record<Employment>>> {
        self.0.get(id)
    }

    /// Returns the job records of an enterprise, the newest first.
    pub fn of(&self, enterprise: EnterpriseId) -> ApiResult<Vec<Record<Employment>>> {
        let query = Query::new().eq("enterprise_id", enterprise);
        self.0.list(&query.order_by("start_on", Direction::Descending).limit(u32::MAX))
    }

    /// Returns the share of the vulnerable in an enterprise today, as people and as hours; `None` when nobody is
    /// employed. A preview: the office decides on verified records.
    pub fn wise_preview(&self, enterprise: EnterpriseId) -> ApiResult<Option<WisePreview>> {
        let employments: Vec<Employment> = self.0.children("enterprise_id", enterprise)?;
        Ok(wise_preview(&employments, self.0.today()))
    }
}

fn employment(id: EmploymentId, recorded_by: UserId, enterprise_id: EnterpriseId, new: NewEmployment) -> Employment {
    Employment {
        id,
        enterprise_id,
        position_id: new.position,
        holder_name: new.holder_name,
        holder_birth_on: new.holder_birth_on,
        contract_type: new.contract_type,
        contract_no: new.contract_no,
        start_on: new.start_on,
        end_on: None,
        end_reason: None,
        fte: fte_of(new.weekly_hours),
        weekly_hours: new.weekly_hours,
        wage_band: new.wage_band,
        is_vulnerable: new.is_vulnerable,
        vulnerability_codes: new.vulnerability_codes,
        status: EmploymentStatus::Recorded,
        verification: Verification::None,
        verified_by: None,
        verified_on: None,
        recorded_by,
    }
}

/// The indicator "jobs created" counts positions by the day on which they were first filled (I18).
fn fill(writer: &mut Writer<'_, '_>, position: &Position, start_on: Date) -> Result<()> {
    let first = position.first_filled_on.map_or(start_on, |first| first.min(start_on));
    writer.edit(position.id, |position: &mut Position| {
        position.first_filled_on = Some(first);
        if matches!(position.status, PositionStatus::Planned | PositionStatus::Vacant) {
            position.status = PositionStatus::Filled;
        }
    })?;
    Ok(())
}

fn vacate(writer: &mut Writer<'_, '_>, position: PositionId) -> Result<()> {
    let holders: Vec<Employment> = writer.children("position_id", position)?;
    let holds = |employment: &Employment| employment.end_on.is_none() && employment.status != EmploymentStatus::Voided;
    if !holders.iter().any(holds) && writer.get::<Position>(position)?.status == PositionStatus::Filled {
        writer.edit(position, |position: &mut Position| position.status = PositionStatus::Vacant)?;
    }
    Ok(())
}
