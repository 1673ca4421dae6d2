//! What a sync session needs from the store: where the device stands, and what is to be pushed.

use sync_protocol::cursor::{Cursor, scopes_hash};
use sync_protocol::id::DeviceId;
use sync_protocol::mutation::ChainHash;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Hello, Message, OutboxSummary, PROTOCOL, Push};
use uuid::Uuid;

use super::Store;
use super::archive::DAY_MS;
use super::change::ChangeState;
use super::outbox::{self, Outbox};
use super::verify::KINDS;
use crate::error::{Doing as _, Result};

/// The most mutations of one push frame, which the server takes in one transaction.
const PUSH_MUTATIONS: usize = 2_000;
/// The mutations of a first request: so that the server begins while the device prepares the rest.
const FIRST_MUTATIONS: usize = 1_000;
/// The most bytes of the changes of one push frame. The server takes frames of 1 MiB, which hold a few bytes more
/// for each change.
const PUSH_BYTES: usize = (1 << 20) - (16 << 10);
/// The most mutations of one request.
const REQUEST_MUTATIONS: usize = 5_000;
/// How many times as many mutations a request holds as the one before it. The server takes longer over a change than
/// the device needs to prepare it, so that the next request is ready soon after it is wanted; between two requests
/// the server rests for longer than it takes over five hundred changes.
const GROWTH: usize = 4;
/// The most bytes of the changes of one request. A slow network gets less.
pub(crate) const REQUEST_BYTES: usize = 4 << 20;

/// Where the device stands, as the sync machine needs to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncView {
    /// The newest number recorded.
    pub last_no: u64,
    /// The number up to which the server has everything.
    pub acked_no: u64,
    /// The chain at that number.
    pub acked_hash: ChainHash,
    /// Whether it is being looked for where the server's changes and ours part: then answered ones are sent again.
    pub is_seeking: bool,
    /// The cursor.
    pub cursor: Cursor,
    /// Whether there are tokens.
    pub is_signed_in: bool,
    /// Whether rows differ from the server's, and it is being put right.
    pub is_repairing: bool,
    /// The server's time at which the end of a day was noted last.
    pub day_ms: i64,
}

impl SyncView {
    /// Returns whether the server's time is to be noted: a day has passed, or its clock was set back.
    pub fn is_another_day(&self, server_ms: i64) -> bool {
        !(self.day_ms..self.day_ms + DAY_MS).contains(&server_ms)
    }
}

/// A change on its way into a push frame.
struct Outgoing {
    group: Option<i64>,
    hash: ChainHash,
    payload: Vec<u8>,
}

impl Store {
    /// Returns where the device stands.
    pub fn sync_view(&self) -> Result<SyncView> {
        let is_signed_in = self.tokens()?.is_some();
        self.read(|inner| {
            Ok(SyncView {
                last_no: inner.outbox.number(inner.outbox.last),
                acked_no: inner.outbox.number(inner.outbox.acked),
                acked_hash: inner.outbox.hash_at(inner.outbox.acked)?.unwrap_or_default(),
                is_seeking: inner.outbox.seek.is_some(),
                cursor: inner.cursor()?,
                is_signed_in,
                is_repairing: inner.is_repairing()?,
                day_ms: inner.outbox.day_ms()?,
            })
        })
    }

    /// Returns the first message of a request.
    pub fn hello(&self, app: &str, wait_ms: u32) -> Result<Hello> {
        let now = self.world().now();
        // The place that is told must be kept. What was recorded is safe in the outbox, and the cache, which may owe
        // thousands of rows to its file, writes them while the server works.
        self.drain(|inner| inner.cache.keep_pages())?;
        let uptime_ms = self.world().uptime_ms();
        self.read(|inner| {
            let scopes = inner.scopes()?;
            let outbox = inner.outbox.summary(now)?;
            Ok(Hello {
                protocol: PROTOCOL,
                app: app.to_owned(),
                device: DeviceId(inner.outbox.device),
                incarnation: inner.outbox.incarnation,
                cursor: inner.cursor()?,
                scopes_hash: scopes_hash(&scopes),
                scope_count: scopes.len() as u32,
                behind: inner.behind()?,
                outbox,
                wall_clock: now,
                wait_ms,
                verify_kinds: if inner.is_verification_due(now.0)? { KINDS } else { 0 },
                uptime_ms: (outbox.pending > 0).then_some(uptime_ms),
            })
        })
    }

