//! A job recorded without a signal: computed and checked on the phone, verified by someone else in the office.

use client_sdk::api::employments::NewEmployment;
use client_sdk::error::ApiErrorKind;
use client_sdk::store::RowState;
use serde_json::{Value, json};
use sync_protocol::code::{ContractType, Verification};
use sync_protocol::entity::{Enterprise, Position};
use sync_protocol::id::EmploymentId;
use tests::demo::{self, ANA, DEMO_PASSWORD, ELENA};
use tests::{Office, Phone, Proxy, TestServer};
use uuid::Uuid;

const JOB: &str = "query Job($id: ID!) { employment(id: $id) { version fte weeklyHours holderName verification \
    recordedBy { displayName } position { status } } }";
const VERIFY: &str = "mutation Verify($input: VerifyEmploymentInput!) { verifyEmployment(input: $input) { __typename \
    ... on VerifyEmploymentSuccess { employment { verification verifiedBy { displayName } } } \
    ... on UserError { code message } } }";

/// Returns an enterprise of Ana's where vulnerable people work and a position is open.
fn open_position(phone: &Phone) -> (Enterprise, Position) {
    let enterprises = phone.enterprises().list().unwrap();
    let found = enterprises.into_iter().find_map(|enterprise| {
        let preview = phone.employments().wise_preview(enterprise.id).unwrap()?;
        if preview.headcount_ratio.is_zero() {
            return None;
        }
        let open = phone.positions().open(enterprise.id).unwrap().into_iter().next()?;
        Some((enterprise.data, open.data))
    });
    found.expect("the demo has an open position")
}

fn job_of(position: &Position, phone: &Phone) -> NewEmployment {
    let start_on = phone.today().plus_days(-10);
    let hours = "30".parse().unwrap();
    let new = NewEmployment::new(position.id, "Țepeș Ion", ContractType::Indefinite, start_on, hours);
    NewEmployment { holder_birth_on: "1985-03-12".parse().ok(), is_vulnerable: false, ..new }
}

/// Records the job and returns it; everything is to be seen at once.
fn record_offline(phone: &mut Phone) -> EmploymentId {
    let (enterprise, position) = open_position(phone);
    let new = job_of(&position, phone);
    let too_early = enterprise.registered_on.unwrap().plus_days(-1);
    let refused = phone.employments().record(NewEmployment { start_on: too_early, ..new.clone() }).unwrap_err();
    assert_eq!((refused.kind, refused.refusals[0].field.as_str()), (ApiErrorKind::Refused, "start_on"));
    assert!(refused.refusals[0].message.starts_with("Angajarea începe înainte de înregistrarea"), "{refused:?}");
    assert_eq!(phone.status().unwrap().sync.pending, 0, "a refused record waits to be sent");

    let before = phone.employments().wise_preview(enterprise.id).unwrap().unwrap();
    let job = phone.employments().record(new).unwrap();
    assert_eq!(job.fte, "0.75".parse().unwrap());
    let after = phone.employments().wise_preview(enterprise.id).unwrap().unwrap();
    assert!(after.headcount_ratio < before.headcount_ratio && after.hours_ratio < before.hours_ratio, "{after:?}");
    phone.restart();
    let shown = phone.employments().of(enterprise.id).unwrap();
    let shown = shown.iter().find(|shown| shown.id == job.id).expect("the job is shown at once");
    assert_eq!((shown.state, shown.holder_name.as_str()), (RowState::Pending, "Țepeș Ion"));
    assert!(phone.positions().open(enterprise.id).unwrap().iter().all(|open| open.id != position.id));
    job.id
}

async fn verify(office: &Office, job: EmploymentId) -> Value {
    let input = json!({"clientMutationId": Uuid::now_v7(), "employmentId": job, "verification": "VERIFIED"});
    office.ask(VERIFY, json!({"input": input})).await["verifyEmployment"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_recorded_without_a_signal_is_verified_by_someone_else_and_the_phone_shows_it() {
    let server = TestServer::new().await;
    demo::load(&server.app).await;
    let network = Proxy::start(server.address).await;
    let mut phone = Phone::new(network.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    network.cut();
    let job = record_offline(&mut phone);
    network.heal();
    assert_eq!(phone.sync().await.applied, 2, "the job and its position");

    let elena = Office::sign_in(server.address, ELENA, DEMO_PASSWORD).await;
    let seen = elena.ask(JOB, json!({"id": job})).await["employment"].take();
    assert_eq!((&seen["fte"], &seen["holderName"]), (&json!("0.75"), &json!("Țepeș Ion")), "{seen}");
    assert_eq!(seen["recordedBy"]["displayName"], "Ana Berceanu");
    assert_eq!((&seen["position"]["status"], &seen["verification"]), (&json!("FILLED"), &json!("NONE")));

    let ana = Office::sign_in(server.address, ANA, DEMO_PASSWORD).await;
    let refused = verify(&ana, job).await;
    assert_eq!(refused["__typename"], "NotPermitted", "{refused}");
    let verified = verify(&elena, job).await;
    assert_eq!(verified["employment"]["verifiedBy"]["displayName"], "Elena Crișan", "{verified}");
    assert_eq!(phone.employments().get(job).unwrap().unwrap().verification, Verification::None);
    phone.sync().await;
    let shown = phone.employments().get(job).unwrap().unwrap();
    assert_eq!((shown.verification, shown.state), (Verification::Verified, RowState::Synced));
}
