//! What is laid over the server's rows: the changes of each row that the server has not settled. In memory,
//! loaded from the outbox at open.

use std::collections::{BTreeMap, HashMap};

use sync_protocol::mutation::{Mutation, Op};
use uuid::Uuid;

use super::change::ChangeState;
use super::outbox::{Outbox, RowKey};
use crate::error::Result;

/// One change of a row.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) position: u64,
    pub(super) state: ChangeState,
    /// For an accepted change: the version of the row that has it.
    pub(super) seq: u64,
    pub(super) op: Op,
    /// The version of the row that the person had seen.
    pub(super) base_seq: u64,
    /// The version that the person had seen of each field that it touches.
    bases: Vec<(usize, u64)>,
    /// The fields that it sets.
    fields: Vec<usize>,
    /// Those of them that a later change of this device has set to something else, which the server has: an older
    /// change that was refused or is held must not hide it.
    overruled: Vec<usize>,
}

impl Layer {
    /// Returns whether the change created the row.
    pub(super) fn is_creation(&self) -> bool {
        self.op == Op::Put
    }

    /// Returns whether the server refused the change.
    pub(super) fn is_rejected(&self) -> bool {
        self.state == ChangeState::Rejected
    }

    /// Returns whether a field that the change set is still to be shown so.
    fn is_shown(&self, at: usize) -> bool {
        !self.overruled.contains(&at)
    }

    /// Returns the fields that are still to be shown as the change set them.
    pub(super) fn shown_fields(&self) -> impl Iterator<Item = usize> {
        self.fields.iter().copied().filter(|at| self.is_shown(*at))
    }

    /// Returns what is still to be shown of the change.
    pub(super) fn shown(&self, mut mutation: Mutation) -> Mutation {
        mutation.patch.retain(|(at, _)| self.is_shown(*at));
        mutation
    }
}

/// The changes of every row that has any.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    rows: HashMap<RowKey, Vec<Layer>>,
    by_position: BTreeMap<u64, RowKey>,
}

impl Overlay {
    /// Reads the overlay from the outbox.
    pub(super) fn load(outbox: &Outbox) -> Result<Self> {
        let mut overlay = Self::default();
        for head in outbox.open_heads()? {
            if head.state.is_laid_over() {
                overlay.push(head.position, head.state, head.seq, &outbox.mutation(head.position)?);
            }
        }
        overlay.load_overruled(outbox)?;
        Ok(overlay)
    }

