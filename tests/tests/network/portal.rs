//! The Wi-Fi of a guesthouse, which answers everything with its sign-in page.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use client_sdk::error::ApiErrorKind;
use client_sdk::sync::{Failure, Notice};
use tests::demo::{ANA, DEMO_PASSWORD};
use tests::{Harm, Phone};

use super::{Field, Office};

const DRAINED_WITHIN: Duration = Duration::from_secs(30);

async fn enter_portal(field: &Field) {
    field.network.set(1, &[Harm::CaptivePortal.into()]);
    field.network.drop_connections().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captive_portal_is_never_taken_for_the_server() {
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    field.record(5);
    enter_portal(&field).await;
    let complete_at = field.phone.status().unwrap().sync.last_complete_at;
    let error = field.phone.try_sync().await.expect_err("a page is not a sync");
    assert_eq!(error.kind, ApiErrorKind::Intercepted);
    assert!(error.message.contains("Something else than the server answered"), "{error}");
    assert!(error.hint().unwrap().contains("sign in to the Wi-Fi") && error.retryable());
    let standing = field.phone.status().unwrap();
    assert_eq!(
        (standing.sync.pending, standing.sync.last_complete_at),
        (6, complete_at),
        "a page acknowledged something"
    );
    assert!(standing.is_signed_in, "a page signed the person out");
    assert_eq!(office.mutations().await, 0);
    field.network.heal();
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_enrolled_by_a_captive_portal() {
    let office = Office::open().await;
    let field = Field::open(office.server.address).await;
    enter_portal(&field).await;
    let other = Phone::new(field.network.address);
    let error = other.try_enrol(ANA, DEMO_PASSWORD).await.expect_err("a page does not enrol");
    assert_eq!(error.kind, ApiErrorKind::Intercepted);
    assert!(other.status().unwrap().user.is_none());
    field.network.heal();
    other.enrol(ANA, DEMO_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_phone_says_that_something_else_answers_and_recovers_by_itself() {
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    enter_portal(&field).await;
    field.record(5);
    let (told, phone) = (Mutex::new(Vec::new()), (*field.phone).clone());
    let watching = phone.connected(None, std::future::pending(), |notice| told.lock().unwrap().push(notice.clone()));
    let healing = async {
        let was_told = || {
            told.lock().unwrap().iter().any(|n| matches!(n, Notice::Waiting { failure: Failure::NotOurServer(_), .. }))
        };
        while !was_told() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(field.pending(), 6);
        field.network.heal();
        let healed_at = Instant::now();
        while field.pending() > 0 {
            assert!(healed_at.elapsed() < DRAINED_WITHIN, "nothing was sent: {:?}", told.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        outcome = watching => panic!("it ended: {outcome:?}"),
        () = healing => {}
    }
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
}
