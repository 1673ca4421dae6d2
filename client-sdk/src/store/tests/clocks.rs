//! The phone's clock is wrong by years: nothing is decided by it that the server's clock can tell.

use sync_protocol::code::Locale;
use sync_protocol::entity::{Entity as _, MonthlyJobStatus};
use sync_protocol::id::{EmploymentId, EnterpriseId, MonthlyJobStatusId};
use sync_protocol::wire::Digests;

use super::files::server_day;
use super::*;
use crate::api::Rules;

/// A store whose clock is off by so many days, on a day of the server's.
fn open_with_clock(folder: &Path, off_by_days: i64) -> Store {
    drop(open(folder));
    let world = Arc::new(FixedWorld::at(server_day(off_by_days)));
    let validator = Arc::new(Rules::new(Locale::En));
    Store::open(StoreOptions { world, validator, ..options(folder, 7) }).unwrap()
}

fn record_month(store: &Store, month_on: &str) -> Result<()> {
    let month = MonthlyJobStatus {
        id: MonthlyJobStatusId(Uuid::from_u128(1)),
        enterprise_id: EnterpriseId(Uuid::from_u128(9)),
        employment_id: EmploymentId(Uuid::from_u128(8)),
        month_on: month_on.parse().unwrap(),
        is_active: true,
        hours_worked: None,
        absence_kind: None,
        is_wage_paid: None,
        visit_id: None,
        note: None,
    };
    store.write(|batch| batch.put(EntityKind::MonthlyJobStatus, month.to_row()).map(drop))
}

#[test]
fn a_clock_that_is_known_to_be_behind_refuses_no_month() {
    let month_on = "2024-04-01";
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_clock(folder.path(), -3_650);
    assert!(matches!(record_month(&store, month_on), Err(Error::Refused(_))), "nobody has told the time yet");
    store.note_day(server_day(0)).unwrap();
    record_month(&store, month_on).unwrap();
}

#[test]
fn a_right_clock_refuses_a_month_that_has_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_clock(folder.path(), 1);
    store.note_day(server_day(0)).unwrap();
    assert!(matches!(record_month(&store, "2024-05-01"), Err(Error::Refused(_))));
}

#[test]
fn rows_are_compared_once_a_day_of_the_server_whatever_the_phone_shows() {
    let folder = tempfile::tempdir().unwrap();
    let is_due = |store: &Store| store.hello("", 0).unwrap().verify_kinds > 0;
    let compare = |store: &Store| store.apply_digests(&Digests { scopes: Vec::new() }).map(drop).unwrap();
    drop(open(folder.path()));
    for off_by_days in [0, 3_650, -3_650, 40] {
        let store = open_with_clock(folder.path(), off_by_days);
        store.note_day(server_day(0)).unwrap();
        if off_by_days == 0 {
            assert!(is_due(&store));
            compare(&store);
        }
        assert!(!is_due(&store), "off by {off_by_days} days");
    }
    let store = open_with_clock(folder.path(), -3_650);
    store.note_day(server_day(1)).unwrap();
    assert!(is_due(&store));
    compare(&store);
    assert!(!is_due(&store));
    store.verify_soon().unwrap();
    assert!(is_due(&store));
}

#[test]
fn what_was_fetched_anew_is_compared_although_the_power_is_lost_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let scope = |n| Uuid::from_u128(n);
    let is_due = |store: &Store| store.inner.lock().is_verification_due().unwrap();
    store.apply_scopes(&Scopes { scopes: vec![scope(9)] }).unwrap();
    store.apply_page(&page(Vec::new(), Some(10))).unwrap();
    store.apply_digests(&Digests { scopes: Vec::new() }).unwrap();
    assert!(!is_due(&store));
    store.apply_scopes(&Scopes { scopes: vec![scope(8), scope(9)] }).unwrap();
    store.apply_page(&page(Vec::new(), Some(11))).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = open(folder.path());
    assert!(is_due(&store));
    store.apply_digests(&Digests { scopes: Vec::new() }).unwrap();
    assert!(!is_due(&store));
}
