use sync_protocol::cursor::Cursor;
use sync_protocol::id::UserId;
use sync_protocol::mutation::ChainHash;
use sync_protocol::rows::Rows;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Checkpoint, Demand, End, Fault, PushResult};
use uuid::Uuid;

use super::*;
use crate::store::SyncView;

const OURS: Cursor = Cursor { epoch: Uuid::from_u128(5), seq: 10, chain: ChainHash::START };

/// A device with changes `acked_no + 1 ..= last_no` pending.
fn view(acked_no: u64, last_no: u64) -> StateView {
    let store = SyncView { last_no, acked_no, cursor: OURS, is_signed_in: true, ..SyncView::default() };
    StateView { store, random: 499, uptime_ms: 0 }
}

fn welcome(last_no: u64, history: History) -> Event {
    Event::Frame(Message::Welcome(Welcome {
        protocol: PROTOCOL,
        now: Timestamp(0),
        user: UserId(Uuid::nil()),
        programme: Uuid::nil(),
        epoch: OURS.epoch,
        head: 10,
        history,
        last_no,
        last_hash: ChainHash::START,
        common: None,
        durable_seq: None,
        floor: None,
        earlier: Vec::new(),
    }))
}

fn below_the_floor() -> Event {
    let Event::Frame(Message::Welcome(welcome)) = welcome(0, History::Same) else { unreachable!() };
    Event::Frame(Message::Welcome(Welcome { floor: Some(11), ..welcome }))
}

fn checkpoint(is_complete: bool) -> Checkpoint {
    let cursor = is_complete.then_some(Cursor { seq: 11, ..OURS });
    Checkpoint { cursor, behind: Vec::new(), rows_sent: 3, rows_expected: 9 }
}

fn result(upto_no: u64, demand: Option<Demand>) -> PushResult {
    PushResult { upto_no, upto_hash: ChainHash::START, demand, commits: Vec::new(), results: Vec::new() }
}

fn end() -> Event {
    Event::Frame(Message::End(End::default()))
}

/// Runs a whole session and returns the commands of each event.
fn run(machine: &mut Machine, view: &StateView, events: Vec<Event>) -> Vec<Commands> {
    events.into_iter().map(|event| machine.handle(event, view)).collect()
}

#[test]
fn a_session_pushes_then_pulls_and_then_rests() {
    let mut machine = Machine::new(0);
    assert_eq!(machine.handle(Event::Wake, &view(0, 2)), [Command::Request { push: true, wait_ms: 0 }]);
    let done = run(
        &mut machine,
        &view(0, 2),
        vec![
            welcome(0, History::Same),
            Event::Frame(Message::PushResult(result(2, None))),
            Event::Frame(Message::Checkpoint(checkpoint(true))),
            end(),
        ],
    );
    assert!(done[0].is_empty() && done[3].is_empty());
    assert_eq!(done[1], [Command::ApplyResult(result(2, None))]);
    assert!(matches!(done[2][0], Command::ApplyPage(_)));
    assert_eq!(machine.handle(Event::Ended, &view(2, 2)), [Command::Notify(Notice::Complete)]);
    assert!(machine.is_idle());
}

#[test]
fn what_is_recorded_meanwhile_is_pushed_at_once() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 1));
    let events = vec![
        welcome(0, History::Same),
        Event::Frame(Message::PushResult(result(1, None))),
        Event::Recorded,
        Event::Frame(Message::Checkpoint(checkpoint(true))),
        end(),
    ];
    assert!(run(&mut machine, &view(0, 1), events)[2].is_empty());
    assert_eq!(machine.handle(Event::Ended, &view(1, 2)), [Command::Request { push: true, wait_ms: 0 }]);
}

#[test]
fn a_connected_device_waits_for_news_and_gives_that_up_for_a_push() {
    let mut machine = Machine::new(25_000);
    machine.handle(Event::Wake, &view(0, 0));
    let events = vec![welcome(0, History::Same), Event::Frame(Message::Checkpoint(checkpoint(true))), end()];
    run(&mut machine, &view(0, 0), events);
    let waiting = machine.handle(Event::Ended, &view(0, 0));
    assert_eq!(waiting[1], Command::Request { push: false, wait_ms: 25_000 });
    let recorded = machine.handle(Event::Recorded, &view(0, 1));
    assert_eq!(recorded, [Command::Abort, Command::Request { push: true, wait_ms: 0 }]);
}

