//! What the store has promised, and whether it is there.

use std::collections::BTreeMap;

use client_sdk::store::Store;
use sync_protocol::mutation::{ChainHash, Mutation};
use sync_protocol::wire::Push;
use uuid::Uuid;

use super::rows::{Edit, KIND, text_of};

/// What the store has promised.
#[derive(Clone, Default)]
pub(super) struct Model {
    incarnation: Uuid,
    /// What was recorded under the incarnation, number 1 first.
    recorded: Vec<Vec<u8>>,
    /// A batch that was being recorded when the power went: all of it is there, or nothing.
    in_flight: Vec<Edit>,
    /// The store said that the batch is recorded, so that nothing is not enough.
    is_owed: bool,
    /// The last number of which the store may know that the server has it.
    acked: u64,
    /// How many changes the store said were recorded.
    pub(super) promised: u64,
}

impl Model {
    /// Takes note that a batch is about to be recorded.
    pub(super) fn begins(&mut self, store: &Store, batch: &[Edit]) -> Result<(), String> {
        if self.is_owed && !self.in_flight.is_empty() {
            self.look(store)?;
        }
        (self.in_flight, self.is_owed) = (batch.to_vec(), false);
        Ok(())
    }

    /// Takes note that the store said that the batch is recorded, and looks what it did.
    pub(super) fn recorded(&mut self, store: &Store) -> Result<(), String> {
        self.promised += self.in_flight.len() as u64;
        self.is_owed = true;
        self.look(store)
    }

    /// Takes note that the store said that the batch is not recorded.
    pub(super) fn gives_up(&mut self) {
        self.in_flight.clear();
    }

    fn look(&mut self, store: &Store) -> Result<(), String> {
        let batch = self.in_flight.clone();
        self.recorded_more(store, &batch)?;
        self.in_flight.clear();
        Ok(())
    }

    /// Takes note of an answer that the store is about to take. A loss of power may undo it: it comes again.
    pub(super) fn acknowledges(&mut self, upto: u64) {
        self.acked = self.acked.max(upto);
    }

    /// Returns everything that was ever recorded under the incarnation.
    pub(super) fn ever_recorded(&self) -> Vec<Edit> {
        let mutations = self.recorded.iter().map(|bytes| Mutation::decode(bytes).expect("it was recorded"));
        mutations.map(|mutation| Edit::of(&mutation)).collect()
    }

    fn recorded_more(&mut self, store: &Store, batch: &[Edit]) -> Result<(), String> {
        let pending = pending(store)?;
        let known = self.recorded.len();
        let new: Vec<&(u64, Vec<u8>)> = pending.iter().filter(|(no, _)| *no as usize > known).collect();
        if new.len() != batch.len() {
            return Err(format!("{} of {} changes of a batch are there", new.len(), batch.len()));
        }
        for ((no, bytes), edit) in new.into_iter().zip(batch) {
            let found = Edit::of(&Mutation::decode(bytes).map_err(|error| error.to_string())?);
            if found != *edit || *no as usize != self.recorded.len() + 1 {
                return Err(format!("number {no} is {found:?}, not {edit:?}"));
            }
            self.recorded.push(bytes.clone());
        }
        Ok(())
    }

    /// Compares the store after an opening with what was promised.
    pub(super) fn check(&mut self, store: &Store) -> Result<(), String> {
        if let Some(salvaged) = store.report().salvaged {
            return Err(format!("a loss of power was taken for damage: {salvaged:?}"));
        }
        let hello = store.hello("test", 0).map_err(|error| error.to_string())?;
        if self.incarnation == Uuid::nil() {
            self.incarnation = hello.incarnation;
        }
        if hello.incarnation != self.incarnation {
            return Err("the store has another incarnation".to_owned());
        }
        let view = store.sync_view().map_err(|error| error.to_string())?;
        if view.acked_no > self.acked {
            return Err(format!("{} is acknowledged, nobody did beyond {}", view.acked_no, self.acked));
        }
        self.acked = view.acked_no;
        let in_flight = std::mem::take(&mut self.in_flight);
        match view.last_no - (self.recorded.len() as u64).min(view.last_no) {
            0 if in_flight.is_empty() || !self.is_owed => {}
            more if more as usize == in_flight.len() => self.recorded_more(store, &in_flight)?,
            more => return Err(format!("{more} changes of a batch of {} are there", in_flight.len())),
        }
        self.check_pending(store)?;
        self.check_shown(store)
    }

    fn check_pending(&self, store: &Store) -> Result<(), String> {
        let pending = pending(store)?;
        let expected: Vec<(u64, Vec<u8>)> = (self.acked + 1..=self.recorded.len() as u64)
            .map(|no| (no, self.recorded[no as usize - 1].clone()))
            .collect();
        if pending == expected {
            return Ok(());
        }
        let numbers =
            |list: &[(u64, Vec<u8>)]| (list.first().map_or(0, |one| one.0), list.last().map_or(0, |one| one.0));
        Err(format!("pending are {:?}, promised were {:?}", numbers(&pending), numbers(&expected)))
    }

    /// Looks whether rows that were created here and never sent are shown with everything that was recorded.
    fn check_shown(&self, store: &Store) -> Result<(), String> {
        let mut rows: BTreeMap<Uuid, Option<String>> = BTreeMap::new();
        for bytes in &self.recorded[self.acked as usize..] {
            let edit = Edit::of(&Mutation::decode(bytes).map_err(|error| error.to_string())?);
            if edit.is_creation || rows.contains_key(&edit.row) {
                let before = rows.remove(&edit.row).flatten();
                rows.insert(edit.row, edit.laid_over(before));
            }
        }
        for (id, text) in rows {
            let shown = store.get(KIND, id).map_err(|error| error.to_string())?;
            let shown = shown.map(|shown| text_of(&shown.row));
            if shown != text {
                return Err(format!("{id} is shown as {shown:?}, recorded was {text:?}"));
            }
        }
        Ok(())
    }
}

/// Returns what is to be pushed, number by number, and checks the chain.
fn pending(store: &Store) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let pushes: Vec<Push> = store.pushes().map_err(|error| error.to_string())?;
    let mut hash: Option<ChainHash> = None;
    let mut list = Vec::new();
    for push in pushes {
        if hash.is_some_and(|hash| hash != push.prev_hash) {
            return Err(format!("the chain breaks before number {}", push.first_no));
        }
        hash = Some(push.mutations.iter().fold(push.prev_hash, |hash, bytes| hash.then(bytes)));
        list.extend((push.first_no..).zip(push.mutations));
    }
    Ok(list)
}
