//! Tests of the store on real files.

mod again;
mod answers;
mod clocks;
mod conflicts;
mod damage;
mod erasures;
mod files;
mod held;
mod incarnations;
mod overruled;
mod push;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::id::UserId;
use sync_protocol::mutation::ChainHash;
use sync_protocol::patch::empty_row;
use sync_protocol::rows::{Gone, GoneReason, Rows, VersionedRow};
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use sync_protocol::wire::{Checkpoint, Commit, Demand, Message, MutationResult, Outcome, PushResult, Scopes};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::error::Error;
use crate::key::FixedKeyProvider;
use crate::world::FixedWorld;

const KIND: EntityKind = EntityKind::Finding;
const PROGRAMME: Uuid = Uuid::from_u128(0xAA);

fn options(folder: &Path, key: u8) -> StoreOptions {
    StoreOptions {
        folder: folder.to_owned(),
        keys: Arc::new(FixedKeyProvider([key; 32])),
        world: Arc::new(FixedWorld::at(Timestamp(1_711_966_205_120))),
        validator: Arc::new(AcceptAll),
        vfs: None,
        ballast_bytes: 0,
    }
}

fn open(folder: &Path) -> Store {
    let store = Store::open(options(folder, 7)).unwrap();
    if store.account().unwrap().is_none() {
        let account = Account { user: UserId(Uuid::from_u128(1)), programme: PROGRAMME };
        let token = || Zeroizing::new("token".to_owned());
        store.set_account(account, &Tokens { access: token(), refresh: token() }).unwrap();
    }
    store
}

fn at(field: &str) -> usize {
    KIND.def().position(field).unwrap()
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// A file with its journal as they were, which is what a loss of power goes back to.
struct Saved([(PathBuf, Option<Vec<u8>>); 3]);

impl Saved {
    fn of(folder: &Path, name: &str) -> Self {
        let paths = ["", "-wal", "-shm"].map(|ending| folder.join(format!("{name}{ending}")));
        Self(paths.map(|path| (path.clone(), std::fs::read(path).ok())))
    }

    fn put_back(self) {
        for (path, bytes) in self.0 {
            bytes.map_or_else(
                || std::fs::remove_file(&path).unwrap_or(()),
                |bytes| std::fs::write(&path, bytes).unwrap(),
            );
        }
    }
}

/// A finding of an enterprise with a description.
fn finding(id: u128, enterprise: u128, description: &str) -> Row {
    let mut row = empty_row(KIND.def(), Uuid::from_u128(id));
    row.values[at("enterprise_id")] = Value::Uuid(Uuid::from_u128(enterprise));
    row.values[at("text")] = text(description);
    row
}

fn page(rows: Vec<(u64, Row)>, cursor_seq: Option<u64>) -> Page {
    let rows = rows.into_iter().map(|(seq, row)| VersionedRow { seq, row }).collect();
    let cursor = cursor_seq.map(|seq| Cursor { epoch: Uuid::from_u128(5), seq, chain: ChainHash([3; 16]) });
    Page {
        rows: vec![Rows { kind: Some(KIND), rows, unknown: Vec::new() }],
        gone: Vec::new(),
        checkpoint: Checkpoint { cursor, behind: Vec::new(), rows_sent: 0, rows_expected: 0 },
    }
}

fn shown(store: &Store, id: u128) -> Option<(String, u64, RowState)> {
    let shown = store.get(KIND, Uuid::from_u128(id)).unwrap()?;
    let text = shown.row.values[at("text")].as_text().unwrap_or_default().to_owned();
    Some((text, shown.seq, shown.state))
}

fn put(store: &Store, row: Row) {
    store.write(|batch| batch.put(KIND, row)).unwrap();
}

fn patch(store: &Store, id: u128, field: &str, value: &str) {
    store.write(|batch| batch.patch(KIND, Uuid::from_u128(id), &vec![(at(field), text(value))])).unwrap();
}

/// The server's answer to everything that is pending.
fn answer(store: &Store, seq: u64, verbatim: bool, results: Vec<MutationResult>) -> PushResult {
    let inner = store.inner.lock();
    let (first_no, last_no) = (inner.outbox.number(inner.outbox.acked) + 1, inner.outbox.number(inner.outbox.last));
    PushResult {
        upto_no: last_no,
        upto_hash: inner.outbox.last_hash,
        demand: None,
        commits: vec![Commit { first_no, last_no, seq, verbatim }],
        results,
    }
}

fn result(no: u64, outcome: Outcome) -> MutationResult {
    MutationResult {
        no,
        outcome,
        code: "CODE".to_owned(),
        rule: Some("I19".to_owned()),
        field: None,
        message: None,
        args: Vec::new(),
    }
}

#[test]
fn a_write_survives_a_crash_and_a_lost_cache() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "Panou lipsă"));
    patch(&store, 1, "text", "Panou căzut");
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.report().repaired_rows, 1, "the cache had not been written yet");
    assert_eq!(shown(&store, 1), Some(("Panou căzut".to_owned(), 0, RowState::Pending)));
    store.close().unwrap();
    for name in ["cache.db", "cache.db-wal", "cache.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }

    let store = open(folder.path());
    assert!(store.report().new_cache);
    assert_eq!(shown(&store, 1), Some(("Panou căzut".to_owned(), 0, RowState::Pending)));
    assert_eq!(store.status().unwrap().pending, 2);
    assert_eq!(store.pending(10).unwrap()[1].mutation.no, 2);
}