    /// Returns what to push in one request: frames of at most 2,000 changes or 1 MiB, 5,000 changes or 4 MiB in all.
    /// A group is never cut, so that the server can apply it whole.
    pub fn pushes(&self) -> Result<Vec<Push>> {
        let mut inner = self.lock();
        inner.outbox.asks();
        let share = Share { mutations: REQUEST_MUTATIONS, bytes: REQUEST_BYTES };
        pushes_after(&inner.outbox, inner.outbox.push_after(), &share)
    }

    /// Returns the bytes of what to push in the next request, of about `budget_bytes` before compression: `ready`
    /// ones when they still are what comes next. Without them it is half a frame, so that the server begins while the
    /// device prepares the rest.
    pub fn push_bytes(&self, ready: Option<PushBytes>, budget_bytes: usize) -> Result<PushBytes> {
        let mut inner = self.lock();
        inner.outbox.asks();
        let (outbox, after) = (&inner.outbox, inner.outbox.push_after());
        match ready {
            Some(ready) if (ready.incarnation, ready.after) == (outbox.incarnation, after) => Ok(ready),
            _ => PushBytes::after(outbox, after, &Share { mutations: FIRST_MUTATIONS, bytes: budget_bytes }),
        }
    }

    /// Makes the bytes of what comes after a request that is under way, `None` when nothing does. Nothing that was
    /// recorded changes, so that they hold unless the numbering does.
    pub fn push_bytes_after(&self, request: &PushBytes, budget_bytes: usize) -> Result<Option<PushBytes>> {
        let inner = self.lock();
        let outbox = &inner.outbox;
        let is_more = request.incarnation == outbox.incarnation && request.upto < outbox.last;
        let mutations = ((request.upto - request.after) as usize * GROWTH).clamp(FIRST_MUTATIONS, REQUEST_MUTATIONS);
        let share = Share { mutations, bytes: budget_bytes };
        is_more.then(|| PushBytes::after(outbox, request.upto, &share)).transpose()
    }
}

impl Outbox {
    /// Returns what the device tells of its outbox.
    fn summary(&self, now: Timestamp) -> Result<OutboxSummary> {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let salvaged = self.salvaged()?;
        Ok(OutboxSummary {
            pending: small(self.last - self.acked),
            rejected: small(self.count(ChangeState::Rejected)?),
            oldest_ms: self.oldest_pending_ms()?.map_or(0, |at| (now.0 - at).max(0) as u64),
            salvaged: small(salvaged.saved),
            lost: small(salvaged.lost),
        })
    }
}

/// What a request pushes, as it goes over the wire.
#[derive(Debug)]
pub struct PushBytes {
    incarnation: Uuid,
    /// The position before the first change.
    after: u64,
    /// The position of the last change.
    upto: u64,
    /// The frames.
    pub frames: Vec<u8>,
}

impl PushBytes {
    fn after(outbox: &Outbox, after: u64, share: &Share) -> Result<Self> {
        let pushes = pushes_after(outbox, after, share)?;
        let count: usize = pushes.iter().map(|push| push.mutations.len()).sum();
        let mut frames = Vec::new();
        pushes.into_iter().for_each(|push| Message::Push(push).write(&mut frames));
        Ok(Self { incarnation: outbox.incarnation, after, upto: after + count as u64, frames })
    }
}

/// About how much of the outbox a request takes; a group is never cut.
struct Share {
    mutations: usize,
    /// Before compression.
    bytes: usize,
}