#[test]
fn a_server_that_does_not_wait_is_not_asked_without_a_pause() {
    let mut machine = Machine::new(25_000);
    let calm = view(0, 0);
    for round in 0..2 {
        machine.handle(Event::Wake, &calm);
        let mut place = checkpoint(true);
        place.cursor = Some(OURS);
        run(&mut machine, &calm, vec![welcome(0, History::Same), Event::Frame(Message::Checkpoint(place)), end()]);
        let commands = machine.handle(Event::Ended, &calm);
        if round == 1 {
            assert_eq!(commands[1], Command::Schedule { after_ms: 5_000 });
        }
    }
}

#[test]
fn nothing_but_a_complete_answer_counts_as_success() {
    let page = || Event::Frame(Message::Checkpoint(checkpoint(false)));
    let cases: Vec<(&str, Vec<Event>, bool)> = vec![
        ("no message at all", vec![Event::Ended], false),
        ("a response without its end", vec![welcome(0, History::Same), Event::Ended], false),
        ("rows before the welcome", vec![page()], false),
        ("a network's sign-in page", vec![Event::Failed(Failure::NotOurServer("text/html".to_owned()))], false),
        ("an end without everything", vec![welcome(0, History::Same), page(), end(), Event::Ended], true),
    ];
    for (name, events, asks_again) in cases {
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &view(0, 0));
        let commands = run(&mut machine, &view(0, 0), events).pop().unwrap();
        assert!(!commands.contains(&Command::Notify(Notice::Complete)), "{name}");
        assert_eq!(commands.iter().any(|command| matches!(command, Command::Request { .. })), asks_again, "{name}");
        let waits = commands.iter().any(|command| matches!(command, Command::Schedule { .. }));
        assert_eq!(waits, !asks_again, "{name}");
    }
}

#[test]
fn demands_are_obeyed() {
    let cases = [
        (Demand::ResendFrom(4), Some(Command::Rewind(4))),
        (Demand::NewIncarnation, Some(Command::NewIncarnation)),
        (Demand::Retry { after_ms: 700 }, None),
    ];
    for (demand, expected) in cases {
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &view(5, 9));
        let answered = vec![welcome(5, History::Same), Event::Frame(Message::PushResult(result(5, Some(demand))))];
        let commands = run(&mut machine, &view(5, 9), answered).pop().unwrap();
        assert_eq!(commands.get(1), expected.as_ref());
        machine.handle(end(), &view(5, 9));
        let after = machine.handle(Event::Ended, &view(5, 9));
        let waits = after.contains(&Command::Schedule { after_ms: 700 });
        assert_eq!(waits, expected.is_none(), "{demand:?} gave {after:?}");
    }
}

#[test]
fn rows_come_although_demands_never_end() {
    let mut machine = Machine::new(0);
    let mut asked = machine.handle(Event::Wake, &view(5, 9));
    let answer = |machine: &mut Machine, events: Vec<Event>| {
        run(machine, &view(5, 9), [vec![welcome(5, History::Same)], events].concat());
        machine.handle(Event::Ended, &view(5, 9))
    };
    for _ in 0..DEMANDS {
        assert_eq!(asked, [Command::Request { push: true, wait_ms: 0 }]);
        let demand = Event::Frame(Message::PushResult(result(5, Some(Demand::NewIncarnation))));
        asked = answer(&mut machine, vec![demand, end()]);
    }
    assert_eq!(asked, [Command::Request { push: false, wait_ms: 0 }]);
    let asked = answer(&mut machine, vec![Event::Frame(Message::Checkpoint(checkpoint(true))), end()]);
    assert_eq!(asked, [Command::Request { push: true, wait_ms: 0 }], "the changes are still to be sent");
}

/// A late copy of a request may have told it of the newest incarnation before this one, and the place of the cache may be
/// from before the history that was left.
#[test]
fn what_a_restored_server_has_of_earlier_incarnations_is_compared_whatever_else_it_has() {
    let known = vec![(Uuid::from_u128(7), 3)];
    for (last_no, history) in [(0, History::Other), (7, History::Other), (0, History::Same)] {
        let Event::Frame(Message::Welcome(welcome)) = welcome(last_no, history) else { unreachable!() };
        let welcome = Event::Frame(Message::Welcome(Welcome { earlier: known.clone(), ..welcome }));
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &view(7, 7));
        assert!(machine.handle(welcome, &view(7, 7)).contains(&Command::MeetEarlier(known.clone())));
    }
}