#[test]
fn a_closed_store_has_nothing_to_repair() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    store.close().unwrap();
    assert_eq!(*open(folder.path()).report(), OpenReport::default());
}

#[test]
fn a_failed_batch_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    let failed = store.write(|batch| {
        batch.put(KIND, finding(2, 9, "b"))?;
        batch.patch(KIND, Uuid::from_u128(1), &vec![(at("text"), text("x"))])?;
        batch.delete(KIND, Uuid::from_u128(99))
    });
    assert!(matches!(failed, Err(Error::NotFound { .. })));
    assert_eq!(shown(&store, 2), None);
    assert_eq!(shown(&store, 1).unwrap().0, "a");
    assert_eq!(store.status().unwrap().pending, 1);
    put(&store, finding(3, 9, "c"));
    assert_eq!(store.pending(10).unwrap()[1].mutation.no, 2, "a number was skipped");
}

#[test]
fn a_pending_edit_is_shown_over_a_newer_row_and_keeps_the_version_first_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(10, finding(1, 9, "server 10"))], Some(10))).unwrap();
    patch(&store, 1, "text", "mine");
    let mut newer = finding(1, 9, "server 20");
    newer.values[at("severity")] = text("MAJOR");
    store.apply_page(&page(vec![(20, newer)], Some(20))).unwrap();
    assert_eq!(shown(&store, 1), Some(("mine".to_owned(), 20, RowState::Pending)));
    let row = store.get(KIND, Uuid::from_u128(1)).unwrap().unwrap().row;
    assert_eq!(row.values[at("severity")], text("MAJOR"), "the server's other fields were hidden");

    store
        .write(|batch| {
            let both = vec![(at("severity"), text("MINOR")), (at("text"), text("mine again"))];
            batch.patch(KIND, Uuid::from_u128(1), &both)
        })
        .unwrap();
    let second = &store.pending(10).unwrap()[1].mutation;
    assert_eq!(second.base_of(at("text")), 10, "the hidden version counts as seen");
    assert_eq!(second.base_of(at("severity")), 20);
}

#[test]
fn applying_is_idempotent_and_ignores_older_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let newest = page(vec![(20, finding(1, 9, "new"))], Some(20));
    store.apply_page(&newest).unwrap();
    store.apply_page(&newest).unwrap();
    store.apply_page(&page(vec![(10, finding(1, 9, "old"))], None)).unwrap();
    assert_eq!(shown(&store, 1), Some(("new".to_owned(), 20, RowState::Synced)));
    assert_eq!(store.count(KIND, &Query::new()).unwrap(), 1);
    assert_eq!(store.sync_view().unwrap().cursor.seq, 20);
    store
        .apply_page(&Page {
            gone: vec![Gone { rows: vec![(KIND.number(), Uuid::from_u128(1), GoneReason::Deleted)] }],
            ..page(Vec::new(), Some(30))
        })
        .unwrap();
    assert_eq!(shown(&store, 1), None);
}

#[test]
fn ten_thousand_writes_are_confirmed_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(|batch| (1..=10_000).try_for_each(|n| batch.put(KIND, finding(n, 9, "rând")).map(|_| ()))).unwrap();
    let pushes = store.pushes().unwrap();
    assert_eq!(pushes.iter().map(|push| push.mutations.len()).collect::<Vec<_>>(), [2_000, 2_000, 1_000]);
    assert_eq!((pushes[1].first_no, pushes[0].prev_hash), (2_001, ChainHash::START));
    let answer = answer(&store, 77, true, Vec::new());
    assert_eq!(store.apply_result(&answer).unwrap().pushed, 10_000);
    assert_eq!(store.apply_result(&answer).unwrap(), Answered::default(), "a repeated answer changed something");
    assert_eq!(shown(&store, 10_000), Some(("rând".to_owned(), 77, RowState::Synced)));
    assert_eq!(store.status().unwrap().pending, 0);
    drop(store);
    assert_eq!(shown(&open(folder.path()), 5).unwrap().1, 77);
}

