//! A restored server gives its answers anew: the phone hears what it says now, and shows the rows as they are.

use client_sdk::store::RowState;
use sync_protocol::entity::Visit;
use sync_protocol::id::VisitId;
use tests::programme::{self, ANA, ENTERPRISES};
use tests::site::{Site, assert_equal_sides, find, phone_of, start_visit};
use tests::{Phone, state};

fn state_of(phone: &Phone, visit: VisitId) -> Option<RowState> {
    phone.get::<Visit>(visit).unwrap().map(|shown| shown.state)
}

fn refusals(phone: &Phone) -> Vec<String> {
    phone.rejected(9).unwrap().into_iter().filter_map(|item| Some(item.answer?.code)).collect()
}

/// Ana is sent to an enterprise, and her work there is taken. The restored server knows nothing of either, and refuses
/// the same work, which comes by a request that was late: here from a copy of the phone that never had an answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_server_refuses_of_a_late_request_is_shown_by_the_phone_that_had_it_taken() {
    let site = Site::new().await;
    let mut ana = phone_of(&site.server, ANA).await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    ana.move_to(site.server.address);
    programme::import(&site.server.app.office, &[programme::grant(ANA, ENTERPRISES[2])]).await;
    ana.sync().await;
    let visit = start_visit(&ana, 2);
    let mut late = ana.copy();
    ana.sync().await;
    assert_eq!((state_of(&ana, visit), refusals(&ana)), (Some(RowState::Synced), vec![]));
    site.note().await;

    let (site, _) = site.restore(backup).await;
    late.move_to(site.server.address);
    late.sync().await;
    assert_eq!(refusals(&late), ["REJECT_SCOPE"]);
    ana.move_to(site.server.address);
    ana.sync().await;
    assert_eq!((state_of(&ana, visit), refusals(&ana)), (Some(RowState::Rejected), vec!["REJECT_SCOPE".to_owned()]));
    // What she gives up stays given up, whatever is restored after that.
    let refused = ana.rejected(9).unwrap().remove(0);
    ana.discard(refused.change_id).unwrap();
    ana.sync().await;
    assert_eq!((state_of(&ana, visit), refusals(&ana)), (None, vec![]));
    assert_equal_sides(&site.server, &ana, ANA).await;
}

/// The server has lost so much that the phone has everything sent anew, and its answers are older than what it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_before_the_backup_stays_away_when_its_answer_comes_again() {
    let site = Site::new().await;
    let mut ana = phone_of(&site.server, ANA).await;
    let visit = start_visit(&ana, 0);
    find(&ana, visit, "rămâne");
    find(&ana, visit, "se șterge");
    ana.sync().await;
    state::psql(&site.server.app.office, "DELETE FROM finding WHERE text = 'se șterge'").await;
    ana.sync().await;
    let (site, backup) = site.back_up().await;
    ana.move_to(site.server.address);
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || ' (pierdut)'").await;
    ana.sync().await;

    let (site, _) = site.restore(backup).await;
    ana.move_to(site.server.address);
    let report = ana.sync().await;
    assert!(report.pulled_rows > 100, "everything is sent anew: {report:?}");
    assert_eq!((report.repaired.scopes, report.repaired.dropped), (0, 0), "nothing is to be put right after that");
    assert_equal_sides(&site.server, &ana, ANA).await;
    assert_eq!((state_of(&ana, visit), refusals(&ana), report.pushed), (Some(RowState::Synced), vec![], 0));
}
