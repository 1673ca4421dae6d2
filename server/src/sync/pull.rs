//! Sends a device what it lacks, page by page, each page out of one snapshot and resumable at its end.

use std::collections::{BTreeMap, HashMap};

use sync_protocol::cursor::{Position, scopes_hash};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::rows::{Gone, VersionedRow};
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use sync_protocol::wire::{Checkpoint, History, Message, Scopes, write_rows};
use uuid::Uuid;

use super::session::{Session, Stop};
use super::verify::{self, Asker};
use crate::domain::policy::{self, Action};
use crate::domain::viewer::Viewer;
use crate::store::log::{Entry, Origin, Own};
use crate::store::{LogSnapshot, SyncStore};

/// Returns the scopes that a viewer's device holds.
pub(super) fn scopes_of(viewer: &Viewer, now: Timestamp) -> Vec<Uuid> {
    let granted = viewer.grants_at(now).map(|grant| grant.scope_id);
    let mut scopes: Vec<Uuid> = [viewer.user_id, viewer.programme_id].into_iter().chain(granted).collect();
    let mut seen = std::collections::HashSet::new();
    scopes.retain(|scope| seen.insert(*scope));
    scopes
}

/// Where the device stands in each of its scopes, its own and the programme's first.
struct Lanes {
    positions: Vec<(Uuid, Position)>,
    /// How many at the front are behind the others and catch up one by one.
    behind: usize,
}

/// Sends everything after the device's positions. Returns whether the device should come back at once.
pub(super) async fn pull<S: SyncStore>(
    session: &mut Session<S>,
    snapshot: S::Snapshot,
    viewer: &Viewer,
    history: History,
) -> Result<bool, Stop> {
    let now = session.desk.world.now();
    let scopes = scopes_of(viewer, now);
    let is_fresh = session.hello.scope_count == 0 || history == History::Other;
    if is_fresh || session.hello.scopes_hash != scopes_hash(&scopes) {
        session.say(&Message::Scopes(Scopes { scopes: scopes.clone() }));
        if !is_fresh {
            // The device works out what it lacks and asks again.
            return Ok(true);
        }
    }
    let lanes = Lanes::new(session, &scopes, is_fresh);
    let page_rows = session.desk.page_rows;
    let floor = snapshot.bounds().floor_seq;
    let (rows_sent, rows_expected, download) = (0, 0, None);
    let mut sending =
        Sending { session, viewer, now, scopes, lanes, page_rows, floor, download, rows_sent, rows_expected };
    let mut snapshot = sending.expect(snapshot).await?;
    while sending.lanes.behind > 0 {
        if sending.is_overtaken(&snapshot) {
            return Ok(true);
        }
        snapshot = sending.catch_up(snapshot).await?;
    }
    sending.finish(snapshot).await
}

impl Lanes {
    fn new<S>(session: &Session<S>, scopes: &[Uuid], is_fresh: bool) -> Self {
        if is_fresh {
            let positions = scopes.iter().map(|scope| (*scope, Position::default())).collect();
            return Self { positions, behind: scopes.len() };
        }
        let hello = &session.hello;
        let common = Position::after(hello.cursor.seq);
        let given: HashMap<Uuid, Position> = hello.behind.iter().copied().collect();
        let mut behind: Vec<(Uuid, Position)> =
            scopes.iter().filter_map(|scope| Some((*scope, *given.get(scope)?))).collect();
        let count = behind.len();
        behind.extend(scopes.iter().filter(|scope| !given.contains_key(scope)).map(|scope| (*scope, common)));
        Self { positions: behind, behind: count }
    }
}

/// The download of a scope, as far as it happens in this request.
#[derive(Clone, Copy)]
struct Download {
    /// Where the device had come to before: 0 for one that begins.
    from: u64,
    /// The head when it went on.
    head: u64,
}

impl Download {
    /// Whether the device may have the row of an entry, and so has to hear that it is gone. It has none that came into
    /// being behind its place and was gone before it asked, unless it made it itself.
    fn tells(&self, entry: &Entry, device: Uuid) -> bool {
        let is_unheard = |origin: Origin| origin.seq > self.from && origin.device != Some(device);
        entry.gone.is_none() || entry.position.seq > self.head || !entry.origin.is_some_and(is_unheard)
    }
}

/// A pull under way.
struct Sending<'s, S> {
    session: &'s mut Session<S>,
    viewer: &'s Viewer,
    now: Timestamp,
    scopes: Vec<Uuid>,
    lanes: Lanes,
    page_rows: usize,
    /// The floor when the pull began.
    floor: u64,
    /// The download of the first scope that is behind.
    download: Option<Download>,
    rows_sent: u64,
    rows_expected: u64,
}

