//! A phone that was copied: both go on, nothing is lost, nothing comes twice, and nothing old stands over what is new.

use std::collections::BTreeSet;

use sync_protocol::id::VisitId;
use tests::phone::assert_equal;
use tests::programme::{self, ANA, PROGRAMME};
use tests::site::{Site, find, phone_of, start_visit};
use tests::{Phone, TestServer, state};

async fn started() -> (TestServer, Phone) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let phone = phone_of(&server, ANA).await;
    (server, phone)
}

/// Syncs both until they know of each other, and checks that they are equal to the server.
async fn settle(server: &TestServer, phones: [&Phone; 2]) {
    for phone in [phones[0], phones[1], phones[0], phones[1]] {
        phone.sync().await;
    }
    let expected = state::rows_for_mentor(&server.app.office, PROGRAMME, ANA.0).await;
    for phone in phones {
        assert_eq!(phone.status().unwrap().sync.pending, 0);
        assert_equal(&phone.rows(), &expected);
    }
}

async fn findings(server: &TestServer) -> Vec<String> {
    state::texts(&server.app.office, "SELECT text FROM finding ORDER BY text").await
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_with_pending_work_send_it_once_whoever_comes_first() {
    for copy_comes_first in [false, true] {
        let (server, mut phone) = started().await;
        let visit = start_visit(&phone, 0);
        find(&phone, visit, "a: înainte de copie");
        let copy = phone.copy();
        find(&phone, visit, "b: pe telefon");
        find(&copy, visit, "c: pe copie");
        let (first, second) = if copy_comes_first { (&copy, &phone) } else { (&phone, &copy) };
        first.sync().await;
        // The office corrects what both had recorded; the one that comes later must not bring its old value back.
        state::psql(&server.app.office, "UPDATE finding SET text = 'a: corectată' WHERE text LIKE 'a: %'").await;
        second.sync().await;
        settle(&server, [&phone, &copy]).await;
        assert_eq!(findings(&server).await, ["a: corectată", "b: pe telefon", "c: pe copie"]);
        let sent = "SELECT count(*) FROM mutation";
        assert_eq!(state::number(&server.app.office, sent).await, 4, "the common work was sent once");
        assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM conflict").await, 0);
    }
}

/// What a phone shows of a field, and what stands in conflict with it.
fn shown(phone: &Phone, visit: VisitId) -> (Option<String>, Vec<String>) {
    let conflicts = phone.conflicts(10).unwrap().into_iter();
    let other = conflicts.map(|item| item.other.value.unwrap_or_default());
    (phone.visits().get(visit).unwrap().unwrap().data.gps_exception_reason, other.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_copies_change_in_one_field_is_a_conflict_that_both_see() {
    for copy_comes_first in [false, true] {
        // What both had before the copy was made waits, too, and is nobody's concurrent edit.
        for is_waiting in [false, true] {
            let (server, mut phone) = started().await;
            let visit = start_visit(&phone, 0);
            if !is_waiting {
                phone.sync().await;
            }
            let copy = phone.copy();
            find(&phone, visit, "altceva");
            phone.visits().set_gps_exception(visit, "pe telefon").unwrap();
            copy.visits().set_gps_exception(visit, "pe copie").unwrap();
            let (first, second) = if copy_comes_first { (&copy, &phone) } else { (&phone, &copy) };
            first.sync().await;
            second.sync().await;
            settle(&server, [&phone, &copy]).await;
            let (kept, other) = shown(&phone, visit);
            assert_eq!(shown(&copy, visit), (kept.clone(), other.clone()));
            let said = BTreeSet::from([kept.unwrap(), other.join(", ")]);
            let expected = ["pe telefon", "pe copie"].map(str::to_owned);
            assert_eq!(said, BTreeSet::from(expected), "copy first: {copy_comes_first}, waiting: {is_waiting}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_copies_had_before_is_followed_without_a_conflict() {
    let (server, mut phone) = started().await;
    let visit = start_visit(&phone, 0);
    phone.sync().await;
    phone.visits().set_gps_exception(visit, "înainte de copie").unwrap();
    let copy = phone.copy();
    copy.visits().set_gps_exception(visit, "pe copie").unwrap();
    // One commit holds what both had and what only the phone knows.
    find(&phone, visit, "numai pe telefon");
    phone.sync().await;
    copy.sync().await;
    settle(&server, [&phone, &copy]).await;
    assert_eq!(shown(&phone, visit), (Some("pe copie".to_owned()), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_restored_from_an_old_copy_gets_back_what_it_had_sent() {
    let (server, mut phone) = started().await;
    let visit = start_visit(&phone, 0);
    phone.sync().await;
    let restored = phone.copy();
    find(&phone, visit, "trimisă după copie");
    phone.sync().await;
    phone.close();
    // Nothing of its own yet: the server's numbers alone tell it, and the row that it had sent comes back.
    restored.sync().await;
    restored.sync().await;
    assert_equal(&restored.rows(), &state::rows_for_mentor(&server.app.office, PROGRAMME, ANA.0).await);
    find(&restored, visit, "după restaurare");
    restored.sync().await;
    assert_eq!(findings(&server).await, ["după restaurare", "trimisă după copie"]);
    assert_equal(&restored.rows(), &state::rows_for_mentor(&server.app.office, PROGRAMME, ANA.0).await);
}

/// The backup has less than either phone: the numbers that the server lost are those that the copy uses for its own
/// work. Whoever comes second had them acknowledged, for something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_takes_the_lost_numbers_of_a_restored_server_is_noticed_and_nothing_is_lost() {
    for (lost, of_copy, waiting) in [(2, 1, 0), (2, 2, 0), (2, 3, 0), (2, 2, 1), (2, 5, 2), (40, 40, 1)] {
        let site = Site::new().await;
        let mut phone = phone_of(&site.server, ANA).await;
        let visit = start_visit(&phone, 0);
        find(&phone, visit, "în copia de siguranță");
        phone.sync().await;
        site.note().await;
        let (site, backup) = site.back_up().await;
        phone.move_to(site.server.address);
        let mut copy = phone.copy();
        (0..lost).for_each(|n| find(&phone, visit, &format!("confirmată, apoi pierdută {n}")));
        phone.sync().await;
        site.note().await;
        let (site, found) = site.restore(backup).await;
        assert_eq!(found.len(), 1);
        [&mut phone, &mut copy].into_iter().for_each(|phone| phone.move_to(site.server.address));
        (0..of_copy).for_each(|n| find(&copy, visit, &format!("de pe copie {n}")));
        copy.sync().await;
        assert_eq!(copy.status().unwrap().sync.copied_at, None, "the first to come is the one that goes on");
        (0..waiting).for_each(|n| find(&phone, visit, &format!("încă netrimisă {n}")));
        settle(&site.server, [&phone, &copy]).await;
        let new = findings(&site.server).await.into_iter().filter(|text| !text.starts_with("veche"));
        let new: BTreeSet<String> = new.collect();
        let acknowledged = (0..lost).map(|n| format!("confirmată, apoi pierdută {n}"));
        let copied = (0..of_copy).map(|n| format!("de pe copie {n}"));
        let unsent = (0..waiting).map(|n| format!("încă netrimisă {n}"));
        let mut expected: BTreeSet<String> = acknowledged.chain(copied).chain(unsent).collect();
        expected.insert("în copia de siguranță".to_owned());
        assert_eq!(new, expected, "{lost} lost, {of_copy} of the copy, {waiting} waiting");
        let sent = state::number(&site.server.app.office, "SELECT count(*) FROM mutation").await;
        let office = "SELECT count(*) FROM mutation WHERE device_id = '00000000-0000-0000-0000-000000000000'";
        let of_phones = sent - state::number(&site.server.app.office, office).await;
        assert_eq!(of_phones, 2 + lost + of_copy + waiting, "each once");
        assert!(phone.status().unwrap().sync.copied_at.is_some(), "the person is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_brings_back_what_a_restored_server_lost_of_before_it_was_a_copy() {
    let site = Site::new().await;
    let mut phone = phone_of(&site.server, ANA).await;
    let visit = start_visit(&phone, 0);
    phone.sync().await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    phone.move_to(site.server.address);
    find(&phone, visit, "a: confirmată, apoi copiată");
    phone.visits().set_gps_exception(visit, "confirmată, apoi copiată").unwrap();
    phone.sync().await;
    let mut copy = phone.copy();
    find(&phone, visit, "b: de pe telefon");
    phone.sync().await;
    find(&copy, visit, "c: de pe copie");
    copy.sync().await;
    assert!(copy.status().unwrap().sync.copied_at.is_some(), "it has an incarnation of its own");
    site.note().await;
    let (site, found) = site.restore(backup).await;
    assert_eq!(found.len(), 1);
    [&mut phone, &mut copy].into_iter().for_each(|phone| phone.move_to(site.server.address));
    copy.sync().await;
    let new = |texts: Vec<String>| texts.into_iter().filter(|text| !text.starts_with("veche")).collect::<Vec<_>>();
    let of_copy = ["a: confirmată, apoi copiată", "c: de pe copie"];
    assert_eq!(new(findings(&site.server).await), of_copy, "also when the other phone never comes back");
    settle(&site.server, [&phone, &copy]).await;
    assert_eq!(new(findings(&site.server).await), [of_copy[0], "b: de pe telefon", of_copy[1]]);
    assert_eq!(shown(&copy, visit), (Some("confirmată, apoi copiată".to_owned()), vec![]));
}
