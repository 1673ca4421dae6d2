//! What happens on a phone of the histories, step by step.

use std::collections::{BTreeMap, BTreeSet};

use client_sdk::error::Error;
use client_sdk::store::{Query, Store};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sync_protocol::wire::Scopes;
use uuid::Uuid;

use super::model::Model;
use super::phone::Phone;
use super::rows::{Edit, KIND, SCOPE, patch, row, text_of};
use super::server::Server;

/// A phone, the server that it syncs with, and what it has promised.
pub(super) struct Session {
    pub(super) rng: ChaCha8Rng,
    pub(super) phone: Phone,
    pub(super) server: Server,
    pub(super) model: Model,
    /// How many names were given: none is given twice.
    pub(super) names: u64,
}

/// Why a step ended.
pub(super) enum Stop {
    /// The store returned an error, as it must on a failing disk.
    Failed(Error),
    /// The store did not keep a promise.
    Broken(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<String> for Stop {
    fn from(broken: String) -> Self {
        Self::Broken(broken)
    }
}

impl Stop {
    /// Says what happened, when nothing should.
    pub(super) fn on_a_sound_disk(self) -> String {
        match self {
            Self::Failed(error) => format!("a step fails on a sound disk: {error}"),
            Self::Broken(broken) => broken,
        }
    }
}

impl Session {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_rng(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn with_rng(rng: ChaCha8Rng) -> Self {
        Self::on(Phone::new(), rng)
    }

    pub(super) fn on(phone: Phone, rng: ChaCha8Rng) -> Self {
        Self { rng, phone, server: Server::default(), model: Model::default(), names: 0 }
    }

    /// Does one thing at random.
    pub(super) fn step(&mut self, store: &Store) -> Result<(), Stop> {
        match self.rng.random_range(0..96) {
            0..45 => self.record(store)?,
            45..60 => self.sync(store, true)?,
            60..70 => self.sync(store, false)?,
            70..75 => self.push_without_answer(store)?,
            75..90 => self.others_write(),
            90..94 => store.flush()?,
            _ => self.phone.world.advance_ms(86_400_000 * 10),
        }
        Ok(())
    }

    /// Records a batch of one to four changes.
    pub(super) fn record(&mut self, store: &Store) -> Result<(), Stop> {
        let batch = self.batch(store)?;
        self.model.begins(store, &batch)?;
        write(store, &batch)?;
        Ok(self.model.recorded(store)?)
    }

    /// Records a batch of which nobody keeps a model.
    pub(super) fn record_freely(&mut self, store: &Store) -> Result<(), Stop> {
        let batch = self.batch(store)?;
        Ok(write(store, &batch)?)
    }

    fn batch(&mut self, store: &Store) -> Result<Vec<Edit>, Error> {
        let refused: BTreeSet<Uuid> = self.server.refused().map(|edit| edit.row).collect();
        let shown: Vec<Uuid> = self.shown(store)?.into_iter().filter(|id| !refused.contains(id)).collect();
        let mut batch: Vec<Edit> = Vec::new();
        for _ in 0..self.rng.random_range(1..5) {
            let touched: Vec<Uuid> = batch.iter().map(|edit| edit.row).collect();
            let free: Vec<Uuid> = shown.iter().copied().filter(|id| !touched.contains(id)).collect();
            let edit = match (self.rng.random_range(0..10), free.choose(&mut self.rng)) {
                (0, Some(id)) => Edit { row: *id, text: None, is_creation: false },
                (1..6, Some(id)) => Edit { row: *id, text: Some(self.text()), is_creation: false },
                _ => Edit { row: self.new_id(), text: Some(self.text()), is_creation: true },
            };
            batch.push(edit);
        }
        Ok(batch)
    }

    /// Pushes, takes the answer, and pulls.
    pub(super) fn sync(&mut self, store: &Store, is_complete: bool) -> Result<(), Stop> {
        if store.hello("test", 0)?.scope_count == 0 {
            store.apply_scopes(&Scopes { scopes: vec![SCOPE] })?;
        }
        self.push(store)?;
        let end = (!is_complete).then(|| self.rng.random_range(0..20));
        self.pull(store, end)
    }

    /// Pushes and takes the answer.
    pub(super) fn push(&mut self, store: &Store) -> Result<(), Stop> {
        let incarnation = store.hello("test", 0)?.incarnation;
        let Some(answer) = self.server.take(incarnation, &store.pushes()?, &mut self.rng)? else { return Ok(()) };
        // An acknowledgement that the cut undoes comes again; one that it lets through counts.
        self.model.acknowledges(answer.upto_no);
        match store.apply_result(&answer)?.is_foreign {
            true => Err(Stop::Broken("the store does not know its own changes".to_owned())),
            false => Ok(()),
        }
    }

    /// Applies a page of what the server has, up to `end` where it is not all.
    pub(super) fn pull(&mut self, store: &Store, end: Option<usize>) -> Result<(), Stop> {
        let page = self.server.page(&store.hello("test", 0)?, end);
        store.apply_page(&page)?;
        Ok(())
    }

    /// Packs what waits as it goes over the wire, which nobody takes.
    pub(super) fn pack(&mut self, store: &Store) -> Result<(), Stop> {
        let packed = store.push_bytes(None, usize::MAX)?;
        match packed.frames.is_empty() {
            true => Err(Stop::Broken("nothing is packed".to_owned())),
            false => Ok(()),
        }
    }

    /// The server takes the changes, and its answer is lost.
    fn push_without_answer(&mut self, store: &Store) -> Result<(), Stop> {
        let hello = store.hello("test", 0)?;
        self.server.take(hello.incarnation, &store.pushes()?, &mut self.rng)?;
        Ok(())
    }

    pub(super) fn others_write(&mut self) {
        let rows = self.server.rows();
        let id = match rows.choose(&mut self.rng) {
            Some(id) if self.rng.random_range(0..3) > 0 => *id,
            _ => self.new_id(),
        };
        let text = self.text();
        self.server.write(id, Some(text));
    }

    /// Syncs until nothing waits, and compares everything that is shown.
    pub(super) fn heal(&mut self, store: &Store) -> Result<(), String> {
        self.drain(store)?;
        compare(store, &self.server.expected())
    }

    /// Syncs until nothing waits, and compares everything that is shown, where the phone may have lost what the server
    /// refused: only what it still has is laid over the server's rows.
    pub(super) fn heal_own(&mut self, store: &Store) -> Result<(), String> {
        self.drain(store)?;
        let lists = [store.held(u32::MAX), store.rejected(u32::MAX)];
        let lists: Result<Vec<_>, Error> = lists.into_iter().collect();
        let mut own = lists.map_err(|error| error.to_string())?.concat();
        own.sort_unstable_by_key(|change| change.change_id);
        let own: Vec<Edit> = own.iter().map(|change| Edit::of(&change.mutation)).collect();
        compare(store, &self.server.expected_with(own.iter()))
    }

    fn drain(&mut self, store: &Store) -> Result<(), String> {
        for _ in 0..3 {
            self.sync(store, true).map_err(Stop::on_a_sound_disk)?;
        }
        let status = store.status().map_err(|error| error.to_string())?;
        if status.pending > 0 { Err(format!("{} changes are stuck", status.pending)) } else { Ok(()) }
    }

    fn shown(&self, store: &Store) -> Result<Vec<Uuid>, Error> {
        let rows = store.list(KIND, &Query::new().limit(u32::MAX))?;
        Ok(rows.into_iter().map(|shown| shown.row.id).collect())
    }

    fn new_id(&mut self) -> Uuid {
        self.names += 1;
        Uuid::from_u128(1_000 + u128::from(self.names))
    }

    fn text(&mut self) -> String {
        self.names += 1;
        let length = *[5, 50, 500, 5_000].choose(&mut self.rng).expect("there are some");
        format!("{} {}", self.names, "x".repeat(self.rng.random_range(0..length)))
    }
}

fn write(store: &Store, batch: &[Edit]) -> Result<(), Error> {
    store.write(|write| {
        if batch.len() > 2 {
            write.group();
        }
        for edit in batch {
            match &edit.text {
                Some(text) if edit.is_creation => write.put(KIND, row(edit.row, text)).map(|_| ())?,
                Some(text) => write.patch(KIND, edit.row, &patch(text)).map(|_| ())?,
                None => write.delete(KIND, edit.row)?,
            }
        }
        Ok(())
    })
}

/// Compares everything that is shown.
fn compare(store: &Store, expected: &BTreeMap<Uuid, String>) -> Result<(), String> {
    let list = store.list(KIND, &Query::new().limit(u32::MAX)).map_err(|error| error.to_string())?;
    let shown: BTreeMap<Uuid, String> = list.into_iter().map(|shown| (shown.row.id, text_of(&shown.row))).collect();
    let ids: BTreeSet<&Uuid> = expected.keys().chain(shown.keys()).collect();
    let Some(id) = ids.into_iter().find(|id| expected.get(id) != shown.get(id)) else { return Ok(()) };
    let short = |text: Option<&String>| text.map(|text| text.split(' ').next().unwrap_or_default().to_owned());
    let (shown, expected) = (short(shown.get(id)), short(expected.get(id)));
    Err(format!("{id} is shown as {shown:?}, expected is {expected:?}"))
}
