//! What is pushed: parts of the outbox as they go over the wire.

use sync_protocol::cursor::Cursor;
use sync_protocol::mutation::ChainHash;
use sync_protocol::wire::{Message, Push};
use uuid::Uuid;

use super::Store;
use super::outbox::{self, Outbox};
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
/// the device needs to prepare it, so that the next request is ready when it is wanted.
const GROWTH: usize = 2;
/// The most bytes of the changes of one request. A slow network gets less.
pub(crate) const REQUEST_BYTES: usize = 4 << 20;

/// A change on its way into a push frame.
struct Outgoing {
    group: Option<i64>,
    hash: ChainHash,
    payload: Vec<u8>,
}

impl Store {
    /// Returns what to push in one request: frames of at most 2,000 changes or 1 MiB, 5,000 changes or 4 MiB in all.
    /// A group is never cut, so that the server can apply it whole.
    pub fn pushes(&self) -> Result<Vec<Push>> {
        let mut inner = self.lock();
        let after = inner.outbox.asks()?;
        let share = Share { mutations: REQUEST_MUTATIONS, bytes: REQUEST_BYTES };
        pushes_after(&inner.outbox, after, &share)
    }

    /// Returns the bytes of what to push in the next request, of about `budget_bytes` before compression: `ready`
    /// ones when they still are what comes next. Without them it is half a frame, so that the server begins while the
    /// device prepares the rest.
    pub fn push_bytes(&self, ready: Option<PushBytes>, budget_bytes: usize) -> Result<PushBytes> {
        let mut inner = self.lock();
        let (after, outbox) = (inner.outbox.asks()?, &inner.outbox);
        match ready {
            Some(ready) if (ready.incarnation, ready.after) == (outbox.incarnation, after) => Ok(ready),
            _ => PushBytes::after(outbox, after, &Share { mutations: FIRST_MUTATIONS, bytes: budget_bytes }),
        }
    }

    /// Makes the bytes of what comes after a request that is under way, `None` when nothing does. Nothing that was
    /// recorded changes, so that they hold unless the numbering does.
    pub fn push_bytes_after(&self, request: &PushBytes, budget_bytes: usize) -> Result<Option<PushBytes>> {
        let mutations = ((request.upto - request.after) as usize * GROWTH).clamp(FIRST_MUTATIONS, REQUEST_MUTATIONS);
        let mut made = PushBytes { after: request.upto, frames: Vec::new(), ..*request };
        let mut left = Share { mutations, bytes: budget_bytes };
        // The store is free while a frame is packed: what the server answers meanwhile does not wait for the next one.
        while !left.is_spent() {
            let Some(push) = self.push_after(&made, &left)? else { break };
            left.spend(&push);
            made.add(push);
        }
        Ok((made.upto > made.after).then_some(made))
    }

    /// Returns whether what was made may be sent after a request that is not answered yet.
    pub fn goes_on(&self, made: &PushBytes) -> bool {
        made.goes_on(&self.lock().outbox)
    }

    /// Returns whether more waits after what was made, and is certain to be sent next.
    pub fn has_more(&self, made: &PushBytes) -> bool {
        let outbox = &self.lock().outbox;
        made.upto > made.after && made.goes_on(outbox) && made.upto < outbox.last
    }

    /// Returns whether a request that began at a place would begin there now.
    pub fn stands_at(&self, place: &Place) -> Result<bool> {
        self.read(|inner| {
            let (outbox, cursor) = (&inner.outbox, inner.cursor()?);
            let now = Place { incarnation: outbox.incarnation, after: outbox.push_after()?, cursor };
            Ok(outbox.seek.is_none() && now == *place)
        })
    }

    /// Returns what comes after what was made, as one frame; `None` when nothing does, or the numbers are others now.
    fn push_after(&self, made: &PushBytes, left: &Share) -> Result<Option<Push>> {
        let inner = self.lock();
        if made.incarnation != inner.outbox.incarnation {
            return Ok(None);
        }
        let share = Share { mutations: left.mutations.min(PUSH_MUTATIONS), bytes: left.bytes.min(PUSH_BYTES) };
        Ok(pushes_after(&inner.outbox, made.upto, &share)?.into_iter().next())
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

/// Where a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    incarnation: Uuid,
    /// The position before the first change.
    after: u64,
    /// How far the device said that it has everything.
    cursor: Cursor,
}

impl PushBytes {
    /// Returns where a request with these changes begins, of a device that has everything up to `cursor`.
    pub fn place(&self, cursor: Cursor) -> Place {
        Place { incarnation: self.incarnation, after: self.after, cursor }
    }

    fn goes_on(&self, outbox: &Outbox) -> bool {
        self.incarnation == outbox.incarnation && outbox.seek.is_none()
    }

    fn after(outbox: &Outbox, after: u64, share: &Share) -> Result<Self> {
        let mut made = Self { incarnation: outbox.incarnation, after, upto: after, frames: Vec::new() };
        pushes_after(outbox, after, share)?.into_iter().for_each(|push| made.add(push));
        Ok(made)
    }

    fn add(&mut self, push: Push) {
        self.upto += push.mutations.len() as u64;
        Message::Push(push).write(&mut self.frames);
    }
}

/// About how much of the outbox a request takes; a group is never cut.
struct Share {
    mutations: usize,
    /// Before compression.
    bytes: usize,
}

impl Share {
    fn is_spent(&self) -> bool {
        self.mutations == 0 || self.bytes == 0
    }

    fn spend(&mut self, push: &Push) {
        self.mutations = self.mutations.saturating_sub(push.mutations.len());
        self.bytes = self.bytes.saturating_sub(push.mutations.iter().map(Vec::len).sum());
    }
}

fn pushes_after(outbox: &Outbox, after: u64, share: &Share) -> Result<Vec<Push>> {
    let Some(mut prev_hash) = outbox.hash_before(after + 1)? else { return Ok(Vec::new()) };
    let mut rest = outgoing(outbox, after, share.mutations)?;
    let mut first_no = outbox.number(after) + 1;
    let mut pushes = Vec::new();
    let mut left = Share { ..*share };
    while !rest.is_empty() && !left.is_spent() {
        let more = rest.split_off(frame_length(&rest, left.bytes.min(PUSH_BYTES)));
        let last_hash = rest.last().map_or(prev_hash, |change| change.hash);
        let push = Push { first_no, prev_hash, mutations: rest.into_iter().map(|change| change.payload).collect() };
        left.spend(&push);
        (first_no, prev_hash) = (first_no + push.mutations.len() as u64, last_hash);
        pushes.push(push);
        rest = more;
    }
    Ok(pushes)
}

/// Reads what a request holds, and the rest of the last group, which is never cut.
fn outgoing(outbox: &Outbox, after: u64, limit: usize) -> Result<Vec<Outgoing>> {
    const SQL: &str =
        "SELECT group_no, hash, payload FROM change WHERE position > ?1 AND position <= ?2 ORDER BY position";
    let is_answered = outbox.seek.is_some() || after < outbox.acked;
    let upto = if is_answered { outbox.provable_upto(after)? } else { outbox.last };
    let mut statement = outbox.conn.prepare_cached(SQL).doing("read the outbox")?;
    let mut rows = statement.query([after as i64, upto as i64]).doing("read the outbox")?;
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