fn pushes_after(outbox: &Outbox, after: u64, share: &Share) -> Result<Vec<Push>> {
    let Some(mut prev_hash) = outbox.hash_before(after + 1)? else { return Ok(Vec::new()) };
    let mut rest = outgoing(outbox, after, share.mutations)?;
    let mut first_no = outbox.number(after) + 1;
    let mut pushes = Vec::new();
    let (mut left, mut left_bytes) = (share.mutations, share.bytes);
    while !rest.is_empty() && left > 0 && left_bytes > 0 {
        let more = rest.split_off(frame_length(&rest, left_bytes.min(PUSH_BYTES)));
        let last_hash = rest.last().map_or(prev_hash, |change| change.hash);
        let mutations: Vec<Vec<u8>> = rest.into_iter().map(|change| change.payload).collect();
        let count = mutations.len();
        pushes.push(Push { first_no, prev_hash, mutations });
        (first_no, prev_hash) = (first_no + count as u64, last_hash);
        left = left.saturating_sub(count);
        left_bytes =
            left_bytes.saturating_sub(pushes.last().map_or(0, |push| push.mutations.iter().map(Vec::len).sum()));
        rest = more;
    }
    Ok(pushes)
}

/// Reads what a request holds, and the rest of the last group, which is never cut.
fn outgoing(outbox: &Outbox, after: u64, limit: usize) -> Result<Vec<Outgoing>> {
    const SQL: &str = "SELECT group_no, hash, payload FROM change WHERE position > ?1 ORDER BY position";
    let mut statement = outbox.conn.prepare_cached(SQL).doing("read the outbox")?;
    let mut rows = statement.query([after as i64]).doing("read the outbox")?;
    let mut changes: Vec<Outgoing> = Vec::new();
    while let Some(row) = rows.next().doing("read the outbox")? {
        let group: Option<i64> = row.get(0).doing("read the outbox")?;
        let is_of_last_group = group.is_some() && changes.last().is_some_and(|last| last.group == group);
        if changes.len() >= limit && !is_of_last_group {
            break;
        }
        changes.push(outgoing_of(group, row).doing("read the outbox")?);
    }
    Ok(changes)
}

fn outgoing_of(group: Option<i64>, row: &rusqlite::Row<'_>) -> rusqlite::Result<Outgoing> {
    Ok(Outgoing { group, hash: outbox::hash_of(row.get_ref(1)?)?, payload: row.get(2)? })
}

/// Returns how many changes go into the next frame. A group or change larger than a frame gets a frame of its own.
fn frame_length(changes: &[Outgoing], limit_bytes: usize) -> usize {
    let mut bytes = 0;
    let fits = changes.iter().take(PUSH_MUTATIONS).take_while(|change| {
        bytes += change.payload.len();
        bytes <= limit_bytes
    });
    let length = fits.count().max(1);
    let cuts_group =
        |at: usize| changes.get(at).is_some_and(|next| next.group.is_some() && next.group == changes[at - 1].group);
    let whole = (1..=length).rev().find(|at| !cuts_group(*at));
    whole.unwrap_or_else(|| (length..changes.len()).find(|at| !cuts_group(*at)).unwrap_or(changes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(groups: &[Option<i64>]) -> Vec<Outgoing> {
        let change = |group: &Option<i64>| Outgoing { group: *group, hash: ChainHash::START, payload: vec![0; 10] };
        groups.iter().map(change).collect()
    }

    #[test]
    fn a_frame_ends_at_its_limits_and_never_inside_a_group() {
        assert_eq!(frame_length(&changes(&[None; 2_200]), PUSH_BYTES), 2_000);
        let mut groups = vec![None; 1_998];
        groups.extend([Some(1); 5]);
        assert_eq!(frame_length(&changes(&groups), PUSH_BYTES), 1_998);
        assert_eq!(frame_length(&changes(&[Some(1); 2_100]), PUSH_BYTES), 2_100);
        let large = (0..3).map(|_| Outgoing { group: None, hash: ChainHash::START, payload: vec![0; 600_000] });
        assert_eq!(frame_length(&large.collect::<Vec<_>>(), PUSH_BYTES), 1);
    }
}
