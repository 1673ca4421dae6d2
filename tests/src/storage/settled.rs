//! Changes that are settled, and the power that goes once the outbox has nothing to do with them any more: what the
//! outbox no longer lays over the cache must be in the cache.

use client_sdk::error::Error;
use client_sdk::store::{Page, Store};
use sync_protocol::cursor::Cursor;
use sync_protocol::mutation::ChainHash;
use sync_protocol::rows::{Rows, VersionedRow};
use sync_protocol::wire::{Checkpoint, Commit, MutationResult, Outcome, PushResult};
use uuid::Uuid;

use super::phone::Phone;
use super::rows::{KIND, patch, row, text_of};

/// The row that came from the server and was changed here.
const CHANGED: Uuid = Uuid::from_u128(1);
/// The row that was created here.
const CREATED: Uuid = Uuid::from_u128(2);

/// Returns what is shown of a change that was merged.
pub fn shown_of_a_merge(seed: u64) -> Result<Option<String>, Error> {
    let (phone, store) = with_a_merge()?;
    shown_without_power(&phone, store, seed, CHANGED)
}

/// Returns what is shown of a row that a restored server refused, after the person gave it up.
pub fn shown_of_what_was_given_up(seed: u64) -> Result<Option<String>, Error> {
    let (phone, store) = with_a_merge()?;
    store.rewind(1)?;
    store.apply_result(&answer(&store, Outcome::Rejected, 0)?)?;
    for change in store.rejected(u32::MAX)? {
        store.discard(change.change_id)?;
    }
    shown_without_power(&phone, store, seed, CREATED)
}

/// Returns a phone with two changes that the server has merged, of which one has come.
fn with_a_merge() -> Result<(Phone, Store), Error> {
    let phone = Phone::new();
    let store = phone.open()?;
    store.apply_page(&page(10, "before", true))?;
    store.write(|batch| batch.patch(KIND, CHANGED, &patch("mine")))?;
    store.write(|batch| batch.put(KIND, row(CREATED, "mine")))?;
    store.apply_result(&answer(&store, Outcome::Merged, 15)?)?;
    store.apply_page(&page(15, "merged", false))?;
    Ok((phone, store))
}

fn shown_without_power(phone: &Phone, store: Store, seed: u64, id: Uuid) -> Result<Option<String>, Error> {
    // Carries what the outbox noted lazily to the disk.
    store.write(|batch| batch.put(KIND, row(Uuid::from_u128(3), "another one")))?;
    phone.disk.cut_power(seed);
    drop(store);
    Ok(phone.open()?.get(KIND, id)?.map(|shown| text_of(&shown.row)))
}

fn page(seq: u64, text: &str, is_complete: bool) -> Page {
    let rows = vec![VersionedRow { seq, row: row(CHANGED, text) }];
    let cursor = is_complete.then_some(Cursor { epoch: Uuid::from_u128(5), seq, chain: ChainHash([3; 16]) });
    Page {
        rows: vec![Rows { kind: Some(KIND), rows, unknown: Vec::new() }],
        gone: Vec::new(),
        checkpoint: Checkpoint { cursor, behind: Vec::new(), rows_sent: 0, rows_expected: 0 },
    }
}

/// Returns the answer to everything that waits: all became the same.
fn answer(store: &Store, outcome: Outcome, seq: u64) -> Result<PushResult, Error> {
    let pushes = store.pushes()?;
    let sent = pushes.iter().flat_map(|push| &push.mutations);
    let upto_hash = sent.clone().fold(ChainHash::START, |hash, mutation| hash.then(mutation));
    let upto_no = sent.count() as u64;
    let result = |no| MutationResult {
        no,
        outcome,
        code: "CODE".to_owned(),
        rule: None,
        field: None,
        message: None,
        args: Vec::new(),
    };
    let commits = vec![Commit { first_no: 1, last_no: upto_no, seq, verbatim: false }];
    Ok(PushResult { upto_no, upto_hash, demand: None, commits, results: (1..=upto_no).map(result).collect() })
}