#[test]
fn a_server_that_has_another_number_is_compared_with_the_outbox() {
    let meet = |last_no| Command::Meet { last_no, last_hash: ChainHash::START };
    let cases = [
        (History::Other, 7, vec![Command::AskAgain { after_seq: 0 }, Command::StartOver]),
        (History::Other, 3, vec![Command::AskAgain { after_seq: 0 }, Command::StartOver, meet(3)]),
        (History::Same, 3, vec![meet(3)]),
        (History::Same, 9, vec![meet(9)]),
        (History::Same, 7, vec![]),
    ];
    for (history, last_no, expected) in cases {
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &view(7, 7));
        assert_eq!(machine.handle(welcome(last_no, history), &view(7, 7)), expected);
    }
}

#[test]
fn answers_of_a_history_that_was_left_are_asked_for_again() {
    let place = |epoch, seq| Cursor { epoch: Uuid::from_u128(epoch), seq, ..OURS };
    let (again, begin) = (|after_seq| Command::AskAgain { after_seq }, Command::Begin(Uuid::from_u128(6)));
    let cases = [
        ("the device stood before the backup", 6, History::Same, None, vec![again(10), begin]),
        (
            "it stood after the backup",
            6,
            History::Other,
            Some(place(6, 4)),
            vec![again(4), Command::Rebase(place(6, 4))],
        ),
        ("it was away for too long", 5, History::Other, Some(OURS), vec![Command::Rebase(OURS)]),
        ("nothing was restored", 5, History::Same, None, vec![]),
    ];
    for (name, epoch, history, common, expected) in cases {
        let Event::Frame(Message::Welcome(welcome)) = welcome(7, history) else { unreachable!() };
        let told = Welcome { epoch: Uuid::from_u128(epoch), common, ..welcome };
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &view(7, 7));
        assert_eq!(machine.handle(Event::Frame(Message::Welcome(told)), &view(7, 7)), expected, "{name}");
    }
}

#[test]
fn a_cache_that_lost_its_place_has_answers_asked_for_again_where_the_server_lacks_changes() {
    for (last_no, is_asked) in [(7, false), (3, true)] {
        let mut lost = view(7, 7);
        lost.store.cursor = Cursor::default();
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &lost);
        let commands = machine.handle(welcome(last_no, History::Same), &lost);
        assert_eq!(commands.contains(&Command::AskAgain { after_seq: 0 }), is_asked, "{commands:?}");
    }
}

#[test]
fn the_same_number_with_another_hash_is_noticed_with_and_without_a_push() {
    for last_no in [7, 8] {
        let mut other = view(7, last_no);
        other.store.acked_hash = ChainHash([1; 16]);
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &other);
        let meet = Command::Meet { last_no: 7, last_hash: ChainHash::START };
        assert_eq!(machine.handle(welcome(7, History::Same), &other), [meet]);
    }
}

#[test]
fn what_is_answered_after_a_demand_is_left_alone() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(5, 9));
    let refused = || Event::Frame(Message::PushResult(result(5, Some(Demand::NewIncarnation))));
    let commands = run(&mut machine, &view(5, 9), vec![welcome(5, History::Same), refused(), refused()]);
    assert_eq!((commands[1].len(), commands[2].len()), (2, 0));
}

#[test]
fn a_device_without_a_place_does_not_start_over() {
    let mut machine = Machine::new(0);
    let mut fresh = view(0, 0);
    fresh.store.cursor = Cursor::default();
    machine.handle(Event::Wake, &fresh);
    let begin = Command::Begin(OURS.epoch);
    assert_eq!(machine.handle(welcome(0, History::Other), &fresh), [begin], "it notes which history it fetches");
}

#[test]
fn the_time_of_the_server_is_noted_once_a_day_and_when_its_clock_was_set_back() {
    const DAY_MS: i64 = 86_400_000;
    let noted = |day_ms: i64| {
        let mut known = view(7, 7);
        known.store.day_ms = day_ms;
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &known);
        machine.handle(welcome(7, History::Same), &known) == [Command::NoteDay(Timestamp(0))]
    };
    assert_eq!([-DAY_MS, 1 - DAY_MS, 0, 1].map(noted), [true, false, false, true]);
}