#[test]
fn two_changes_of_a_row_in_one_commit_are_both_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "Panou lipsă"));
    patch(&store, 1, "text", "Panou căzut");
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    assert_eq!(shown(&store, 1), Some(("Panou căzut".to_owned(), 5, RowState::Synced)));
}

#[test]
fn a_confirmation_that_the_cache_lost_is_made_up_at_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(10, finding(1, 9, "server"))], Some(10))).unwrap();
    store.flush().unwrap();
    let saved = Saved::of(folder.path(), "cache.db");
    patch(&store, 1, "text", "mine");
    let answer = answer(&store, 11, true, Vec::new());
    store.apply_result(&answer).unwrap();
    drop(store);
    saved.put_back();
    assert_eq!(shown(&open(folder.path()), 1), Some(("mine".to_owned(), 11, RowState::Synced)));
}

#[test]
fn a_row_of_a_scope_that_came_and_went_in_a_lost_part_of_the_cache_goes_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let scopes = |of: &[u128]| Scopes { scopes: of.iter().map(|n| Uuid::from_u128(*n)).collect() };
    store.apply_scopes(&scopes(&[8])).unwrap();
    store.apply_page(&page(Vec::new(), Some(10))).unwrap();
    store.flush().unwrap();
    let saved = Saved::of(folder.path(), "cache.db");
    store.apply_scopes(&scopes(&[8, 9])).unwrap();
    put(&store, finding(1, 9, "mine"));
    store.apply_result(&answer(&store, 11, true, Vec::new())).unwrap();
    store.apply_scopes(&scopes(&[8])).unwrap();
    assert_eq!(shown(&store, 1), None);
    drop(store);
    saved.put_back();
    let store = open(folder.path());
    assert!(shown(&store, 1).is_some(), "until the server has said which scopes there are, it may be the device's");
    store.apply_page(&page(Vec::new(), Some(12))).unwrap();
    assert_eq!(shown(&store, 1), None);
}

#[test]
fn a_row_that_was_asked_for_and_does_not_come_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(10, finding(1, 9, "server"))], Some(10))).unwrap();
    store.flush().unwrap();
    let saved = Saved::of(folder.path(), "cache.db");
    store.apply_page(&page(vec![(12, finding(1, 9, "newer"))], Some(12))).unwrap();
    patch(&store, 1, "text", "mine");
    store.apply_result(&answer(&store, 13, true, Vec::new())).unwrap();
    drop(store);
    saved.put_back();
    let store = open(folder.path());
    assert_eq!(shown(&store, 1).unwrap().0, "mine");
    let asks = |message: &Message| matches!(message, Message::Want(want) if want.rows.len() == 1);
    assert!(store.checks().unwrap().iter().any(asks), "the version beneath the change is not here");
    // It was deleted meanwhile, and the answer is a new download, which tells of no deletion.
    store.apply_page(&page(Vec::new(), Some(14))).unwrap();
    assert_eq!(shown(&store, 1), None);
}

#[test]
fn a_change_of_a_row_that_has_just_come_is_shown_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // The session goes on: more pages are on their way, and nothing has written this one.
    store.apply_page(&page(vec![(10, finding(1, 9, "server"))], None)).unwrap();
    patch(&store, 1, "text", "mine");
    drop(store);
    assert_eq!(shown(&open(folder.path()), 1), Some(("mine".to_owned(), 10, RowState::Pending)));
}

#[test]
fn an_accepted_edit_stays_shown_until_the_servers_row_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(10, finding(1, 9, "server"))], Some(10))).unwrap();
    patch(&store, 1, "text", "mine");
    let answer = answer(&store, 15, false, vec![result(1, Outcome::Conflict)]);
    assert_eq!(store.apply_result(&answer).unwrap().conflicts, 1);
    assert_eq!(shown(&store, 1).unwrap().0, "mine");
    store.apply_page(&page(vec![(15, finding(1, 9, "theirs"))], Some(15))).unwrap();
    assert_eq!(shown(&store, 1), Some(("theirs".to_owned(), 15, RowState::Synced)));
    drop(store);
    assert_eq!(shown(&open(folder.path()), 1).unwrap().0, "theirs");
}

