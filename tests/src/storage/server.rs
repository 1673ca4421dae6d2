//! The server of the histories: one device, every number taken once, answers that stay the same.

use std::collections::BTreeMap;

use client_sdk::store::Page;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::mutation::{ChainHash, Mutation};
use sync_protocol::rows::{Gone, GoneReason, Rows, VersionedRow};
use sync_protocol::wire::{Checkpoint, Commit, Hello, MutationResult, Outcome, Push, PushResult};
use uuid::Uuid;

use super::rows::{Edit, KIND, SCOPE, row};

/// A row of the server.
#[derive(Clone, Debug)]
struct Version {
    seq: u64,
    text: Option<String>,
}

/// A change that the server has.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) edit: Edit,
    pub(super) outcome: Outcome,
    commit: Option<(u64, bool)>,
}

/// What the server has.
#[derive(Clone, Default)]
pub(super) struct Server {
    head: u64,
    rows: BTreeMap<Uuid, Version>,
    /// What came from each incarnation, number 1 first.
    pub(super) received: BTreeMap<Uuid, Vec<Received>>,
}

impl Server {
    /// Returns rows that the device may change: nobody has refused or kept a change of them.
    pub(super) fn rows(&self) -> Vec<Uuid> {
        self.rows.iter().filter(|(_, version)| version.text.is_some()).map(|(id, _)| *id).collect()
    }

    /// Somebody else writes a row.
    pub(super) fn write(&mut self, id: Uuid, text: Option<String>) {
        self.head += 1;
        self.rows.insert(id, Version { seq: self.head, text });
    }

    /// Takes a push. Fails when a number comes with something else than the first time.
    pub(super) fn take(
        &mut self,
        incarnation: Uuid,
        pushes: &[Push],
        rng: &mut ChaCha8Rng,
    ) -> Result<Option<PushResult>, String> {
        let mut list = self.received.remove(&incarnation).unwrap_or_default();
        for push in pushes {
            let mutations = push.mutations.iter().zip(push.first_no..);
            for (bytes, no) in mutations {
                match list.get(no as usize - 1) {
                    Some(had) if had.bytes == *bytes => {}
                    Some(_) => return Err(format!("number {no} was used for something else")),
                    None if no as usize == list.len() + 1 => list.push(self.receive(bytes, &list, rng)?),
                    None => return Err(format!("number {no} came after {}", list.len())),
                }
            }
        }
        let first = pushes.first().map_or(1, |push| push.first_no);
        let last = pushes.last().map(|push| push.first_no as usize + push.mutations.len() - 1);
        let answer = last.map(|last| answer(&list[..last], first));
        self.received.insert(incarnation, list);
        Ok(answer)
    }

    fn receive(&mut self, bytes: &[u8], list: &[Received], rng: &mut ChaCha8Rng) -> Result<Received, String> {
        let mutation = Mutation::decode(bytes).map_err(|error| error.to_string())?;
        let edit = Edit::of(&mutation);
        let known = self.rows.get(&edit.row).cloned().unwrap_or(Version { seq: 0, text: None });
        let refused = |outcome| Received { bytes: bytes.to_vec(), edit: edit.clone(), outcome, commit: None };
        let is_refused = |had: &Received| had.edit.row == edit.row && had.commit.is_none();
        if self.received.values().flatten().chain(list).any(is_refused) {
            return Ok(refused(Outcome::Rejected));
        }
        let is_own = self.is_own(known.seq) || list.iter().any(|had| had.commit == Some((known.seq, true)));
        let is_stale = known.seq > mutation.base_of(mutation.patch.first().map_or(0, |(at, _)| *at));
        match rng.random_range(0..20) {
            0 => return Ok(refused(Outcome::Rejected)),
            1 => return Ok(refused(Outcome::Held)),
            _ => {}
        }
        let (text, outcome, verbatim) = match rng.random_range(0..10) {
            _ if is_stale && !is_own => (known.text, Outcome::Conflict, false),
            0 => (edit.laid_over(known.text).map(|text| format!("{text}, merged")), Outcome::Merged, false),
            _ => (edit.laid_over(known.text), Outcome::Applied, true),
        };
        self.write(edit.row, text);
        Ok(Received { bytes: bytes.to_vec(), edit, outcome, commit: Some((self.head, verbatim)) })
    }