    /// Lays a change over its row.
    pub(super) fn push(&mut self, position: u64, state: ChangeState, seq: u64, mutation: &Mutation) {
        let bases = match mutation.op {
            Op::Patch => mutation.patch.iter().map(|(at, _)| (*at, mutation.base_of(*at))).collect(),
            Op::Put | Op::Delete => Vec::new(),
        };
        let key = (mutation.kind, mutation.row_id);
        let fields = mutation.patch.iter().map(|(at, _)| *at).collect();
        let (op, base_seq) = (mutation.op, mutation.base_seq);
        let layer = Layer { position, state, seq, op, base_seq, bases, fields, overruled: Vec::new() };
        self.rows.entry(key).or_default().push(layer);
        self.by_position.insert(position, key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn contains(&self, key: RowKey) -> bool {
        !self.rows.is_empty() && self.rows.contains_key(&key)
    }

    /// Returns the changes of a row, oldest first.
    pub(super) fn layers(&self, key: RowKey) -> &[Layer] {
        self.rows.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Returns the changes in `(after, upto]` with their rows, oldest first.
    pub(super) fn between(&self, after: u64, upto: u64) -> impl Iterator<Item = (u64, RowKey)> + '_ {
        self.by_position.range(after + 1..=upto).map(|(position, key)| (*position, *key))
    }

    /// Returns every row with changes.
    pub(super) fn keys(&self) -> Vec<RowKey> {
        self.rows.keys().copied().collect()
    }

    /// Returns the changes in a state: position, row, and the version that is waited for.
    pub(super) fn in_state(&self, state: ChangeState) -> Vec<(u64, RowKey, u64)> {
        let layers = self.rows.iter().flat_map(|(key, layers)| layers.iter().map(move |layer| (*key, layer)));
        layers.filter(|(_, layer)| layer.state == state).map(|(key, layer)| (layer.position, key, layer.seq)).collect()
    }

    /// Returns the version of a field that the person had seen when the field was first touched in the chain of
    /// unsettled changes, `None` when no such change touches it. Later versions were hidden by the change, unless a
    /// newer one has overruled it: what is shown then is newer, too.
    pub(super) fn first_base(&self, key: RowKey, field: usize) -> Option<u64> {
        let mut hiding = self.layers(key).iter().filter(|layer| !layer.overruled.contains(&field));
        hiding.find_map(|layer| match layer.op {
            Op::Put => Some(0),
            Op::Patch | Op::Delete => layer.bases.iter().find(|(at, _)| *at == field).map(|(_, seq)| *seq),
        })
    }

    /// Sets the state of a change, and takes it off its row when it is settled.
    pub(super) fn set_state(&mut self, position: u64, state: ChangeState, seq: u64) {
        let Some(key) = self.by_position.get(&position) else { return };
        if !state.is_laid_over() {
            return self.settle(position);
        }
        let layers = self.rows.entry(*key).or_default();
        if let Some(layer) = layers.iter_mut().find(|layer| layer.position == position) {
            (layer.state, layer.seq) = (state, seq);
        }
    }

    /// Takes a change off its row that the server has now: what it set is no longer hidden by older changes.
    pub(super) fn settle(&mut self, position: u64) {
        let Some(key) = self.by_position.get(&position).copied() else { return };
        let fields = self.layers(key).iter().find(|layer| layer.position == position).map(|layer| layer.fields.clone());
        self.overrule(key, position, &fields.unwrap_or_default());
        self.remove(position);
    }

    fn overrule(&mut self, key: RowKey, position: u64, fields: &[usize]) {
        let layers = self.rows.get_mut(&key).into_iter().flatten();
        layers.filter(|layer| layer.position < position).for_each(|layer| layer.overruled.extend_from_slice(fields));
    }

    /// Works out again which fields later changes have overruled, of the changes that were answered and not settled.
    fn load_overruled(&mut self, outbox: &Outbox) -> Result<()> {
        let answered = |layer: &&Layer| layer.position <= outbox.acked;
        let Some(first) = self.rows.values().flatten().filter(answered).map(|layer| layer.position).min() else {
            return Ok(());
        };
        for head in outbox.heads_between(first, outbox.acked)? {
            if !head.state.is_laid_over() && self.contains(head.key) && !outbox.is_given_up(head.position)? {
                let fields: Vec<usize> = outbox.mutation(head.position)?.patch.iter().map(|(at, _)| *at).collect();
                self.overrule(head.key, head.position, &fields);
            }
        }
        Ok(())
    }

    /// Takes a change off its row.
    pub(super) fn remove(&mut self, position: u64) {
        let Some(key) = self.by_position.remove(&position) else { return };
        if let Some(layers) = self.rows.get_mut(&key) {
            layers.retain(|layer| layer.position != position);
            if layers.is_empty() {
                self.rows.remove(&key);
            }
        }
    }

    /// Returns how a row stands: the state of its change that most needs a look.
    pub(super) fn row_state(&self, kind: sync_protocol::entity::EntityKind, id: Uuid) -> Option<ChangeState> {
        let states = self.layers((kind, id)).iter().map(|layer| layer.state);
        states.max_by_key(|state| match state {
            ChangeState::Rejected => 3,
            ChangeState::Held => 2,
            ChangeState::Pending => 1,
            ChangeState::Accepted | ChangeState::Confirmed | ChangeState::Settled => 0,
        })
    }
}
