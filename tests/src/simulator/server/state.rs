//! What the server of the simulator holds: rows and a commit-ordered log, by the rules of the triggers in Postgres.

use std::collections::{BTreeMap, BTreeSet};

use server::store::log::{Entry, Origin, Own};
use server::store::mutations::{MutationRecord, Outbox};
use server::store::row_history::{Committed, FieldChange, Grave, Released, told_by};
use sha2::{Digest as _, Sha256};
use sync_protocol::cursor::{Cursor, Fork, Position};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::ChainHash;
use sync_protocol::rows::GoneReason;
use sync_protocol::value::Value;
use uuid::Uuid;

mod epochs;
mod planted;

/// A row of a programme.
pub type Key = (Uuid, EntityKind, Uuid);
/// An outbox as a key: programme, device, incarnation.
pub type OutboxKey = (Uuid, Uuid, Uuid);

/// Whether a mutation has taken effect.
pub fn is_written(record: &MutationRecord) -> bool {
    matches!(record.outcome, 'A' | 'M' | 'C')
}

fn outbox_of((programme, device, incarnation): OutboxKey) -> Outbox {
    Outbox { programme, device, incarnation }
}

/// The whole state. A copy of it is a backup.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Live rows.
    pub rows: BTreeMap<Key, Row>,
    /// The head of each programme.
    pub heads: BTreeMap<Uuid, Cursor>,
    /// Where each row stands in the log, dead ones too.
    pub places: BTreeMap<Key, Place>,
    /// Every number and who committed it.
    pub seals: BTreeMap<(Uuid, u64), Seal>,
    /// What was changed after the creation, by row.
    pub changes: BTreeMap<Key, Vec<Change>>,
    /// Mutations with their results.
    pub mutations: BTreeMap<(OutboxKey, u64), Kept>,
    /// The last number and hash of each outbox.
    pub outboxes: BTreeMap<OutboxKey, (u64, ChainHash)>,
    /// The number of each push, by its outbox and first mutation.
    pushes: BTreeMap<(OutboxKey, u64), u64>,
    /// Rows that were deleted, as they were.
    pub graves: BTreeMap<Key, Grave>,
    /// When rows were deleted for the first time.
    first_deaths: BTreeMap<Key, u64>,
    /// What was held and then applied, by the commit that did.
    releases: BTreeMap<(Uuid, u64), Vec<(OutboxKey, u64)>>,
    /// The places by scope, for paging.
    index: BTreeMap<(Uuid, Uuid), BTreeSet<Position>>,
    /// Rows that left a scope.
    exits: BTreeMap<(Uuid, Uuid), BTreeSet<Position>>,
    /// Up to where deletions of a programme are no longer kept.
    floors: BTreeMap<Uuid, u64>,
    /// Where histories of a programme were left.
    forks: BTreeMap<Uuid, Vec<Fork>>,
    /// How often something unpredictable was drawn.
    draws: u64,
}

/// Where a row stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its last change.
    pub seq: u64,
    /// Its first one.
    pub created_seq: u64,
    /// Its scope.
    pub scope: Uuid,
    /// Whether it is a tombstone.
    pub is_deleted: bool,
}

/// Who committed a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seal {
    /// The fingerprint of the history up to it.
    pub chain: ChainHash,
    /// Who; nobody for an import.
    pub actor: Option<Uuid>,
    /// On which device.
    pub device: Option<Uuid>,
    /// Of which incarnation.
    pub incarnation: Option<Uuid>,
    /// The first and the last number of the push.
    pub numbers: Option<(u64, u64)>,
    /// Whether the device shows exactly these rows.
    pub is_verbatim: bool,
}

/// A change of a row that was there.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub seq: u64,
    /// The fields that changed, with their values before.
    pub old: BTreeMap<String, Value>,
}

/// A mutation as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The mutation with its result.
    pub record: MutationRecord,
    /// The commit that applied it, when it was not the one of its push.
    pub applied_seq: Option<u64>,
    /// How often it was kept: more than once is a mistake that Postgres would refuse.
    pub times: u32,
}

/// What a transaction does to one row.
#[derive(Clone, Debug)]
pub enum Touch {
    /// The row is there now, with this content.
    Put(EntityKind, Row),
    /// The row is gone.
    Delete(EntityKind, Uuid),
}

/// Returns the key of an outbox.
pub fn outbox_key(outbox: &Outbox) -> OutboxKey {
    (outbox.programme, outbox.device, outbox.incarnation)
}

