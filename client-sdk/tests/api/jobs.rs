//! S2: a job record offline, a new employee.

use client_sdk::api::employments::NewEmployment;
use client_sdk::api::job_status::Month;
use client_sdk::error::ApiErrorKind;
use client_sdk::store::RowState;
use rust_decimal::Decimal;
use sync_protocol::code::*;
use sync_protocol::entity::Enterprise;

use crate::device::Device;
use crate::fixture::{BAKER, DRIVER, ENTERPRISE, day};

fn driver() -> NewEmployment {
    let mut new =
        NewEmployment::new(DRIVER, "Ildikó Szabó", ContractType::PartTime, day("2024-04-01"), Decimal::from(30));
    new.is_vulnerable = true;
    new
}

#[test]
fn thirty_hours_are_three_quarters_and_the_employee_is_shown_at_once() {
    let mut device = Device::new();
    let recorded = device.client().employments().record(driver()).unwrap();
    assert_eq!(recorded.fte, Decimal::new(75, 2));

    let client = device.kill();
    let shown = client.employments().of(ENTERPRISE).unwrap();
    assert_eq!(shown[0].holder_name, "Ildikó Szabó");
    assert_eq!(shown[0].state, RowState::Pending);
    let position = client.positions().get(DRIVER).unwrap().unwrap();
    assert_eq!((position.status, position.first_filled_on), (PositionStatus::Filled, Some(day("2024-04-01"))));
    assert!(client.positions().open(ENTERPRISE).unwrap().is_empty());
}

#[test]
fn the_share_of_the_vulnerable_follows_offline() {
    let device = Device::new();
    let before = device.client().employments().wise_preview(ENTERPRISE).unwrap().unwrap();
    assert!(before.is_below_minimum());
    device.client().employments().record(driver()).unwrap();
    let after = device.client().employments().wise_preview(ENTERPRISE).unwrap().unwrap();
    assert_eq!((after.headcount_ratio, after.hours_ratio), (Decimal::new(5, 1), Decimal::new(4285, 4)));
    assert!(!after.is_below_minimum());
}

#[test]
fn a_start_before_the_registration_is_refused_in_the_persons_language() {
    let device = Device::new();
    let early = NewEmployment { start_on: day("2020-01-14"), ..driver() };
    let refused = device.client().employments().record(early.clone()).unwrap_err();
    assert_eq!((refused.kind, refused.field()), (ApiErrorKind::Refused, Some("start_on")));
    assert_eq!(refused.refusals[0].rule, "I19");
    assert!(refused.refusals[0].message.contains("2020-01-15"));

    device.client().set_locale(Locale::Ro);
    let refused = device.client().employments().record(early).unwrap_err();
    assert!(refused.refusals[0].message.starts_with("Angajarea începe înainte de înregistrarea întreprinderii"));
    assert_eq!(device.client().status().unwrap().sync.pending, 0);
    assert_eq!(device.client().positions().get(DRIVER).unwrap().unwrap().status, PositionStatus::Planned);
}

#[test]
fn a_young_employee_is_recorded_with_a_warning() {
    let device = Device::new();
    let young = NewEmployment { holder_birth_on: Some(day("2007-01-01")), ..driver() };
    let recorded = device.client().employments().record(young).unwrap();
    assert_eq!(recorded.warnings.len(), 1);
    assert_eq!((recorded.warnings[0].rule.as_str(), recorded.warnings[0].field.as_str()), ("I20", "holder_birth_on"));
}

#[test]
fn a_position_has_one_holder_at_a_time_and_is_vacant_after_the_last() {
    let device = Device::new();
    let client = device.client();
    let second = NewEmployment { position: BAKER, ..driver() };
    assert_eq!(client.employments().record(second.clone()).unwrap_err().refusals[0].rule, "I19");

    let baker = client.employments().of(ENTERPRISE).unwrap().remove(0);
    client.employments().end(baker.id, day("2024-03-31"), EndReason::Retirement).unwrap();
    assert_eq!(client.positions().get(BAKER).unwrap().unwrap().status, PositionStatus::Vacant);
    client.employments().record(second).unwrap();
    assert_eq!(client.positions().get(BAKER).unwrap().unwrap().status, PositionStatus::Filled);
}

#[test]
fn a_month_is_recorded_once_and_corrected_afterwards() {
    let device = Device::new();
    let client = device.client();
    let baker = client.employments().of(ENTERPRISE).unwrap().remove(0);
    let month = |hours| Month { is_active: true, hours_worked: Some(hours), ..Month::default() };
    client.job_status().record(baker.id, day("2024-03-17"), month(160)).unwrap();
    client.job_status().record(baker.id, day("2024-03-01"), month(152)).unwrap();
    let months = client.job_status().of(baker.id).unwrap();
    assert_eq!(months.len(), 1);
    assert_eq!((months[0].month_on, months[0].hours_worked), (day("2024-03-01"), Some(152)));
    let future = client.job_status().record(baker.id, day("2024-06-01"), month(1)).unwrap_err();
    assert_eq!(future.field(), Some("month_on"));
}

#[test]
fn enterprises_are_found_without_diacritics_and_are_not_written_by_devices() {
    let device = Device::new();
    let client = device.client();
    assert_eq!(client.enterprises().search("BRUTARIA bogodint").unwrap().len(), 1);
    assert!(client.enterprises().search("timisoara").unwrap().is_empty());
    assert_eq!(client.enterprises().by_code("ent-012").unwrap().unwrap().id, ENTERPRISE);
    let error = client.edit(ENTERPRISE, |enterprise: &mut Enterprise| enterprise.name.push('!')).unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Usage);
}
