//! What the office answers, as the person reads it.

use client_sdk::api::employments::NewEmployment;
use client_sdk::error::ApiErrorKind;
use client_sdk::store::RowState;
use rust_decimal::Decimal;
use sync_protocol::code::{ConflictState, ContractType};
use sync_protocol::entity::{Conflict, Employment, FollowUpAction};
use sync_protocol::id::ConflictId;
use sync_protocol::wire::{MutationResult, Outcome, PushResult};
use uuid::Uuid;

use crate::device::{Device, rows};
use crate::fixture::{self, DRIVER, ENTERPRISE, MENTOR, OLD_ACTION, day};

/// Answers everything that waits: the first change with `outcome`, the others as applied.
fn answer_first(device: &Device, outcome: Outcome, code: &str, message: Option<&str>) {
    use sync_protocol::mutation::ChainHash;
    let store = device.client().store();
    let pushes = store.pushes().unwrap();
    let payloads = pushes.iter().flat_map(|push| &push.mutations);
    let upto_hash = payloads.fold(ChainHash::START, |hash, payload| hash.then(payload));
    let result = MutationResult {
        no: 1,
        outcome,
        code: code.to_owned(),
        rule: Some("I19".to_owned()),
        field: Some("start_on".to_owned()),
        message: message.map(str::to_owned),
        args: vec![("limit".to_owned(), "2024-04-10".to_owned()), ("period".to_owned(), "2024-T1".to_owned())],
    };
    let upto_no = store.sync_view().unwrap().last_no;
    store
        .apply_result(&PushResult { upto_no, upto_hash, demand: None, commits: Vec::new(), results: vec![result] })
        .unwrap();
}

fn record(device: &Device) -> Employment {
    let new = NewEmployment::new(DRIVER, "Hans Wagner", ContractType::Indefinite, day("2024-04-01"), Decimal::from(40));
    device.client().employments().record(new).unwrap().data
}

#[test]
fn a_refused_change_says_why_and_is_sent_again_when_put_right() {
    let device = Device::new();
    let employment = record(&device);
    answer_first(&device, Outcome::Rejected, "REJECT_RULE", Some("START_BEFORE_REGISTRATION"));

    let client = device.client();
    let refused = client.rejected(10).unwrap();
    let answer = refused[0].answer.as_ref().unwrap();
    assert_eq!((answer.rule.as_deref(), answer.field.as_deref()), (Some("I19"), Some("start_on")));
    assert!(answer.text.contains("2024-04-10"), "{}", answer.text);
    assert_eq!(client.get::<Employment>(employment.id).unwrap().unwrap().state, RowState::Rejected);

    client.edit(employment.id, |employment: &mut Employment| employment.start_on = day("2024-04-10")).unwrap();
    let status = client.status().unwrap().sync;
    assert_eq!((status.rejected, status.pending), (0, 1));
    assert_eq!(client.pending(10).unwrap()[0].row_id, employment.id.0);
}

#[test]
fn a_refused_change_is_given_up_on_request_only() {
    let device = Device::new();
    let employment = record(&device);
    assert_eq!(device.client().discard(1).unwrap_err().kind, ApiErrorKind::Usage);
    answer_first(&device, Outcome::Rejected, "REJECT_SCOPE", None);
    let refused = device.client().rejected(10).unwrap();
    assert!(refused[0].answer.as_ref().unwrap().text.starts_with("The enterprise was not assigned to you"));
    device.client().discard(refused[0].change_id).unwrap();
    assert_eq!(device.client().get::<Employment>(employment.id).unwrap(), None);
}

#[test]
fn a_held_change_is_no_error_and_says_what_it_waits_for() {
    let device = Device::new();
    record(&device);
    answer_first(&device, Outcome::Held, "HELD_PERIOD_LOCKED", None);
    let held = device.client().held(10).unwrap();
    assert_eq!(
        held[0].answer.as_ref().unwrap().text,
        "The period 2024-T1 is locked; the change waits for your coordinator. Do not enter it again."
    );
    assert_eq!(device.client().status().unwrap().sync.held, 1);
    assert!(device.client().rejected(10).unwrap().is_empty());
}

#[test]
fn a_conflict_shows_both_values_and_both_people() {
    let device = Device::new();
    let conflict = Conflict {
        id: ConflictId(Uuid::from_u128(70)),
        subject_scope_id: ENTERPRISE.0,
        subject_kind: "follow_up_action".to_owned(),
        subject_id: OLD_ACTION.0,
        field: "due_on".to_owned(),
        kept_value: Some("\"2024-04-30\"".to_owned()),
        other_value: Some("\"2024-04-10\"".to_owned()),
        kept_by: Some(fixture::COORDINATOR),
        other_by: Some(MENTOR),
        detected_at: fixture::NOW,
        policy: "LAST_ARRIVAL".to_owned(),
        state: ConflictState::Open,
        resolved_by: None,
        resolved_at: None,
    };
    device.receive(vec![rows(20, &[conflict])], 20);

    let client = device.client();
    let shown = client.conflicts(10).unwrap().remove(0);
    assert_eq!(shown.field_label, "Due date");
    assert_eq!((shown.kept.value.as_deref(), shown.kept.by.as_deref()), (Some("2024-04-30"), Some("Elena Crișan")));
    assert_eq!((shown.other.value.as_deref(), shown.other.by.as_deref()), (Some("2024-04-10"), Some("Ana Berceanu")));
    assert_eq!(client.get::<FollowUpAction>(OLD_ACTION).unwrap().unwrap().state, RowState::Conflict);
    assert_eq!(client.status().unwrap().sync.conflicts, 1);
}
