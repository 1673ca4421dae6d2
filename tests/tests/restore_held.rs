//! A restored server holds again what had been decided: the phone shows that, and what is decided then.

use client_sdk::store::RowState;
use serde_json::{Value, json};
use sync_protocol::code::Locale;
use sync_protocol::entity::Visit;
use sync_protocol::id::VisitId;
use sync_protocol::message::{MessageKey, render};
use tests::programme::{self, ANA, CARMEN, OFFICER, PASSWORD, email};
use tests::site::{Site, phone_of, start_visit};
use tests::{Office, Phone, TestServer, now};

const DECIDED: &str = "heldItem { state }";
const WAITING: &str = "{ heldItems(first: 9, filter: { state: { eq: HELD } }) { nodes { id subjectId } } }";

async fn lock_the_current_period(server: &TestServer) {
    programme::load_officer(&server.app).await;
    let today = now().date();
    let period = programme::period(2, today.plus_days(-40), today.plus_days(5));
    let next = programme::period(3, today.plus_days(6), today.plus_days(90));
    programme::import(&server.app.office, &[period.clone(), next]).await;
    let officer = Office::sign_in(server.address, &email(OFFICER), PASSWORD).await;
    let input = json!({ "periodId": period.id });
    let locked = officer.perform("lockPeriod", "reportingPeriod { state }", input).await;
    assert_eq!(locked["reportingPeriod"]["state"], "LOCKED");
}

/// Lets the coordinator decide about the visit that is held.
async fn decide(server: &TestServer, verb: &str, what: Value) {
    let coordinator = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let waiting = coordinator.ask(WAITING, json!({})).await;
    let mut input = what;
    input["heldItemId"] = waiting["heldItems"]["nodes"][0]["id"].clone();
    let decided = coordinator.perform(verb, DECIDED, input).await;
    assert!(decided["heldItem"].is_object(), "{decided}");
}

/// Returns how a phone shows the visit.
fn shown(phone: &Phone, visit: VisitId) -> Option<(RowState, Option<i32>)> {
    phone.get::<Visit>(visit).unwrap().map(|shown| (shown.state, shown.data.travel_km))
}

/// Asserts that one change waits, with the reason, and nothing was refused.
fn assert_waits(phone: &Phone, visit: VisitId) {
    let held = phone.held(9).unwrap();
    let texts: Vec<&str> = held.iter().filter_map(|item| Some(item.answer.as_ref()?.text.as_str())).collect();
    assert_eq!(texts, [render(MessageKey::HeldPeriodLocked, Locale::Ro, &[("period", "T2".to_owned())])]);
    assert_eq!((phone.rejected(9).unwrap(), shown(phone, visit)), (vec![], Some((RowState::Held, None))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_and_lost_waits_again_and_can_be_decided_otherwise() {
    let corrected = json!({ "note": "a fost pe drum", "correction": { "travel_km": 40 } });
    let returned = json!({ "reason": "A fost vizita din iulie?" });
    let decisions = [("approveHeld", json!({})), ("approveHeld", corrected), ("returnHeld", returned)];
    for (first, then, hears_between) in [(0, 2, true), (1, 2, false), (2, 1, true), (2, 1, false)] {
        let site = Site::new().await;
        lock_the_current_period(&site.server).await;
        let mut phone = phone_of(&site.server, ANA).await;
        let visit = start_visit(&phone, 0);
        phone.sync().await;
        assert_waits(&phone, visit);
        site.note().await;
        let (site, backup) = site.back_up().await;
        phone.move_to(site.server.address);
        let (verb, what) = decisions[first].clone();
        decide(&site.server, verb, what).await;
        phone.sync().await;
        assert_eq!(phone.held(9).unwrap(), vec![]);
        site.note().await;

        let (site, _) = site.restore(backup).await;
        phone.move_to(site.server.address);
        if hears_between {
            phone.sync().await;
            assert_waits(&phone, visit);
            phone.restart();
            assert_waits(&phone, visit);
        }
        let (verb, what) = decisions[then].clone();
        decide(&site.server, verb, what).await;
        phone.sync().await;
        let of_returned = phone.rejected(9).unwrap().into_iter().filter_map(|item| Some(item.answer?.code));
        let (state, km, refused) = match then {
            1 => (RowState::Synced, Some(40), vec![]),
            _ => (RowState::Rejected, None, vec!["RETURNED".to_owned()]),
        };
        assert_eq!(of_returned.collect::<Vec<_>>(), refused);
        assert_eq!((phone.held(9).unwrap(), shown(&phone, visit)), (vec![], Some((state, km))));
    }
}