impl<S: SyncStore> Sending<'_, S> {
    /// Counts what will be sent, for a progress bar; only where there is enough for one.
    async fn expect(&mut self, mut snapshot: S::Snapshot) -> Result<S::Snapshot, Stop> {
        if self.lanes.behind > 0 {
            self.rows_expected = snapshot.count(&self.lanes.positions[..self.lanes.behind]).await?;
        }
        Ok(snapshot)
    }

    /// Sends one page of the first scope that is behind.
    async fn catch_up(&mut self, mut snapshot: S::Snapshot) -> Result<S::Snapshot, Stop> {
        let lane = self.lanes.positions[0];
        let head = snapshot.head().seq;
        let download = *self.download.get_or_insert(Download { from: lane.1.seq, head });
        let entries = snapshot.entries(&[lane], &self.scopes, None, self.page_rows).await?;
        let device = self.session.hello.device.0;
        let told: Vec<Entry> = entries.iter().filter(|entry| download.tells(entry, device)).copied().collect();
        self.write(&mut snapshot, &told).await?;
        let is_last = entries.len() < self.page_rows;
        if is_last {
            // Done up to this snapshot: it goes to the end of the queue, with the scopes that are not behind.
            self.lanes.behind -= 1;
            self.download = None;
            let scope = self.lanes.positions.remove(0).0;
            self.lanes.positions.push((scope, Position::after(head)));
        } else if let Some(last) = entries.last() {
            self.lanes.positions[0].1 = last.position;
        }
        if entries.is_empty() { Ok(snapshot) } else { self.checkpoint(snapshot).await }
    }

    /// Whether the floor was raised above the device meanwhile: of a later page deletions may be missing.
    fn is_overtaken(&self, snapshot: &S::Snapshot) -> bool {
        let floor = snapshot.bounds().floor_seq;
        let is_below = |(_, position): &(Uuid, Position)| (1..floor).contains(&position.seq);
        floor > self.floor && self.lanes.positions.iter().any(is_below)
    }

    /// Sends what happened in all scopes, until one snapshot holds nothing more. Returns whether the device should come
    /// back at once.
    async fn finish(&mut self, mut snapshot: S::Snapshot) -> Result<bool, Stop> {
        let hello = &self.session.hello;
        let own = Own { device: hello.device.0, incarnation: hello.incarnation, after_seq: hello.cursor.seq };
        loop {
            if self.is_overtaken(&snapshot) {
                return Ok(true);
            }
            let entries = snapshot.entries(&self.lanes.positions, &self.scopes, Some(own), self.page_rows).await?;
            self.write(&mut snapshot, &entries).await?;
            let Some(last) = entries.last().filter(|_| entries.len() == self.page_rows) else { break };
            for (_, position) in &mut self.lanes.positions {
                *position = last.position.max(*position);
            }
            snapshot = self.checkpoint(snapshot).await?;
        }
        self.send_wanted(&mut snapshot).await?;
        let answers = self.checked(&mut snapshot).await?;
        let cursor = Some(snapshot.head());
        snapshot.close().await?;
        let (rows_sent, rows_expected) = (self.rows_sent, self.rows_expected);
        self.session.say(&Message::Checkpoint(Checkpoint { cursor, behind: Vec::new(), rows_sent, rows_expected }));
        answers.iter().for_each(|answer| self.session.say(answer));
        self.note_checks();
        Ok(false)
    }

    /// Lets the office see that the device compares what it holds, and where that differed without a reason.
    fn note_checks(&mut self) {
        let faults = self.session.checks.sums.iter().filter(|sums| !sums.is_expected).count() as u32;
        let asks = self.session.hello.verify_kinds > 0;
        if asks || faults > 0 {
            let at = asks.then_some(self.now);
            self.session.note_contact(|contact| contact.compared(at, faults));
        }
    }

    /// Sends the rows that the device asked for one by one.
    async fn send_wanted(&mut self, snapshot: &mut S::Snapshot) -> Result<(), Stop> {
        let wanted = std::mem::take(&mut self.session.checks.wanted);
        if wanted.is_empty() {
            return Ok(());
        }
        let found = verify::standing(snapshot, &self.asker(&|kind, scope| self.may_read(kind, scope)), &wanted).await?;
        let mut kinds: BTreeMap<EntityKind, Vec<(Uuid, u64)>> = BTreeMap::new();
        for version in found {
            let Some(kind) = EntityKind::from_number(version.kind) else { continue };
            kinds.entry(kind).or_default().push((version.row_id, version.seq));
        }
        for (kind, list) in kinds {
            self.write_rows(snapshot, kind, &list).await?;
        }
        Ok(())
    }

    /// Returns what to say to the device's checks, of the snapshot that the last checkpoint tells.
    async fn checked(&self, snapshot: &mut S::Snapshot) -> Result<Vec<Message>, Stop> {
        let may_read = |kind, scope| self.may_read(kind, scope);
        let asker = self.asker(&may_read);
        let verification = &self.session.desk.verification;
        let mut answers = Vec::new();
        for sums in &self.session.checks.sums {
            answers.push(verify::listing(verification, snapshot, &asker, sums).await?);
        }
        let kinds = self.session.hello.verify_kinds;
        if kinds > 0 {
            answers.push(verify::digests(verification, snapshot, &asker, kinds).await?);
        }
        Ok(answers)
    }

    fn asker<'a>(&'a self, may_read: &'a (dyn Fn(EntityKind, Uuid) -> bool + Sync)) -> Asker<'a> {
        Asker { device: self.session.hello.device.0, scopes: &self.scopes, may_read }
    }

    /// Says where the device stands now, so that it can go on from here, and sends the page. The next one comes out
    /// of a new snapshot: none is held while a slow device receives.
    async fn checkpoint(&mut self, snapshot: S::Snapshot) -> Result<S::Snapshot, Stop> {
        snapshot.close().await?;
        let checkpoint = Checkpoint {
            cursor: None,
            behind: self.lanes.positions.clone(),
            rows_sent: self.rows_sent,
            rows_expected: self.rows_expected,
        };
        self.session.say(&Message::Checkpoint(checkpoint));
        self.session.flush().await?;
        self.session.check_open().await?;
        Ok(self.session.desk.store.snapshot(self.session.caller.programme).await?)
    }

    /// Writes a page: rows by kind, then what is gone.
    async fn write(&mut self, snapshot: &mut S::Snapshot, entries: &[Entry]) -> Result<(), Stop> {
        let mut kinds: Vec<(EntityKind, Vec<(Uuid, u64)>)> = Vec::new();
        let mut gone = Gone { rows: Vec::new() };
        for entry in entries {
            let Position { seq, kind, row_id } = entry.position;
            match (entry.gone, EntityKind::from_number(kind)) {
                (Some(reason), _) => gone.rows.push((kind, row_id, reason)),
                (None, Some(kind)) if self.may_read(kind, entry.scope_id) => {
                    match kinds.iter_mut().find(|(known, _)| *known == kind) {
                        Some((_, list)) => list.push((row_id, seq)),
                        None => kinds.push((kind, vec![(row_id, seq)])),
                    }
                }
                (None, _) => {}
            }
        }
        if !gone.rows.is_empty() {
            self.session.say(&Message::Gone(gone));
        }
        for (kind, list) in kinds {
            self.write_rows(snapshot, kind, &list).await?;
        }
        Ok(())
    }

    async fn write_rows(
        &mut self,
        snapshot: &mut S::Snapshot,
        kind: EntityKind,
        list: &[(Uuid, u64)],
    ) -> Result<(), Stop> {
        let mut rows = snapshot.rows(kind, list).await?;
        self.mask(kind, &mut rows);
        self.rows_sent += rows.len() as u64;
        write_rows(&mut self.session.out, kind, &rows);
        Ok(())
    }

    fn may_read(&self, kind: EntityKind, scope: Uuid) -> bool {
        policy::decide(self.viewer, Action::Read, kind, scope, self.now).is_allowed()
    }

    /// Blanks the fields that the person may not read, special categories above all.
    fn mask(&self, kind: EntityKind, rows: &mut [VersionedRow]) {
        let fields = kind.def().fields.iter().enumerate();
        let masked: Vec<usize> = fields
            .filter(|(_, field)| field.special || !policy::may_read_field(self.viewer, kind, field))
            .map(|(at, _)| at)
            .collect();
        for row in rows.iter_mut() {
            for at in &masked {
                row.row.values[*at] = Value::Null;
            }
            if kind == EntityKind::Conflict && !self.may_read_conflict(&row.row) {
                Self::blank(kind, &mut row.row, &["kept_value", "other_value"]);
            }
        }
    }

    /// Whether the person may read the field that a conflict row keeps two values of.
    fn may_read_conflict(&self, row: &Row) -> bool {
        let def = EntityKind::Conflict.def();
        let text = |name| row.get(def, name).as_text().unwrap_or_default();
        let (kind, field) = (text("subject_kind"), text("field"));
        let is_special =
            EntityKind::from_name(kind).and_then(|kind| kind.def().field(field)).is_some_and(|field| field.special);
        !is_special && policy::may_read_conflicting(self.viewer, kind, field)
    }

    fn blank(kind: EntityKind, row: &mut Row, fields: &[&str]) {
        for at in fields.iter().filter_map(|name| kind.def().position(name)) {
            row.values[at] = Value::Null;
        }
    }
}