#[test]
fn a_rejected_row_stays_editable_and_is_sent_whole_once_it_is_put_right() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "greșit"));
    let answer = answer(&store, 0, true, vec![result(1, Outcome::Rejected)]);
    assert_eq!(store.apply_result(&answer).unwrap().rejected, 1);
    assert_eq!(shown(&store, 1), Some(("greșit".to_owned(), 0, RowState::Rejected)));
    assert_eq!(store.rejected(10).unwrap()[0].answer.as_ref().unwrap().rule.as_deref(), Some("I19"));

    patch(&store, 1, "text", "corect");
    let again = &store.pending(10).unwrap()[0].mutation;
    assert_eq!((again.no, again.op), (2, sync_protocol::mutation::Op::Put));
    assert_eq!(again.patch.len(), 2, "the parts that were right are missing");
    assert_eq!(shown(&store, 1), Some(("corect".to_owned(), 0, RowState::Pending)));
    assert!(store.rejected(10).unwrap().is_empty());
}

#[test]
fn a_discarded_change_gives_the_servers_row_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(10, finding(1, 9, "server"))], Some(10))).unwrap();
    patch(&store, 1, "text", "mine");
    let answer = answer(&store, 0, true, vec![result(1, Outcome::Rejected)]);
    store.apply_result(&answer).unwrap();
    let change = store.rejected(1).unwrap()[0].change_id;
    store.discard(change).unwrap();
    assert_eq!(shown(&store, 1), Some(("server".to_owned(), 10, RowState::Synced)));
    assert!(matches!(store.discard(change), Err(Error::Usage(_))));
}

#[test]
fn a_greeting_keeps_the_place_that_it_tells_and_leaves_what_was_recorded_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let is_open = || !store.inner.lock().cache.conn.is_autocommit();
    put(&store, finding(1, 9, "a"));
    store.hello("test", 0).unwrap();
    assert!(is_open(), "the outbox has it; the cache need not hurry");
    // A page without a row, too, moves the place.
    store.apply_page(&page(Vec::new(), Some(3))).unwrap();
    assert!(is_open());
    assert_eq!(store.hello("test", 0).unwrap().cursor.seq, 3);
    assert!(!is_open(), "a failing disk could take the place back");
}

#[test]
fn no_page_is_taken_after_one_that_was_undone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], None)).unwrap();
    // A change of a person that cannot be saved.
    store.inner.lock().give_up_cache();
    let last = page(vec![(2, finding(2, 9, "b"))], Some(2));
    assert!(matches!(store.apply_page(&last), Err(Error::Storage(_))), "the first row would be missing for ever");
    assert_eq!(store.hello("test", 0).unwrap().cursor.seq, 0);
    store.apply_page(&last).unwrap();
    assert_eq!(store.sync_view().unwrap().cursor.seq, 2);
}

#[test]
fn a_lost_scope_is_dropped_except_for_pending_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let scopes = |ids: &[u128]| Scopes { scopes: ids.iter().map(|id| Uuid::from_u128(*id)).collect() };
    assert!(store.apply_scopes(&scopes(&[8, 9])).unwrap());
    assert_eq!(store.hello("test", 0).unwrap().behind.len(), 2);
    let rows = vec![(1, finding(1, 8, "a")), (2, finding(2, 9, "b")), (3, finding(3, 9, "c"))];
    store.apply_page(&page(rows, Some(3))).unwrap();
    assert!(store.hello("test", 0).unwrap().behind.is_empty());
    patch(&store, 3, "text", "mine");
    assert!(store.apply_scopes(&scopes(&[8])).unwrap());
    assert_eq!(shown(&store, 1).unwrap().0, "a");
    assert_eq!(shown(&store, 2), None);
    assert_eq!(shown(&store, 3).unwrap().0, "mine");
    let answer = answer(&store, 0, true, vec![result(1, Outcome::Held)]);
    assert_eq!(store.apply_result(&answer).unwrap().held, 1);
    assert_eq!(shown(&store, 3).unwrap().2, RowState::Held);
}

