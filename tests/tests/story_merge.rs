//! Two mentors record the same new employee without a signal: both records stand, both mentors see it, and what one of
//! them still has on the phone when the office merges them goes to the record that stays.

use client_sdk::api::employments::NewEmployment;
use client_sdk::api::job_status::Month;
use client_sdk::api::merges::MergeRow;
use client_sdk::store::RowState;
use serde_json::json;
use sync_protocol::code::{ContractType, EndReason, Locale};
use sync_protocol::entity::{Employment, MonthlyJobStatus, Position};
use sync_protocol::id::{EmploymentId, PositionId, UserId};
use sync_protocol::message::field_label;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PASSWORD, RADU, email};
use tests::sample::day;
use tests::state::number;
use tests::{Office, Phone, Proxy, TestServer, sample};

async fn phone_of(network: &Proxy, user: UserId) -> Phone {
    let phone = Phone::new(network.address);
    phone.enrol(&email(user), PASSWORD).await;
    phone.sync().await;
    phone
}

fn record(phone: &Phone, position: PositionId, name: &str, hours: &str) -> EmploymentId {
    let new = NewEmployment::new(position, name, ContractType::Indefinite, day("2024-02-01"), hours.parse().unwrap());
    phone.employments().record(new).unwrap().data.id
}

#[tokio::test(flavor = "multi_thread")]
async fn one_employee_recorded_twice_offline_becomes_one_record_and_nothing_is_lost() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    programme::import(&server.app.office, &[programme::grant(RADU, ENTERPRISES[0])]).await;
    let position: Position = sample::position(ENTERPRISES[0]);
    programme::import(&server.app.office, std::slice::from_ref(&position)).await;
    let network = Proxy::start(server.address).await;
    let (ana, radu) = (phone_of(&network, ANA).await, phone_of(&network, RADU).await);
    network.cut();
    let first = record(&ana, position.id, "Ion Țepeș", "40");
    let second = record(&radu, position.id, "Tepes Ion", "30");
    network.heal();
    for phone in [&ana, &radu, &ana] {
        let report = phone.sync().await;
        assert_eq!((report.rejected, report.held), (0, 0), "{report:?}");
    }
    network.cut();
    for phone in [&ana, &radu] {
        let merges = phone.merges(10).unwrap();
        let [merge] = merges.as_slice() else { panic!("one pair: {merges:?}") };
        let labels = ["holder_name", "position_id", "start_on"].map(|name| field_label(name, Locale::Ro).unwrap());
        assert_eq!(merge.matched_labels, labels);
        let row = |id: EmploymentId, title: &str, by: &str| {
            let (title, by) = (Some(title.to_owned()), Some(by.to_owned()));
            MergeRow { id: id.0, title, by }
        };
        let mut expected =
            [row(first, "Ion Țepeș, 2024-02-01", "Om b001"), row(second, "Tepes Ion, 2024-02-01", "Om b002")];
        expected.sort_by_key(|row| row.id);
        assert_eq!(merge.rows, expected);
        let status = phone.status().unwrap().sync;
        assert_eq!((status.merges, status.rejected), (1, 0));
    }
    let worked = Month { is_active: true, hours_worked: Some(120), ..Month::default() };
    let month = radu.job_status().record(second, day("2024-03-01"), worked).unwrap().data.id;
    radu.employments().end(second, day("2024-06-30"), EndReason::Mutual).unwrap();

    let office = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let listed = office.ask("{ mergeProposals(first: 2) { nodes { id } } }", json!({})).await;
    let input = json!({ "mergeProposalId": listed["mergeProposals"]["nodes"][0]["id"], "survivorId": first });
    let merged = office.perform("acceptMerge", "mergeProposal { state }", input).await;
    assert_eq!(merged["mergeProposal"]["state"], "MERGED", "{merged}");
    assert_eq!(
        radu.get::<Employment>(second).unwrap().unwrap().state,
        RowState::Pending,
        "the phone knows nothing yet"
    );

    network.heal();
    for phone in [&radu, &ana, &radu] {
        let report = phone.sync().await;
        assert_eq!((report.rejected, report.held), (0, 0), "{report:?}");
    }
    for phone in [&ana, &radu] {
        assert_eq!((phone.get::<Employment>(second).unwrap(), phone.merges(10).unwrap()), (None, Vec::new()));
        assert_eq!(phone.survivor_of(second.0).unwrap(), Some(first.0));
        let job = phone.get::<Employment>(first).unwrap().unwrap();
        assert_eq!((job.end_on, job.end_reason), (Some(day("2024-06-30")), Some(EndReason::Mutual)));
        let months: Vec<_> =
            phone.job_status().of(first).unwrap().into_iter().map(|row| (row.id, row.month_on)).collect();
        let march = day("2024-03-01");
        assert_eq!(
            months,
            [(MonthlyJobStatus::id_of(first, march), march)],
            "under the name that every phone gives it"
        );
        assert_eq!(phone.get::<MonthlyJobStatus>(month).unwrap(), None);
        let kept: Vec<_> = phone.conflicts(10).unwrap().into_iter().map(|c| (c.field, c.other.value)).collect();
        for (field, value) in [("holder_name", "Tepes Ion"), ("weekly_hours", "30")] {
            assert!(kept.contains(&(field.to_owned(), Some(value.to_owned()))), "{field} is lost: {kept:?}");
        }
        assert_eq!(phone.status().unwrap().sync.pending, 0);
    }
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM employment").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_records_what_the_phone_shows_already_is_warned_and_not_stopped() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let position: Position = sample::position(ENTERPRISES[0]);
    programme::import(&server.app.office, std::slice::from_ref(&position)).await;
    let ana = phone_of(&Proxy::start(server.address).await, ANA).await;
    record(&ana, position.id, "Ion Țepeș", "40");
    let again = NewEmployment::new(
        position.id,
        "ion tepes",
        ContractType::Indefinite,
        day("2024-02-01"),
        "40".parse().unwrap(),
    );
    let saved = ana.employments().record(again).unwrap();
    let [warning] = saved.warnings.as_slice() else { panic!("one warning: {:?}", saved.warnings) };
    assert!(warning.message.contains("Ion Țepeș, 2024-02-01"), "{warning:?}");
    assert_eq!(ana.sync().await.rejected, 0);
    assert_eq!(ana.merges(10).unwrap().len(), 1);
}