    /// Returns the changes that stay laid over their rows, oldest first.
    pub(super) fn refused(&self) -> impl Iterator<Item = &Edit> {
        let received = self.received.values().flatten();
        received
            .filter(|received| matches!(received.outcome, Outcome::Rejected | Outcome::Held))
            .map(|received| &received.edit)
    }

    /// Returns what comes after the place of a device: what it wrote itself and was taken as it is only where its
    /// scope is behind. An incomplete page ends somewhere.
    pub(super) fn page(&self, hello: &Hello, end: Option<usize>) -> Page {
        let behind = hello.behind.iter().find(|(scope, _)| *scope == SCOPE).map(|(_, position)| *position);
        let from = behind.unwrap_or_else(|| Position::after(hello.cursor.seq));
        let mut news: Vec<(Position, &Version)> = self.rows.iter().map(|(id, row)| (position(*id, row), row)).collect();
        news.retain(|(at, row)| *at > from && (behind.is_some() || !self.is_own(row.seq)));
        news.sort_unstable_by_key(|(at, _)| *at);
        news.truncate(end.unwrap_or(usize::MAX));
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        for (at, version) in &news {
            match &version.text {
                Some(text) => rows.push(VersionedRow { seq: version.seq, row: row(at.row_id, text) }),
                None => gone.push((KIND.number(), at.row_id, GoneReason::Deleted)),
            }
        }
        let cursor = Cursor { epoch: Uuid::from_u128(5), seq: self.head, chain: ChainHash([3; 16]) };
        let reached = news.last().map_or(from, |(at, _)| *at);
        Page {
            rows: vec![Rows { kind: Some(KIND), rows, unknown: Vec::new() }],
            gone: if gone.is_empty() { Vec::new() } else { vec![Gone { rows: gone }] },
            checkpoint: Checkpoint {
                cursor: end.is_none().then_some(cursor),
                behind: if end.is_some() { vec![(SCOPE, reached)] } else { Vec::new() },
                rows_sent: 0,
                rows_expected: 0,
            },
        }
    }

    /// Whether the device wrote this version and it was taken as it is.
    fn is_own(&self, seq: u64) -> bool {
        self.received.values().flatten().any(|received| received.commit == Some((seq, true)))
    }

    /// Returns what a device shows that has everything: the rows with what was refused laid over them.
    pub(super) fn expected(&self) -> BTreeMap<Uuid, String> {
        self.expected_with(self.refused())
    }

    /// Returns what a device shows that has everything and lays these changes over it.
    pub(super) fn expected_with<'e>(&self, refused: impl Iterator<Item = &'e Edit>) -> BTreeMap<Uuid, String> {
        let mut shown: BTreeMap<Uuid, Option<String>> =
            self.rows.iter().map(|(id, version)| (*id, version.text.clone())).collect();
        for edit in refused {
            let text = shown.remove(&edit.row).flatten();
            shown.insert(edit.row, edit.laid_over(text));
        }
        shown.into_iter().filter_map(|(id, text)| text.map(|text| (id, text))).collect()
    }
}

/// Answers the numbers from `first` on.
fn answer(list: &[Received], first: u64) -> PushResult {
    let numbered = || list.iter().zip(1..).skip(first as usize - 1);
    let commits = numbered().filter_map(|(received, no)| {
        received.commit.map(|(seq, verbatim)| Commit { first_no: no, last_no: no, seq, verbatim })
    });
    let results = numbered().filter(|(received, _)| received.outcome != Outcome::Applied);
    PushResult {
        upto_no: list.len() as u64,
        upto_hash: list.iter().fold(ChainHash::START, |hash, received| hash.then(&received.bytes)),
        demand: None,
        commits: commits.collect(),
        results: results.map(|(received, no)| result(no, received.outcome)).collect(),
    }
}

fn result(no: u64, outcome: Outcome) -> MutationResult {
    let (rule, field, message) = (Some("I19".to_owned()), None, None);
    MutationResult { no, outcome, code: "CODE".to_owned(), rule, field, message, args: Vec::new() }
}

fn position(id: Uuid, version: &Version) -> Position {
    Position { seq: version.seq, kind: KIND.number(), row_id: id }
}