#[test]
fn a_new_scope_is_shown_at_once_when_all_of_it_is_here() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let scopes = |ids: &[u128]| Scopes { scopes: ids.iter().map(|id| Uuid::from_u128(*id)).collect() };
    store.apply_scopes(&scopes(&[8])).unwrap();
    store.apply_page(&page(vec![(1, finding(1, 8, "a"))], Some(3))).unwrap();
    patch(&store, 1, "text", "mine");
    store.apply_scopes(&scopes(&[])).unwrap();
    store.apply_scopes(&scopes(&[8, 9])).unwrap();
    let count = |store: &Store| store.count(KIND, &Query::new()).unwrap();
    for (row, is_complete) in [(2, false), (3, true)] {
        store.apply_page(&page(vec![(row, finding(row.into(), 9, "b"))], is_complete.then_some(4))).unwrap();
        store.flush().unwrap();
        drop(store);
        store = open(folder.path());
        assert_eq!(shown(&store, 2).is_some(), is_complete);
        assert_eq!(count(&store), if is_complete { 3 } else { 1 });
        assert_eq!(shown(&store, 1).unwrap().0, "mine", "unsettled work stays shown when its scope comes back");
    }
    store.apply_scopes(&scopes(&[7, 8, 9])).unwrap();
    put(&store, finding(5, 7, "recorded before all of its scope is here"));
    assert!(shown(&store, 5).is_some());
}

#[test]
fn another_history_replaces_rows_and_keeps_what_is_pending() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
    let rows = vec![(100, finding(1, 9, "a")), (100, finding(2, 9, "b")), (100, finding(3, 9, "c"))];
    store.apply_page(&page(rows, Some(100))).unwrap();
    patch(&store, 3, "text", "mine");
    store.start_over().unwrap();
    assert_eq!(store.sync_view().unwrap().cursor, Cursor::default());
    assert_eq!(shown(&store, 2).unwrap().0, "b", "rows vanish before the others are here");
    store.apply_page(&page(vec![(40, finding(1, 9, "restored"))], Some(50))).unwrap();
    assert_eq!(shown(&store, 1), Some(("restored".to_owned(), 40, RowState::Synced)));
    assert_eq!(shown(&store, 2), None);
    assert_eq!(shown(&store, 3).unwrap().0, "mine");
}

/// The first number of what is sent next, and the answer of a server that has it.
fn shared(store: &Store) -> (u64, PushResult) {
    let asked = store.pushes().unwrap().remove(0);
    let upto_no = asked.first_no + asked.mutations.len() as u64 - 1;
    let upto_hash = asked.mutations.iter().fold(asked.prev_hash, |hash, bytes| hash.then(bytes));
    (asked.first_no, PushResult { upto_no, upto_hash, demand: None, commits: Vec::new(), results: Vec::new() })
}

/// A server that has what was acknowledged, and something else after it.
fn part(store: &Store) {
    store.new_incarnation().unwrap();
    let asked = store.pushes().unwrap().remove(0);
    let (upto_no, upto_hash) = (asked.first_no, asked.prev_hash.then(&asked.mutations[0]));
    let demand = Some(Demand::NewIncarnation);
    let refused = PushResult { upto_no, upto_hash, demand, commits: Vec::new(), results: Vec::new() };
    assert_eq!(store.apply_result(&refused).unwrap().pushed, 0);
    store.new_incarnation().unwrap();
}

#[test]
fn what_the_server_lost_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    put(&store, finding(2, 9, "b"));
    let first = answer(&store, 5, true, Vec::new());
    store.apply_result(&first).unwrap();
    store.rewind(2).unwrap();
    assert_eq!(store.pushes().unwrap()[0].first_no, 2);
    assert_eq!(shown(&store, 1).unwrap().2, RowState::Synced);
    assert_eq!(shown(&store, 2).unwrap().2, RowState::Pending);
}

#[test]
fn an_answer_about_other_changes_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    let foreign = PushResult { upto_hash: ChainHash([1; 16]), ..answer(&store, 5, true, Vec::new()) };
    assert!(store.apply_result(&foreign).unwrap().is_foreign);
    assert_eq!(store.status().unwrap().pending, 1);
}

#[test]
fn lists_are_filtered_ordered_and_paged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let rows = (1..=25u128).map(|n| (n as u64, finding(n, n % 2, &format!("Școala {:02}", n / 2)))).collect();
    store.apply_page(&page(rows, Some(30))).unwrap();
    let query = |direction| Query::new().order_by("text", direction).limit(10);
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut seen = Vec::new();
        let mut next = query(direction);
        loop {
            let rows = store.list(KIND, &next).unwrap();
            let Some(last) = rows.last() else { break };
            next = query(direction).after(last.row.values[at("text")].clone(), last.row.id);
            seen.extend(rows.iter().map(|row| row.row.id));
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=25).map(Uuid::from_u128).collect::<Vec<_>>());
    }
    assert_eq!(store.count(KIND, &Query::new().eq("enterprise_id", Uuid::from_u128(1))).unwrap(), 13);
    assert_eq!(store.search(KIND, "scoala 07", 10).unwrap().len(), 2);
    assert!(store.list(KIND, &Query::new().eq("nonsense", 1)).is_err());
}
