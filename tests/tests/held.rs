//! Work that cannot be applied yet is kept, shown, and applied when what it waits for arrives.

use sync_protocol::code::{HeldState, Priority};
use sync_protocol::entity::{Conflict, Entity as _, EntityKind, Finding, FollowUpAction, HeldItem, Visit};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, ENTERPRISES, RADU};
use tests::state::number;
use tests::{Device, TestServer, sample};

async fn started() -> (TestServer, Device, Device) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let (mut phone, mut tablet) = (Device::enrol(server.address, ANA).await, Device::enrol(server.address, ANA).await);
    phone.sync().await;
    tablet.sync().await;
    (server, phone, tablet)
}

fn states(device: &Device) -> Vec<HeldState> {
    device.cache.all::<HeldItem>().iter().map(|item| item.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_before_its_parent_is_held_shown_and_applied_when_the_parent_arrives() {
    let (server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "înainte de vizită");
    let no = tablet.create(&finding);
    let held = tablet.sync().await;
    assert_eq!((held.outcome(no), held.code(no)), (Outcome::Held, "HELD_PARENT_MISSING"));
    let item = tablet.cache.all::<HeldItem>().remove(0);
    assert_eq!((item.waits_for_id, item.subject_id), (Some(visit.id.0), finding.id.0));
    assert_eq!((item.author_id, item.mutation_no as u64), (ANA, no));
    phone.create(&visit);
    phone.sync().await;
    assert!(phone.cache.get::<Finding>(finding.id).is_some(), "the author's other device gets it too");
    tablet.sync().await;
    assert_eq!(tablet.cache.get::<Finding>(finding.id).map(|row| row.text), Some(finding.text));
    assert_eq!(states(&tablet), [HeldState::Applied]);
    let again = tablet.send(&[tablet.push(1, 1)]).await;
    assert_eq!((again.result(no), again.commits()[0].seq), (None, phone.cache.cursor.seq));
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM mutation WHERE outcome = 'H'").await, 0);
}

/// Has a device edit a visit, together with one that is missing, and then once more: the first edit waits. Returns the
/// visit as it is shown then, and the missing one.
async fn edit_twice(device: &mut Device) -> (Visit, Visit) {
    let (known, missing) = (sample::visit(ENTERPRISES[0], ANA), sample::visit(ENTERPRISES[0], ANA));
    device.create(&known);
    device.sync().await;
    let base = device.cache.cursor.seq;
    let first = Visit { summary: Some("mai întâi".to_owned()), travel_km: Some(7), ..known.clone() };
    let then = Visit { summary: Some("apoi".to_owned()), ..first.clone() };
    let other = Visit { summary: Some("altă vizită".to_owned()), ..missing.clone() };
    let draft = |before: &Visit, after: &Visit| {
        let patch = patch::diff(&before.to_row(), &after.to_row());
        Mutation { group: Some(1), base_seq: base, ..device.draft(Op::Patch, EntityKind::Visit, after.id.0, patch) }
    };
    let group = [draft(&known, &first), draft(&missing, &other)];
    let held = group.map(|mutation| device.record(mutation));
    let no = device.change(&first, &then, base);
    let answer = device.sync().await;
    assert_eq!(held.map(|no| answer.outcome(no)), [Outcome::Held; 2]);
    assert_eq!(answer.outcome(no), Outcome::Applied);
    (then, missing)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_does_not_overwrite_what_its_author_wrote_since() {
    let (_server, mut phone, mut tablet) = started().await;
    let (then, missing) = edit_twice(&mut tablet).await;
    phone.create(&missing);
    phone.sync().await;
    let shown = phone.cache.get::<Visit>(then.id).unwrap();
    assert_eq!((shown.summary.as_deref(), shown.travel_km), (Some("apoi"), Some(7)));
    assert_eq!(phone.cache.all::<Conflict>().len(), 0);
}

/// Who releases held work may have changed the same row in the same push: its author has not seen that.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_with_the_release_of_held_work_is_not_its_authors() {
    let (_server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let (action, finding) = (sample::action(&visit), sample::finding(&visit, "vine mai târziu"));
    phone.create(&visit);
    phone.create(&action);
    phone.sync().await;
    tablet.sync().await;
    let seq = |device: &Device| device.cache.rows[&(EntityKind::FollowUpAction, action.id.0)].seq;
    let about_finding = FollowUpAction { finding_id: Some(finding.id), ..action.clone() };
    let (held, base) = (tablet.change(&action, &about_finding, seq(&tablet)), seq(&tablet));
    assert_eq!(tablet.sync().await.outcome(held), Outcome::Held);

    let with_text = |of: &FollowUpAction, text: &str| FollowUpAction { text: text.to_owned(), ..of.clone() };
    phone.create(&finding);
    phone.change(&action, &with_text(&action, "telefonul"), seq(&phone));
    phone.sync().await;
    assert_eq!(phone.cache.get::<FollowUpAction>(action.id).unwrap().finding_id, Some(finding.id), "it was released");

    let no = tablet.change(&about_finding, &with_text(&about_finding, "tableta"), base);
    assert_eq!(tablet.sync().await.outcome(no), Outcome::Conflict);
    let conflict = tablet.cache.all::<Conflict>().remove(0);
    let mut values = [conflict.kept_value, conflict.other_value].map(|value| value.unwrap_or_default());
    values.sort();
    assert_eq!(values, ["\"tableta\"", "\"telefonul\""]);
}

/// What was left out of held work when it came up is not its author's: someone else may have set it in the same push.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_of_held_work_is_the_change_of_who_set_it() {
    let (_server, mut phone, mut tablet) = started().await;
    let (then, missing) = edit_twice(&mut tablet).await;
    let seen = tablet.cache.cursor.seq;
    phone.sync().await;
    phone.create(&missing);
    let by_phone = Visit { summary: Some("de pe telefon".to_owned()), ..then.clone() };
    phone.change(&then, &by_phone, phone.cache.cursor.seq);
    phone.sync().await;
    let shown = phone.cache.get::<Visit>(then.id).unwrap();
    assert_eq!((shown.summary.as_deref(), shown.travel_km), (Some("de pe telefon"), Some(7)), "the rest came up");
    let by_tablet = Visit { summary: Some("de pe tabletă".to_owned()), ..then.clone() };
    let no = tablet.change(&then, &by_tablet, seen);
    assert_eq!(tablet.sync().await.outcome(no), Outcome::Conflict);
}

/// An edit that came before its row, as after a restore, does not make the row its author's: that is still whose it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_comes_after_an_edit_of_it_is_its_creators() {
    let (_server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let action = sample::action(&visit);
    phone.create(&visit);
    phone.sync().await;
    let urgent = FollowUpAction { priority: Priority::High, ..action.clone() };
    let held = tablet.change(&action, &urgent, 0);
    assert_eq!(tablet.sync().await.outcome(held), Outcome::Held);
    phone.create(&action);
    phone.sync().await;
    assert_eq!(phone.cache.get::<FollowUpAction>(action.id).unwrap().priority, Priority::High, "it was released");

    let with_text = |text: &str| FollowUpAction { text: text.to_owned(), ..action.clone() };
    let no = phone.change(&action, &with_text("telefonul"), 0);
    assert_eq!(phone.sync().await.outcome(no), Outcome::Applied, "its author knew what it said");
    let no = tablet.change(&action, &with_text("tableta"), 0);
    assert_eq!(tablet.sync().await.outcome(no), Outcome::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_held_work_is_released_whatever_its_order() {
    let (server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "părinte și copil");
    let action = FollowUpAction { finding_id: Some(finding.id), ..sample::action(&visit) };
    tablet.create(&action);
    tablet.sync().await;
    tablet.create(&finding);
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Held; 2]);
    phone.create(&visit);
    phone.sync().await;
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Applied; 2]);
    assert!(tablet.cache.get::<FollowUpAction>(action.id).is_some());
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM follow_up_action").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_lacks_something_else_waits_for_that_next() {
    let (_server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "vine ultima");
    let action = FollowUpAction { finding_id: Some(finding.id), ..sample::action(&visit) };
    tablet.create(&action);
    tablet.sync().await;
    phone.create(&visit);
    phone.sync().await;
    tablet.sync().await;
    let item = tablet.cache.all::<HeldItem>().remove(0);
    assert_eq!((item.state, item.waits_for_id), (HeldState::Held, Some(finding.id.0)));
    phone.create(&finding);
    phone.sync().await;
    assert!(phone.cache.get::<FollowUpAction>(action.id).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_row_that_is_not_there_yet_is_held_and_applied() {
    let (_server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let no = tablet.change(&visit, &Visit { summary: Some("mai întâi".to_owned()), ..visit.clone() }, 0);
    assert_eq!(tablet.sync().await.outcome(no), Outcome::Held);
    phone.create(&visit);
    phone.sync().await;
    assert_eq!(phone.cache.get::<Visit>(visit.id).and_then(|row| row.summary).as_deref(), Some("mai întâi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_held_work_is_released_after_it() {
    let (_server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "întâi");
    tablet.create(&finding);
    tablet.sync().await;
    tablet.change(&finding, &Finding { text: "apoi".to_owned(), ..finding.clone() }, 0);
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Held; 2]);
    phone.create(&visit);
    phone.sync().await;
    assert_eq!(phone.cache.get::<Finding>(finding.id).map(|row| row.text).as_deref(), Some("apoi"));
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Applied; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_work_is_seen_by_its_author_only_and_breaks_no_rule_when_it_is_released() {
    let (server, mut phone, mut tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    tablet.create(&Finding { text: String::new(), ..sample::finding(&visit, "") });
    tablet.sync().await;
    phone.create(&visit);
    phone.sync().await;
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Returned]);
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM finding").await, 0);
    let mut radu = Device::enrol(server.address, RADU).await;
    radu.sync().await;
    assert_eq!(radu.cache.all::<HeldItem>(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_work_is_released_when_someone_else_brings_its_parent_and_stays_its_authors() {
    let (server, _phone, mut tablet) = started().await;
    programme::import(&server.app.office, &[programme::grant(RADU, ENTERPRISES[0])]).await;
    let visit = sample::visit(ENTERPRISES[0], RADU);
    let finding = sample::finding(&visit, "a Anei, la vizita lui Radu");
    tablet.create(&finding);
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Held]);
    let mut radu = Device::enrol(server.address, RADU).await;
    radu.sync().await;
    radu.create(&visit);
    radu.sync().await;
    tablet.sync().await;
    assert_eq!(states(&tablet), [HeldState::Applied]);
    assert_eq!(radu.cache.get::<Finding>(finding.id).map(|row| row.text), Some(finding.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_someone_else_on_this_device_is_kept_for_review() {
    let (server, mut phone, _tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let row = sync_protocol::entity::Entity::to_row(&visit);
    let draft = phone.draft(
        sync_protocol::mutation::Op::Put,
        EntityKind::Visit,
        visit.id.0,
        sync_protocol::patch::creation(&row),
    );
    let no = phone.record(Mutation { author: RADU, ..draft });
    let answer = phone.sync().await;
    assert_eq!((answer.outcome(no), answer.code(no)), (Outcome::Held, "HELD_DEVICE_REVIEW"));
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 0);
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM mutation WHERE payload IS NOT NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_takes_effect_together_or_not_at_all() {
    let (server, mut phone, _tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    phone.create(&visit);
    for (group, text, applied) in [(1, "", false), (2, "bună", true)] {
        let first = phone.outbox.len() as u64 + 1;
        for finding in
            [sample::finding(&visit, "una"), Finding { text: text.to_owned(), ..sample::finding(&visit, "") }]
        {
            let row = sync_protocol::entity::Entity::to_row(&finding);
            let patch = sync_protocol::patch::creation(&row);
            let draft = phone.draft(sync_protocol::mutation::Op::Put, EntityKind::Finding, row.id, patch);
            phone.record(Mutation { group: Some(group), ..draft });
        }
        let answer = phone.sync().await;
        let outcomes = [answer.outcome(first), answer.outcome(first + 1)];
        let expected = if applied { Outcome::Applied } else { Outcome::Rejected };
        assert_eq!(outcomes, [expected; 2], "group {group}");
    }
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM finding").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_waited_for_one_row_do_not_overwrite_each_other() {
    let (server, mut phone, mut tablet) = started().await;
    let mut third = Device::enrol(server.address, ANA).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    for (device, summary) in [(&mut tablet, "de pe tabletă"), (&mut third, "de pe al treilea")] {
        let no = device.change(&visit, &Visit { summary: Some(summary.to_owned()), ..visit.clone() }, 0);
        assert_eq!(device.sync().await.outcome(no), Outcome::Held);
    }
    phone.create(&visit);
    phone.sync().await;
    let shown = phone.cache.get::<Visit>(visit.id).and_then(|row| row.summary).unwrap();
    let conflicts = phone.cache.all::<Conflict>();
    assert_eq!(conflicts.len(), 1, "{shown}");
    let values = [&conflicts[0].kept_value, &conflicts[0].other_value].map(|value| value.clone().unwrap());
    assert!(values.contains(&"\"de pe tabletă\"".to_owned()), "{values:?}");
    assert!(values.contains(&"\"de pe al treilea\"".to_owned()), "{values:?}");
    assert_eq!(values[0], format!("\"{shown}\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_answers_to_one_question_that_waited_for_the_visit_are_both_kept() {
    let (_server, mut phone, mut tablet) = started().await;
    let mut third = Device::enrol(phone.address, ANA).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    for (device, reason) in [(&mut tablet, "de pe tabletă"), (&mut third, "de pe al treilea")] {
        let no = device.create(&sample::answer(&visit, "G01", reason));
        assert_eq!(device.sync().await.outcome(no), Outcome::Held);
    }
    phone.create(&visit);
    phone.sync().await;
    let conflicts = phone.cache.all::<Conflict>();
    let about = conflicts.iter().find(|conflict| conflict.field == "na_reason").expect("both reasons are kept");
    let values = [&about.kept_value, &about.other_value].map(|value| value.clone().unwrap());
    assert!(["tabletă", "treilea"].iter().all(|words| values.concat().contains(words)), "{values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_change_that_waited_does_not_undo_what_its_author_wrote_with_the_row() {
    let (_server, mut phone, _tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let older = Visit { summary: Some("vechi".to_owned()), travel_km: Some(12), ..visit.clone() };
    let no = phone.change(&visit, &older, 0);
    assert_eq!(phone.sync().await.outcome(no), Outcome::Held);
    phone.create(&Visit { summary: Some("nou".to_owned()), ..visit.clone() });
    phone.sync().await;
    let shown = phone.cache.get::<Visit>(visit.id).unwrap();
    assert_eq!((shown.summary.as_deref(), shown.travel_km), (Some("nou"), Some(12)));
    assert_eq!(states(&phone), [HeldState::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_that_waited_the_later_one_is_shown_also_where_their_author_brings_the_row() {
    let (_server, mut phone, _tablet) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    for summary in ["prima", "a doua"] {
        let no = phone.change(&visit, &Visit { summary: Some(summary.to_owned()), ..visit.clone() }, 0);
        assert_eq!(phone.sync().await.outcome(no), Outcome::Held);
    }
    phone.create(&visit);
    phone.sync().await;
    assert_eq!(phone.cache.get::<Visit>(visit.id).unwrap().summary.as_deref(), Some("a doua"));
    assert_eq!((phone.cache.all::<Conflict>(), states(&phone)), (vec![], vec![HeldState::Applied; 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_change_that_waited_does_not_undo_the_row_that_its_author_made_anew_and_that_waited_as_well() {
    let (_server, mut phone, mut tablet) = started().await;
    let missing = sample::visit(ENTERPRISES[0], ANA);
    let anew = sample::finding(&missing, "nouă");
    tablet.change(&anew, &Finding { text: "veche".to_owned(), ..anew.clone() }, 0);
    let last = tablet.create(&anew);
    assert_eq!(tablet.sync().await.outcome(last), Outcome::Held);
    phone.create(&missing);
    phone.sync().await;
    assert_eq!(phone.cache.get::<Finding>(anew.id), Some(anew));
    assert_eq!((phone.cache.all::<Conflict>(), states(&phone)), (vec![], vec![HeldState::Applied; 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_waited_does_not_undo_what_its_author_put_in_its_place() {
    let (_server, mut phone, mut tablet) = started().await;
    let (here, missing) = (sample::visit(ENTERPRISES[0], ANA), sample::visit(ENTERPRISES[0], ANA));
    tablet.create(&here);
    let waits = sample::finding(&missing, "veche");
    let held = tablet.create(&waits);
    assert_eq!(tablet.sync().await.outcome(held), Outcome::Held);
    let instead = Finding { id: waits.id, ..sample::finding(&here, "nouă") };
    let no = tablet.create(&instead);
    assert_eq!(tablet.sync().await.outcome(no), Outcome::Applied);
    phone.create(&missing);
    phone.sync().await;
    assert_eq!(phone.cache.get::<Finding>(waits.id), Some(instead));
    assert_eq!((phone.cache.all::<Conflict>(), states(&phone)), (vec![], vec![HeldState::Applied]));
}
