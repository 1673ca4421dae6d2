//! Two people, one row: both edits are kept, whoever comes first.

use std::collections::BTreeSet;

use sync_protocol::code::{ActionStatus, ConflictState, PositionStatus};
use sync_protocol::entity::{ChecklistAnswer, Conflict, EntityKind, FollowUpAction, Place, Position, Visit};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES};
use tests::sample::day;
use tests::state::{number, psql};
use tests::{Device, TestServer, sample};

/// The mentor and the coordinator, who both hold one open action and its version.
struct Both {
    server: TestServer,
    mentor: Device,
    coordinator: Device,
    action: FollowUpAction,
    seq: u64,
}

async fn started() -> Both {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let action = sample::action(&visit);
    programme::import(&server.app.office, &[visit]).await;
    programme::import(&server.app.office, std::slice::from_ref(&action)).await;
    let mut mentor = Device::enrol(server.address, ANA).await;
    let mut coordinator = Device::enrol(server.address, CARMEN).await;
    mentor.sync().await;
    coordinator.sync().await;
    let seq = mentor.cache.rows[&(EntityKind::FollowUpAction, action.id.0)].seq;
    Both { server, mentor, coordinator, action, seq }
}

fn done(action: &FollowUpAction) -> FollowUpAction {
    FollowUpAction { status: ActionStatus::Done, done_on: Some(day("2024-04-20")), ..action.clone() }
}

fn postponed(action: &FollowUpAction) -> FollowUpAction {
    FollowUpAction { due_on: day("2024-06-01"), ..action.clone() }
}

fn cancelled(action: &FollowUpAction) -> FollowUpAction {
    let cancel_reason = Some("nu mai este cazul".to_owned());
    FollowUpAction { status: ActionStatus::Cancelled, cancel_reason, ..postponed(action) }
}

fn with_text(action: &FollowUpAction, text: &str) -> FollowUpAction {
    FollowUpAction { text: text.to_owned(), ..action.clone() }
}

impl Both {
    /// Records both edits offline, sends them in this order and lets everyone sync.
    async fn edit(&mut self, coordinator_first: bool, theirs: FollowUpAction) -> [Outcome; 2] {
        self.mentor.change(&self.action, &done(&self.action), self.seq);
        self.coordinator.change(&self.action, &theirs, self.seq);
        let outcomes = if coordinator_first {
            let theirs = self.coordinator.sync().await.outcome(1);
            [self.mentor.sync().await.outcome(1), theirs]
        } else {
            let mine = self.mentor.sync().await.outcome(1);
            [mine, self.coordinator.sync().await.outcome(1)]
        };
        self.mentor.sync().await;
        self.coordinator.sync().await;
        outcomes
    }

    /// Returns the action, which is the same on both devices.
    fn shown(&self) -> FollowUpAction {
        let shown = self.mentor.cache.get::<FollowUpAction>(self.action.id).unwrap();
        assert_eq!(self.coordinator.cache.get::<FollowUpAction>(self.action.id).as_ref(), Some(&shown));
        shown
    }

    /// Returns the version that the mentor sees: of the action, or of the newest conflict about it.
    fn seen(&self) -> u64 {
        let rows = self.mentor.cache.rows.iter();
        let about = rows.filter(|((kind, id), _)| *kind == EntityKind::Conflict || *id == self.action.id.0);
        about.map(|(_, row)| row.seq).max().unwrap()
    }