/// What is said of a mutation that was held or refused and is about an erased row.
fn erased(no: u64) -> String {
    format!(r#"{{"no": {no}, "outcome": "rejected", "code": "REJECT_ERASED"}}"#)
}

impl State {
    /// Returns the number that the next commit of a programme takes.
    pub fn next_seq(&self, programme: Uuid) -> u64 {
        self.heads.get(&programme).map_or(1, |head| head.seq + 1)
    }

    /// Returns the head of a programme; an empty log has a nil epoch.
    pub fn head(&self, programme: Uuid) -> Cursor {
        self.heads.get(&programme).copied().unwrap_or_default()
    }

    /// Applies touched rows and gives them one number. Returns 0 when nothing changed.
    pub fn commit(&mut self, programme: Uuid, touches: Vec<Touch>, seal: Seal) -> u64 {
        let seq = self.next_seq(programme);
        let mut is_changed = false;
        for touch in touches {
            is_changed |= match touch {
                Touch::Put(kind, row) => self.put(programme, kind, row, seq),
                Touch::Delete(kind, id) => self.delete(programme, kind, id, seq),
            };
        }
        if !is_changed {
            return 0;
        }
        let head = self.head(programme);
        let epoch = if head.epoch.is_nil() { self.draw() } else { head.epoch };
        let chain = self.draw_chain(head.chain, seq);
        self.heads.insert(programme, Cursor { epoch, seq, chain });
        if let (Some(device), Some(incarnation), Some((first, _))) = (seal.device, seal.incarnation, seal.numbers) {
            self.pushes.insert(((programme, device, incarnation), first), seq);
        }
        self.seals.insert((programme, seq), Seal { chain, ..seal });
        let dug = self.graves.iter_mut().filter(|(key, grave)| key.0 == programme && grave.seq == seq);
        dug.for_each(|(_, grave)| grave.actor = seal.actor);
        seq
    }

    fn put(&mut self, programme: Uuid, kind: EntityKind, row: Row, seq: u64) -> bool {
        let key = (programme, kind, row.id);
        let scope = row.scope_id(kind.def(), programme);
        if let Some(before) = self.rows.get(&key) {
            let pairs = before.values.iter().zip(&row.values).zip(kind.def().fields);
            let changed = pairs.filter(|((a, b), _)| a != b).map(|((a, _), field)| (field.name.to_owned(), a.clone()));
            let old: BTreeMap<String, Value> = changed.collect();
            if old.is_empty() {
                return false;
            }
            self.changes.entry(key).or_default().push(Change { seq, old });
        }
        self.rows.insert(key, row);
        self.place(key, scope, seq, false);
        true
    }

    fn delete(&mut self, programme: Uuid, kind: EntityKind, id: Uuid, seq: u64) -> bool {
        let key = (programme, kind, id);
        let Some(row) = self.rows.remove(&key) else { return false };
        self.place(key, row.scope_id(kind.def(), programme), seq, true);
        self.graves.insert(key, Grave { row, seq, actor: None });
        self.first_deaths.entry(key).or_insert(seq);
        true
    }

    fn place(&mut self, key: Key, scope: Uuid, seq: u64, is_deleted: bool) {
        let (programme, kind, row_id) = key;
        let position = |seq| Position { seq, kind: kind.number(), row_id };
        let before = self.places.get(&key).copied();
        if let Some(before) = before {
            self.index.entry((programme, before.scope)).or_default().remove(&position(before.seq));
            if before.scope != scope {
                self.exits.entry((programme, before.scope)).or_default().insert(position(seq));
            }
        }
        self.index.entry((programme, scope)).or_default().insert(position(seq));
        let created_seq = before.map_or(seq, |before| before.created_seq);
        self.places.insert(key, Place { seq, created_seq, scope, is_deleted });
    }

    /// Returns up to where deletions of a programme are no longer kept.
    pub fn floor(&self, programme: Uuid) -> u64 {
        self.floors.get(&programme).copied().unwrap_or(0)
    }

    /// Forgets the deletions up to a number. Returns whether there were any: if not, nothing changes.
    pub fn prune(&mut self, programme: Uuid, upto: u64) -> bool {
        let Self { places, index, exits, .. } = self;
        let count = |exits: &BTreeMap<_, BTreeSet<Position>>| exits.values().map(BTreeSet::len).sum::<usize>();
        let before = (places.len(), count(exits));
        places.retain(|(of, kind, row_id), place| {
            let is_old = *of == programme && place.is_deleted && place.seq <= upto;
            if is_old {
                let position = Position { seq: place.seq, kind: kind.number(), row_id: *row_id };
                index.entry((programme, place.scope)).or_default().remove(&position);
            }
            !is_old
        });
        let of_programme = exits.iter_mut().filter(|((of, _), _)| *of == programme);
        of_programme.for_each(|(_, positions)| positions.retain(|position| position.seq > upto));
        if before == (places.len(), count(exits)) {
            return false;
        }
        let floor = self.floors.entry(programme).or_default();
        *floor = upto.max(*floor);
        true
    }

    /// Returns the entries of a scope after a position, without those that `own` shows already.
    pub fn entries(
        &self,
        programme: Uuid,
        (scope, after): (Uuid, Position),
        held: &[Uuid],
        own: Option<Own>,
    ) -> impl Iterator<Item = Entry> {
        use std::ops::Bound::{Excluded, Unbounded};
        let later = move |of: &BTreeMap<(Uuid, Uuid), BTreeSet<Position>>| -> Vec<Position> {
            let range = of.get(&(programme, scope)).map(|set| set.range((Excluded(after), Unbounded)).copied());
            range.into_iter().flatten().collect()
        };
        let key = move |p: &Position| Some((programme, EntityKind::from_number(p.kind)?, p.row_id));
        let place_of = move |p: &Position| key(p).and_then(|key| self.places.get(&key));
        let is_held =
            move |p: &Position| place_of(p).is_some_and(|place| held.contains(&place.scope) && !place.is_deleted);
        let origin_of = move |p: &Position| {
            place_of(p).map(|place| {
                let seal = self.seals.get(&(programme, place.created_seq));
                Origin { seq: place.created_seq, device: seal.and_then(|seal| seal.device) }
            })
        };
        let live = later(&self.index).into_iter().map(move |position| {
            let is_deleted = place_of(&position).is_some_and(|place| place.is_deleted);
            let (gone, origin) = match is_deleted {
                true => (Some(GoneReason::Deleted), origin_of(&position)),
                false => (None, None),
            };
            Entry { position, scope_id: scope, gone, origin }
        });
        let left = later(&self.exits).into_iter().filter(move |position| !is_held(position));
        let left = left.map(move |position| Entry {
            position,
            scope_id: scope,
            gone: Some(GoneReason::Left),
            origin: origin_of(&position),
        });
        live.chain(left).filter(move |entry| !self.is_shown_by(programme, entry.position.seq, own))
    }

    fn is_shown_by(&self, programme: Uuid, seq: u64, own: Option<Own>) -> bool {
        let Some(Own { device, incarnation, after_seq: since }) = own else { return false };
        let seal = self.seals.get(&(programme, seq));
        let outbox = (Some(device), Some(incarnation));
        seq > since && seal.is_some_and(|seal| (seal.device, seal.incarnation) == outbox && seal.is_verbatim)
    }

    /// Returns what happened to a row after a number, for a sender that knows `earlier` incarnations up to a number.
    pub fn changes_since(&self, key: Key, base: u64, earlier: &[(Uuid, u64)]) -> Vec<Committed> {
        let change = |seq: u64, old: BTreeMap<String, Value>| {
            let seal = self.seals.get(&(key.0, seq)).copied().unwrap_or_default();
            let (outbox, no) = self.sealed_by(key, &seal, earlier).unzip();
            let of_commit = FieldChange {
                row_id: key.2,
                seq,
                old,
                outbox: outbox.map(outbox_of),
                no: no.unwrap_or(0),
                actor: seal.actor,
                is_verbatim: seal.is_verbatim,
                names: self.names_in(key, &seal),
            };
            (of_commit, self.released_in(key, seq))
        };
        let is_brought_back = |seq: u64| self.first_deaths.get(&key).is_some_and(|died| *died <= seq);
        let created = self.places.get(&key).map(|place| place.created_seq);
        let created = created.filter(|seq| base == 0 || !is_brought_back(*seq)).map(|seq| (seq, BTreeMap::new()));
        let later = self.changes.get(&key).into_iter().flatten().map(|c| (c.seq, c.old.clone()));
        let mut all: Vec<_> = created.into_iter().chain(later).filter(|(seq, _)| *seq > base).collect();
        all.sort_by_key(|(seq, _)| *seq);
        all.into_iter().map(|(seq, old)| change(seq, old)).collect()
    }

    /// Returns the outbox of a commit with its last number; where `earlier` names only a part of them, the last one
    /// that touched the row.
    fn sealed_by(&self, key: Key, seal: &Seal, earlier: &[(Uuid, u64)]) -> Option<(OutboxKey, u64)> {
        let (device, incarnation, (first, last)) = (seal.device?, seal.incarnation?, seal.numbers?);
        let outbox = (key.0, device, incarnation);
        let is_cut = |upto: u64| (first..last).contains(&upto);
        if !earlier.iter().any(|(known, upto)| *known == incarnation && is_cut(*upto)) {
            return Some((outbox, last));
        }
        let kept = self.mutations.range((outbox, first)..=(outbox, last));
        let of_row = kept.filter(|(_, kept)| (kept.record.kind, kept.record.row_id) == (key.1.number(), key.2));
        Some((outbox, of_row.map(|((_, no), _)| *no).max().unwrap_or(last)))
    }

    /// Returns by which names the mutations of a commit changed a row: its own, or those of rows that were merged into it.
    fn names_in(&self, key: Key, seal: &Seal) -> Vec<Uuid> {
        let merged = self.merged_into(key.0, key.2);
        let outbox = seal.device.zip(seal.incarnation).filter(|_| !seal.is_verbatim && !merged.is_empty());
        let Some(((device, incarnation), (first, last))) = outbox.zip(seal.numbers) else { return vec![key.2] };
        let outbox = (key.0, device, incarnation);
        let sent = self.mutations.range((outbox, first)..=(outbox, last)).map(|(_, kept)| &kept.record);
        let named = sent.filter(|record| record.kind == key.1.number()).map(|record| record.row_id);
        let names: BTreeSet<Uuid> = named.filter(|name| *name == key.2 || merged.contains(name)).collect();
        if names.is_empty() { vec![key.2] } else { names.into_iter().collect() }
    }

    /// Returns the names of the rows that were merged into one.
    fn merged_into(&self, programme: Uuid, row: Uuid) -> Vec<Uuid> {
        let kind = EntityKind::MergeProposal;
        let proposals = self.rows.range((programme, kind, Uuid::nil())..=(programme, kind, Uuid::max()));
        let into = proposals.filter(|(_, known)| known.get(kind.def(), "survivor_id").as_uuid() == Some(row));
        into.filter_map(|(_, known)| known.get(kind.def(), "alias_id").as_uuid()).collect()
    }

    /// Returns what was held and then applied to a row by a commit.
    fn released_in(&self, key: Key, seq: u64) -> Vec<Released> {
        let commit = self.releases.get(&(key.0, seq)).into_iter().flatten();
        let kept = commit.filter_map(|of| self.mutations.get(of).map(|kept| (of, &kept.record)));
        let mut of_row: Vec<_> = kept.filter(|(_, record)| record.row_id == key.2 && is_written(record)).collect();
        of_row.sort_by_key(|(_, record)| (record.received_at, record.no));
        let released = |((outbox, no), record): (&(OutboxKey, u64), &MutationRecord)| {
            let payload = record.payload.as_deref();
            let (is_creation, values) = payload.map(|payload| told_by(key.1, payload)).unwrap_or_default();
            Released { outbox: outbox_of(*outbox), no: *no, author: record.author_id, is_creation, values }
        };
        of_row.into_iter().map(released).collect()
    }

    /// Notes that a commit applied a mutation that was held.
    pub fn release(&mut self, outbox: OutboxKey, no: u64, seq: u64) {
        self.releases.entry((outbox.0, seq)).or_default().push((outbox, no));
    }

    /// Forgets what rows said before, and what was sent about them.
    pub fn purge(&mut self, purged: &[Key]) {
        for key in purged {
            self.changes.remove(key);
            self.graves.remove(key);
            self.first_deaths.remove(key);
            let of_row = |record: &MutationRecord| (record.kind, record.row_id) == (key.1.number(), key.2);
            let kept =
                self.mutations.iter_mut().filter(|((outbox, _), kept)| outbox.0 == key.0 && of_row(&kept.record));
            for ((_, no), kept) in kept {
                kept.record.payload = None;
                kept.record.result = matches!(kept.record.outcome, 'H' | 'R').then(|| erased(*no));
                kept.record.outcome = if kept.record.outcome == 'H' { 'R' } else { kept.record.outcome };
            }
        }
    }

    /// Returns the seal of the push that a mutation came with.
    pub fn seal_of(&self, outbox: &OutboxKey, no: u64) -> Option<(u64, Seal)> {
        let (_, seq) = self.pushes.range((*outbox, 0)..=(*outbox, no)).next_back()?;
        let seal = self.seals.get(&(outbox.0, *seq))?;
        seal.numbers.is_some_and(|(_, last)| no <= last).then_some((*seq, *seal))
    }

    fn draw(&mut self) -> Uuid {
        self.draws += 1;
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.draws.to_be_bytes())
    }

    fn draw_chain(&mut self, before: ChainHash, seq: u64) -> ChainHash {
        let link = self.draw();
        let digest = Sha256::new().chain_update(before.0).chain_update(seq.to_be_bytes()).chain_update(link);
        let mut chain = ChainHash::START;
        let length = chain.0.len();
        chain.0.copy_from_slice(&digest.finalize()[..length]);
        chain
    }

    /// Takes over how much was drawn: a restored server must not draw the same again.
    pub fn draw_after(&mut self, other: &State) {
        self.draws = self.draws.max(other.draws);
    }
}
