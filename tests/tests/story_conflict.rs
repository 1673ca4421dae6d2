//! Two phones change one field without a signal: both values are kept, and a person chooses on the phone.

use sync_protocol::entity::{Finding, Visit};
use sync_protocol::id::FindingId;
use tests::programme::{self, ANA, ENTERPRISES, PASSWORD, email};
use tests::{Phone, TestServer, sample};

/// Two phones of Ana's that hold one finding, and the server.
async fn started() -> (TestServer, [Phone; 2], FindingId) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let visit: Visit = sample::visit(ENTERPRISES[0], ANA);
    let finding: Finding = sample::finding(&visit, "la început");
    programme::import(&server.app.office, &[visit]).await;
    programme::import(&server.app.office, std::slice::from_ref(&finding)).await;
    let phones = [Phone::new(server.address), Phone::new(server.address)];
    for phone in &phones {
        phone.enrol(&email(ANA), PASSWORD).await;
        phone.sync().await;
    }
    (server, phones, finding.id)
}

fn text(phone: &Phone, finding: FindingId) -> String {
    phone.get::<Finding>(finding).unwrap().unwrap().data.text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_settled_for_everyone_by_the_choice_of_one() {
    for (take_other, is_turned) in [(false, false), (true, false), (false, true), (true, true)] {
        let (_server, mut phones, finding) = started().await;
        if is_turned {
            // The edit that comes last is now the one that is not shown: the row stays as it was.
            phones.reverse();
        }
        let [first, second] = phones;
        first.edit(finding, |finding: &mut Finding| finding.text = "primul".to_owned()).unwrap();
        second.edit(finding, |finding: &mut Finding| finding.text = "al doilea".to_owned()).unwrap();
        first.sync().await;
        assert_eq!(second.sync().await.conflicts, 1);
        first.sync().await;

        let conflicts = first.conflicts(10).unwrap();
        let [conflict] = conflicts.as_slice() else { panic!("one conflict: {conflicts:?}") };
        assert_eq!(conflict.kept.value, Some(text(&first, finding)));
        let side = if take_other { &conflict.other } else { &conflict.kept };
        first.conflicts_resolve(conflict.id, take_other).unwrap();
        assert_eq!(Some(text(&first, finding)), side.value, "the choice is shown at once");
        assert_eq!(first.sync().await.applied, 1);
        second.sync().await;
        for phone in [&first, &second] {
            assert_eq!(Some(text(phone, finding)), side.value);
            assert_eq!(phone.conflicts(10).unwrap(), []);
            assert_eq!(phone.status().unwrap().sync.conflicts, 0);
        }
    }
}