    /// Returns the conflicts about a field, which are the same on both devices.
    fn conflicts(&self, field: &str) -> Vec<Conflict> {
        assert_eq!(self.mentor.cache.all::<Conflict>(), self.coordinator.cache.all::<Conflict>());
        self.mentor.cache.all::<Conflict>().into_iter().filter(|conflict| conflict.field == field).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_different_fields_are_merged_in_either_order() {
    for coordinator_first in [true, false] {
        let mut both = started().await;
        let outcomes = both.edit(coordinator_first, postponed(&both.action)).await;
        let (merged, applied) = (Outcome::Merged, Outcome::Applied);
        assert_eq!(outcomes, if coordinator_first { [merged, applied] } else { [applied, merged] });
        assert_eq!(both.shown(), FollowUpAction { due_on: day("2024-06-01"), ..done(&both.action) });
        assert_eq!(both.conflicts("status").len() + both.conflicts("due_on").len(), 0);
        let history = "SELECT count(*) FROM change_log WHERE kind = 17 AND operation = 'U'";
        assert_eq!(number(&both.server.app.office, history).await, 2, "two history entries");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_the_state_are_a_conflict_in_either_order_and_lose_no_value() {
    for coordinator_first in [true, false] {
        let mut both = started().await;
        let outcomes = both.edit(coordinator_first, cancelled(&both.action)).await;
        let (conflict, applied) = (Outcome::Conflict, Outcome::Applied);
        assert_eq!(outcomes, if coordinator_first { [conflict, applied] } else { [applied, conflict] });
        assert_eq!(both.shown().due_on, day("2024-06-01"), "what nobody else changed is merged");
        let conflicts = both.conflicts("status");
        let [conflict] = conflicts.as_slice() else { panic!("one conflict: {conflicts:?}") };
        let mut values = [conflict.kept_value.clone().unwrap(), conflict.other_value.clone().unwrap()];
        values.sort();
        assert_eq!(values, ["\"CANCELLED\"", "\"DONE\""]);
        let mut people = [conflict.kept_by, conflict.other_by];
        people.sort();
        assert_eq!(people, [Some(ANA), Some(CARMEN)]);
        assert_eq!(conflict.state, ConflictState::Open);
        // DONE may become CANCELLED, CANCELLED may not become DONE: either way it stays cancelled.
        assert_eq!(both.shown().status, ActionStatus::Cancelled, "coordinator first: {coordinator_first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_wrong_by_itself_is_refused_and_not_a_conflict() {
    let mut both = started().await;
    let no = both.mentor.change(
        &both.action,
        &FollowUpAction { status: ActionStatus::Verified, done_on: Some(day("2024-04-20")), ..both.action.clone() },
        both.seq,
    );
    let answer = both.mentor.sync().await;
    let refusal = answer.result(no).unwrap();
    assert_eq!((refusal.outcome, refusal.rule.as_deref()), (Outcome::Rejected, Some("STATE")));
    assert_eq!(refusal.field.as_deref(), Some("status"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_was_seen_is_no_conflict() {
    let mut both = started().await;
    both.coordinator.change(&both.action, &cancelled(&both.action), both.seq);
    both.coordinator.sync().await;
    both.mentor.sync().await;
    let seen = both.mentor.cache.rows[&(EntityKind::FollowUpAction, both.action.id.0)].seq;
    let before = both.shown();
    let no = both.mentor.change(&before, &FollowUpAction { text: "Alt text".to_owned(), ..before.clone() }, seen);
    assert_eq!(both.mentor.sync().await.outcome(no), Outcome::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_that_answer_one_question_edit_one_row() {
    let mut both = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&both.server.app.office, std::slice::from_ref(&visit)).await;
    both.mentor.create(&sample::answer(&visit, "Q7", "nu este cazul"));
    both.coordinator.create(&sample::answer(&visit, "Q7", "se aplică"));
    assert_eq!(both.mentor.sync().await.outcome(1), Outcome::Applied);
    assert_eq!(both.coordinator.sync().await.outcome(1), Outcome::Conflict);
    both.mentor.sync().await;
    assert_eq!(both.mentor.cache.all::<ChecklistAnswer>().len(), 1);
    let conflict = both.conflicts("na_reason").remove(0);
    assert_eq!(conflict.kept_value.as_deref(), Some("\"se aplică\""));
    assert_eq!(conflict.other_value.as_deref(), Some("\"nu este cazul\""));
}

/// As two copies of a phone do that bring back what a restored server lost.
#[tokio::test(flavor = "multi_thread")]
async fn edits_of_a_row_that_both_created_are_no_mistakes_but_a_conflict_where_they_cannot_stand_together() {
    let mut both = started().await;
    let planned = Position { status: PositionStatus::Planned, ..sample::position(ENTERPRISES[0]) };
    let [filled, vacant, closed] = [PositionStatus::Filled, PositionStatus::Vacant, PositionStatus::Closed]
        .map(|status| Position { status, ..planned.clone() });
    both.mentor.create(&planned);
    for (before, after) in [(&planned, &filled), (&filled, &vacant), (&vacant, &closed)] {
        both.mentor.change(before, after, 0);
    }
    both.mentor.sync().await;
    both.coordinator.create(&planned);
    let no = both.coordinator.change(&planned, &filled, 0);
    let wrong = both.coordinator.change(&filled, &Position { isco_code: "1234567".to_owned(), ..filled.clone() }, 0);
    let answer = both.coordinator.sync().await;
    assert_eq!(answer.outcome(no), Outcome::Conflict);
    let refusal = answer.result(wrong).unwrap();
    assert_eq!((refusal.outcome, refusal.field.as_deref()), (Outcome::Rejected, Some("isco_code")), "anywhere");
    both.mentor.sync().await;
    assert_eq!(both.mentor.cache.get::<Position>(planned.id), Some(closed));
    let lost: BTreeSet<_> = both.conflicts("status").into_iter().filter_map(|conflict| conflict.other_value).collect();
    assert_eq!(lost, ["\"FILLED\"", "\"PLANNED\""].map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_value_twice_is_no_conflict() {
    let mut both = started().await;
    both.mentor.change(&both.action, &done(&both.action), both.seq);
    both.coordinator.change(&both.action, &done(&both.action), both.seq);
    both.mentor.sync().await;
    assert_eq!(both.coordinator.sync().await.outcome(1), Outcome::Merged);
    both.mentor.sync().await;
    assert_eq!(both.conflicts("status"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_document_twice_is_no_conflict_however_the_database_writes_it() {
    let mut both = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&both.server.app.office, std::slice::from_ref(&visit)).await;
    both.mentor.sync().await;
    both.coordinator.sync().await;
    let seq = both.mentor.cache.rows[&(EntityKind::Visit, visit.id.0)].seq;
    let shown = both.mentor.cache.get::<Visit>(visit.id).unwrap();
    let place = Place { latitude: 45.1, longitude: 21.3, accuracy_m: Some(9.5), fixed_at: None, is_mock: false };
    let arrived = Visit { arrival_place: Some(place), ..shown.clone() };
    let nos = [both.mentor.change(&shown, &arrived, seq), both.coordinator.change(&shown, &arrived, seq)];
    assert_eq!(both.mentor.sync().await.outcome(nos[0]), Outcome::Applied);
    assert_eq!(both.coordinator.sync().await.outcome(nos[1]), Outcome::Merged);
    both.mentor.sync().await;
    assert_eq!(both.conflicts("arrival_place"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_settled_by_who_sets_the_field_again_having_seen_it() {
    let mut both = started().await;
    both.mentor.change(&both.action, &with_text(&both.action, "al Anei"), both.seq);
    both.edit(true, with_text(&both.action, "al Carmenei")).await;
    let states = |both: &Both| both.conflicts("text").iter().map(|conflict| conflict.state).collect::<Vec<_>>();
    assert_eq!(states(&both), [ConflictState::Open]);
    let shown = both.shown();
    let key = (EntityKind::FollowUpAction, both.action.id.0);
    let seen = both.mentor.cache.rows[&key].seq;

    // The due date is not what the two disagree about, and who has not seen the conflict does not settle it.
    both.mentor.change(&shown, &postponed(&shown), seen);
    both.coordinator.change(&shown, &with_text(&shown, "fără să fi văzut"), both.seq);
    both.mentor.sync().await;
    both.coordinator.sync().await;
    both.mentor.sync().await;
    assert!(states(&both).iter().all(|state| *state == ConflictState::Open), "{:?}", states(&both));

    let shown = both.shown();
    let no = both.mentor.change(&shown, &with_text(&shown, "ales de Ana"), both.seen());
    assert_eq!(both.mentor.sync().await.outcome(no), Outcome::Applied);
    both.coordinator.sync().await;
    assert_eq!(both.shown().text, "ales de Ana");
    for conflict in both.conflicts("text") {
        assert_eq!((conflict.state, conflict.resolved_by), (ConflictState::Resolved, Some(ANA)), "{conflict:?}");
        assert!(conflict.resolved_at.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_voids_what_another_one_changes_leaves_the_row_and_a_conflict_in_either_order() {
    for voided_first in [true, false] {
        let mut both = started().await;
        let key = (EntityKind::FollowUpAction, both.action.id.0);
        both.coordinator.change(&both.action, &postponed(&both.action), both.seq);
        let draft = both.mentor.draft(Op::Delete, key.0, key.1, Vec::new());
        both.mentor.record(Mutation { base_seq: both.seq, ..draft });
        let outcomes = if voided_first {
            let voided = both.mentor.sync().await.outcome(1);
            [voided, both.coordinator.sync().await.outcome(1)]
        } else {
            let changed = both.coordinator.sync().await.outcome(1);
            [changed, both.mentor.sync().await.outcome(1)]
        };
        assert_eq!(outcomes, [Outcome::Applied, Outcome::Conflict]);
        both.mentor.sync().await;
        both.coordinator.sync().await;
        assert_eq!(both.shown().due_on, day("2024-06-01"), "the edit is not lost");
        let conflict = both.conflicts("voided").remove(0);
        assert_eq!((conflict.kept_by, conflict.other_by), (Some(CARMEN), Some(ANA)), "voided first: {voided_first}");
        let draft = both.mentor.draft(Op::Delete, key.0, key.1, Vec::new());
        let no = both.mentor.record(Mutation { base_seq: both.seen(), ..draft });
        assert_eq!(both.mentor.sync().await.outcome(no), Outcome::Applied, "having seen the edit, one may void it");
        both.coordinator.sync().await;
        assert_eq!(both.coordinator.cache.get::<FollowUpAction>(both.action.id), None);
        assert_eq!(both.conflicts("voided").remove(0).state, ConflictState::Resolved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_push_changes_and_voids_comes_back_changed() {
    let mut both = started().await;
    let key = (EntityKind::FollowUpAction, both.action.id.0);
    both.mentor.change(&both.action, &done(&both.action), both.seq);
    let draft = both.mentor.draft(Op::Delete, key.0, key.1, Vec::new());
    both.mentor.record(Mutation { base_seq: both.seq, ..draft });
    both.coordinator.change(&both.action, &postponed(&both.action), both.seq);
    both.mentor.sync().await;
    assert_eq!(both.coordinator.sync().await.outcome(1), Outcome::Conflict);
    both.mentor.sync().await;
    assert_eq!(both.shown(), FollowUpAction { due_on: day("2024-06-01"), ..done(&both.action) });
    assert_eq!(both.conflicts("voided").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_push_changes_and_voids_after_someone_voided_it_comes_back_changed() {
    let mut both = started().await;
    let mut third = Device::enrol(both.server.address, CARMEN).await;
    third.sync().await;
    third.change(&both.action, &postponed(&both.action), both.seq);
    let void = |device: &mut Device| {
        let draft = device.draft(Op::Delete, EntityKind::FollowUpAction, both.action.id.0, Vec::new());
        device.record(Mutation { base_seq: both.seq, ..draft })
    };
    void(&mut both.mentor);
    both.coordinator.change(&both.action, &done(&both.action), both.seq);
    let again = void(&mut both.coordinator);
    both.mentor.sync().await;
    let answer = both.coordinator.sync().await;
    assert_eq!([1, again].map(|no| answer.outcome(no)), [Outcome::Conflict, Outcome::Applied]);
    assert_eq!(both.coordinator.cache.get::<FollowUpAction>(both.action.id), None);
    assert_eq!(third.sync().await.outcome(1), Outcome::Conflict);
    both.mentor.sync().await;
    both.coordinator.sync().await;
    assert_eq!(both.shown(), FollowUpAction { due_on: day("2024-06-01"), ..done(&both.action) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_the_same_push_settles_by_voiding_the_row_is_kept() {
    let mut both = started().await;
    let id = both.action.id.0;
    psql(&both.server.app.office, &format!("UPDATE follow_up_action SET text = 'biroul' WHERE id = '{id}'")).await;
    both.coordinator.sync().await;
    let seen = both.coordinator.cache.rows[&(EntityKind::FollowUpAction, id)].seq;
    let lost = both.mentor.change(&both.action, &with_text(&both.action, "al Anei"), both.seq);
    let draft = both.mentor.draft(Op::Delete, EntityKind::FollowUpAction, id, Vec::new());
    let voided = both.mentor.record(Mutation { base_seq: seen, ..draft });
    let answer = both.mentor.sync().await;
    assert_eq!([lost, voided].map(|no| answer.outcome(no)), [Outcome::Conflict, Outcome::Applied]);
    both.coordinator.sync().await;
    let conflict = both.conflicts("text").remove(0);
    assert_eq!((conflict.other_value.as_deref(), conflict.state), (Some("\"al Anei\""), ConflictState::Resolved));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_voids_a_row_without_knowing_of_an_edit_that_is_not_shown_leaves_it() {
    for mentor_first in [true, false] {
        let mut both = started().await;
        both.mentor.change(&both.action, &with_text(&both.action, "al Anei"), both.seq);
        both.coordinator.change(&both.action, &with_text(&both.action, "al lui Carmen"), both.seq);
        if mentor_first {
            both.mentor.sync().await;
        }
        both.coordinator.sync().await;
        both.mentor.sync().await;
        let is_mentors = both.mentor.cache.get::<FollowUpAction>(both.action.id).unwrap().text == "al Anei";
        let winner = if is_mentors { &mut both.mentor } else { &mut both.coordinator };
        let draft = winner.draft(Op::Delete, EntityKind::FollowUpAction, both.action.id.0, Vec::new());
        let no = winner.record(Mutation { base_seq: both.seq, ..draft });
        assert_eq!(winner.sync().await.outcome(no), Outcome::Conflict);
        both.mentor.sync().await;
        both.coordinator.sync().await;
        both.shown();
        let [voided, text] = ["voided", "text"].map(|field| both.conflicts(field).remove(0));
        assert_eq!((voided.kept_by, text.state), (text.other_by, ConflictState::Open), "mentor first: {mentor_first}");
        // Having seen both, one may void it, and nothing is left to decide.
        let draft = both.mentor.draft(Op::Delete, EntityKind::FollowUpAction, both.action.id.0, Vec::new());
        let no = both.mentor.record(Mutation { base_seq: both.seen(), ..draft });
        assert_eq!(both.mentor.sync().await.outcome(no), Outcome::Applied);
        both.coordinator.sync().await;
        let states = ["voided", "text"].map(|field| both.conflicts(field).remove(0).state);
        assert_eq!(states, [ConflictState::Resolved; 2]);
    }
}