#[test]
fn a_refused_token_is_refreshed_once_and_then_the_person_is_asked() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 1));
    assert_eq!(machine.handle(Event::Failed(Failure::Unauthorised), &view(0, 1)), [Command::RefreshToken]);
    let again = machine.handle(Event::TokenRefreshed, &view(0, 1));
    assert_eq!(again, [Command::Request { push: true, wait_ms: 0 }]);
    let asked = machine.handle(Event::Failed(Failure::Unauthorised), &view(0, 1));
    assert_eq!(asked, [Command::Notify(Notice::NeedsSignIn)]);
    let mut signed_out = view(0, 1);
    signed_out.store.is_signed_in = false;
    assert_eq!(machine.handle(Event::Wake, &signed_out), [Command::Notify(Notice::NeedsSignIn)]);
    assert!(machine.handle(Event::Recorded, &signed_out).is_empty());
    assert!(matches!(machine.handle(Event::Wake, &view(0, 1))[0], Command::Request { .. }));
}

#[test]
fn a_network_that_fails_around_a_refresh_signs_nobody_out() {
    let refuse = || Event::Failed(Failure::Unauthorised);
    let lose = || Event::Failed(Failure::Offline("the connection broke".to_owned()));
    let cases = [
        ("the new tokens were lost", vec![refuse(), lose(), Event::Timer]),
        ("they ran out without having been used", vec![refuse(), Event::TokenRefreshed, lose(), Event::Timer]),
        ("the session was cancelled", vec![refuse(), Event::TokenRefreshed, Event::Cancel, Event::Wake]),
    ];
    for (name, events) in cases {
        let mut machine = Machine::new(0);
        machine.handle(Event::Wake, &view(0, 1));
        run(&mut machine, &view(0, 1), events);
        assert_eq!(machine.handle(refuse(), &view(0, 1)), [Command::RefreshToken], "{name}");
    }
}

#[test]
fn a_server_that_promises_more_and_sends_nothing_is_left_alone_for_a_while() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 1));
    for round in 1..=STALLS {
        let events = vec![welcome(0, History::Same), end()];
        run(&mut machine, &view(0, 1), events);
        let commands = machine.handle(Event::Ended, &view(0, 1));
        let waits = commands.iter().any(|command| matches!(command, Command::Schedule { .. }));
        assert_eq!(waits, round == STALLS, "round {round} gave {commands:?}");
    }
}

#[test]
fn rows_without_a_checkpoint_do_not_fill_the_memory() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 0));
    machine.handle(welcome(0, History::Same), &view(0, 0));
    let row = sync_protocol::rows::VersionedRow {
        seq: 1,
        row: sync_protocol::entity::Row { id: Uuid::nil(), values: Vec::new() },
    };
    let rows = || Rows { kind: None, rows: vec![row.clone(); 20_000], unknown: Vec::new() };
    let commands = run(&mut machine, &view(0, 0), (0..3).map(|_| Event::Frame(Message::Rows(rows()))).collect());
    assert!(commands[1].is_empty());
    assert!(commands[2].contains(&Command::Abort));
}

#[test]
fn a_cancelled_session_can_be_started_again() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 0));
    assert_eq!(machine.handle(Event::Cancel, &view(0, 0))[0], Command::Abort);
    assert!(machine.handle(end(), &view(0, 0)).is_empty());
    assert!(matches!(machine.handle(Event::Wake, &view(0, 0))[0], Command::Request { .. }));
}

#[test]
fn a_server_with_trouble_is_asked_again_when_it_says() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 0));
    let fault = |code: &str| {
        Event::Frame(Message::Fault(Fault { code: code.to_owned(), message: String::new(), request_id: String::new() }))
    };
    let busy = End { retry_after_ms: 9_000, more: false };
    let events = vec![welcome(0, History::Same), Event::Frame(Message::End(busy)), fault("UNAVAILABLE")];
    let commands = run(&mut machine, &view(0, 0), events).pop().unwrap();
    assert_eq!(commands.last(), Some(&Command::Schedule { after_ms: 9_499 }));
    machine.handle(Event::Timer, &view(0, 0));
    assert_eq!(machine.handle(fault("UNAUTHENTICATED"), &view(0, 0)), [Command::RefreshToken]);
}

#[test]
fn below_the_floor_a_difference_is_expected() {
    let mut machine = Machine::new(0);
    machine.handle(Event::Wake, &view(0, 0));
    assert_eq!(machine.handle(below_the_floor(), &view(0, 0)), [Command::ExpectDifference]);
}
