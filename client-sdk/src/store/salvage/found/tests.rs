use sync_protocol::entity::EntityKind;
use sync_protocol::id::UserId;
use sync_protocol::mutation::Op;
use sync_protocol::time::Timestamp;

use super::*;

fn change(state: ChangeState) -> FoundChange {
    let mutation = Mutation {
        no: 1,
        op: Op::Delete,
        kind: EntityKind::Finding,
        row_id: Uuid::from_u128(1),
        author: UserId(Uuid::nil()),
        captured_at: Timestamp(0),
        uptime_ms: 0,
        base_seq: 0,
        field_bases: Vec::new(),
        patch: Vec::new(),
        group: None,
        reason: None,
        unknown: Vec::new(),
    };
    let (prev_hash, hash) = (ChainHash::START, ChainHash::START);
    FoundChange { state, seq: 0, answer: None, prev_hash, hash, payload: Vec::new(), mutation }
}

/// Positions 1 to 4 are answered, of which 2 is rejected and 3 held; 5 and 6 wait.
fn found() -> Found {
    use ChangeState::{Held, Pending, Rejected};
    let states = [Pending, Rejected, Held, Pending, Pending, Pending];
    Found {
        changes: states.into_iter().zip(1..).map(|(state, at)| (at, change(state))).collect(),
        open: BTreeMap::from([(2, Rejected), (3, Held)]),
        is_open_whole: true,
        stretches: vec![Stretch { first: 1, last: 4, state: ChangeState::Confirmed, seq: 7 }],
        settings: BTreeMap::from([
            ("acked".to_owned(), Value::Integer(4)),
            ("device".to_owned(), Value::Blob(vec![1; 16])),
        ]),
        earlier: BTreeMap::new(),
    }
}

const REACHED: Reached = Reached { last: 6, acked: 4, rejected: 1 };

fn summary(work: &StillWork) -> (usize, Vec<u64>, u64) {
    (work.pending.len(), work.kept.iter().map(|(at, _)| *at).collect(), work.lost)
}

#[test]
fn what_waits_or_was_refused_is_work_and_the_rest_is_the_servers() {
    let work = found().still_work(REACHED);
    assert_eq!((summary(&work), work.highest), ((2, vec![2, 3], 0), 6));
}

#[test]
fn what_is_missing_is_counted_when_nobody_else_has_it() {
    for (position, lost) in [(1, 0), (2, 1), (3, 0), (4, 0), (5, 1), (6, 1)] {
        for (is_open_whole, open) in [(true, found().open), (false, BTreeMap::new())] {
            let mut damaged = Found { is_open_whole, open, ..found() };
            damaged.changes.remove(&position);
            assert_eq!(damaged.still_work(REACHED).lost, lost, "position {position}, index {is_open_whole}");
        }
    }
}

#[test]
fn an_end_that_nothing_in_the_file_tells_of_is_counted() {
    let work = found().still_work(Reached { last: 9, ..REACHED });
    assert_eq!((work.lost, work.highest), (3, 9));
}

#[test]
fn a_file_of_which_nothing_is_left_has_lost_what_waited_and_what_was_refused() {
    let work = Found::default().still_work(REACHED);
    assert_eq!((summary(&work), work.highest), ((0, vec![], 3), 6));
}

#[test]
fn without_the_place_of_the_server_a_change_is_rather_sent_twice_than_never() {
    let mut damaged = found();
    damaged.settings.remove("acked");
    assert_eq!(summary(&damaged.still_work(REACHED)), (2, vec![2, 3], 0));
    let unnoted = || {
        let mut damaged = found();
        damaged.settings.remove("acked");
        damaged
    };
    assert_eq!(summary(&unnoted().still_work(Reached::default())), (2, vec![2, 3], 0));
    let nothing_told = Found { stretches: Vec::new(), open: BTreeMap::new(), is_open_whole: false, ..unnoted() };
    // Position 1 is of before something answered, and may be anything.
    assert_eq!(summary(&nothing_told.still_work(Reached::default())), (4, vec![2, 3], 0));
}

#[test]
fn what_is_held_for_a_device_whose_name_is_lost_is_left_to_the_server() {
    let mut damaged = found();
    damaged.settings.remove("device");
    assert_eq!(summary(&damaged.still_work(REACHED)), (2, vec![2], 0));
}

#[test]
fn a_change_that_is_not_what_its_hash_says_is_not_taken() {
    let payload = change(ChangeState::Pending).mutation.encode();
    let hash = ChainHash::START.then(&payload);
    let values = |payload: &[u8]| {
        let (text, number) = (|bytes: &[u8]| Value::Blob(bytes.to_vec()), Value::Integer(0));
        let hashes = [text(&ChainHash::START.0), text(&hash.0)];
        let [prev, hash] = hashes;
        let (null, number) = (Value::Null, || number.clone());
        let id = text(&[1; 16]);
        vec![null.clone(), number(), id, number(), number(), null.clone(), number(), null, prev, hash, text(payload)]
    };
    assert!(change_of(values(&payload)).is_some());
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        assert_eq!(change_of(values(&damaged)), None);
    }
}
