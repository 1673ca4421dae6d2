//! Files that are damaged while the application is closed or killed: the store opens, shows nothing that is wrong, and
//! every promised change is there, saved, or counted as lost.

mod harm;
mod image;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use client_sdk::store::{Change, ChangeState, Query, Salvaged, Store};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sync_protocol::entity::EntityKind;

use super::rows::Edit;
use super::session::{Session, Stop};
use harm::{Harm, Part};
use image::Image;

/// How many damages one phone is used for: its files are copied for each.
pub const DAMAGES_PER_IMAGE: u64 = 25;

/// What came of damages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endured {
    /// How many damages.
    pub damages: u64,
    /// Changes that the files held and nobody else: not sent, or refused.
    pub promised: u64,
    /// How often the outbox was found damaged.
    pub salvages: u64,
    /// How often the cache was made anew.
    pub new_caches: u64,
    /// Promised changes that were saved from a damaged outbox.
    pub saved: u64,
    /// Promised changes that are not there.
    pub lost: u64,
    /// Of these, changes that nobody was told of: only where the outbox and the note beside it are damaged at once.
    pub untold: u64,
    /// Changes that were counted as lost, and are there or were never promised.
    pub falsely_lost: u64,
}

impl std::ops::AddAssign for Endured {
    fn add_assign(&mut self, more: Self) {
        self.damages += more.damages;
        self.promised += more.promised;
        self.salvages += more.salvages;
        self.new_caches += more.new_caches;
        self.saved += more.saved;
        self.lost += more.lost;
        self.untold += more.untold;
        self.falsely_lost += more.falsely_lost;
    }
}

/// Runs the damages with the numbers `from..to`. Returns what came of them, and what the store did not keep.
pub fn damages(from: u64, to: u64) -> (Endured, Vec<String>) {
    let (mut endured, mut broken) = (Endured::default(), Vec::new());
    let mut image: Option<(u64, Image)> = None;
    for number in from..to {
        let seed = number / DAMAGES_PER_IMAGE;
        if image.as_ref().is_none_or(|(at, _)| *at != seed) {
            image = Some((seed, Image::make(seed)));
        }
        let image = image.as_ref().map(|(_, image)| image).expect("it was made");
        let outcome = catch_unwind(AssertUnwindSafe(|| damage(image, number)));
        match outcome.unwrap_or_else(|_| Err("a panic".to_owned())) {
            Ok(one) => endured += one,
            Err(error) => broken.push(format!("damage {number}: {error}")),
        }
    }
    (endured, broken)
}

fn damage(image: &Image, number: u64) -> Result<Endured, String> {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let mut session = image.copy(rng.clone());
    let harm = Harm::draw(&mut rng);
    harm.inflict(session.phone.folder.path(), image.older(), &mut rng);
    let endured = endure(image, &mut session).map_err(|error| format!("{harm}: {error}"))?;
    if !harm.touches(Part::Outbox) && endured.salvages > 0 {
        return Err(format!("{harm}: the outbox was taken for damaged"));
    }
    if !(harm.touches(Part::Outbox) && harm.touches(Part::Mark)) && endured.untold > 0 {
        return Err(format!("{harm}: of {} lost changes {} are not told of", endured.lost, endured.untold));
    }
    Ok(endured)
}

fn endure(image: &Image, session: &mut Session) -> Result<Endured, String> {
    let store = session.phone.open().map_err(|error| format!("the store does not open: {error}"))?;
    let report = *store.report();
    let before = look(image, &store, report.salvaged)?;
    read_everything(&store)?;
    session.heal_own(&store)?;
    let after = waiting_or_refused(&store)?;
    if let Some(stuck) = after.iter().find(|change| change.state == ChangeState::Pending) {
        return Err(format!("{stuck:?} is stuck"));
    }
    store.close().map_err(|error| error.to_string())?;
    let store = session.phone.open().map_err(|error| format!("the store does not open again: {error}"))?;
    if let Some(again) = store.report().salvaged {
        return Err(format!("the damage is told twice: {again:?}"));
    }
    session.record_freely(&store).map_err(Stop::on_a_sound_disk)?;
    session.heal_own(&store)?;
    drop(store);
    Ok(Endured { damages: 1, new_caches: u64::from(report.new_cache), ..before })
}

/// Compares what is still there with what was promised.
fn look(image: &Image, store: &Store, salvaged: Option<Salvaged>) -> Result<Endured, String> {
    let there: Vec<Edit> = waiting_or_refused(store)?.iter().map(|change| Edit::of(&change.mutation)).collect();
    if let Some(invented) = there.iter().find(|edit| !image.ever_recorded.contains(edit)) {
        return Err(format!("{invented:?} was never recorded"));
    }
    let missing = image.promised.iter().filter(|edit| !there.contains(edit)).count() as u64;
    let told = salvaged.unwrap_or_default();
    let status = store.status().map_err(|error| error.to_string())?;
    let hello = store.hello("test", 0).map_err(|error| error.to_string())?;
    let is_told = status.salvaged == told && u64::from(hello.outbox.lost) == told.lost;
    if !is_told {
        return Err(format!("{told:?} is told as {:?} and {:?}", status.salvaged, hello.outbox));
    }
    let promised = image.promised.len() as u64;
    Ok(Endured {
        promised,
        salvages: u64::from(salvaged.is_some()),
        saved: if salvaged.is_some() { promised - missing } else { 0 },
        lost: missing,
        untold: missing.saturating_sub(told.lost),
        falsely_lost: told.lost.saturating_sub(missing),
        ..Endured::default()
    })
}

/// Opens every list: a page is met at the latest when it is to be shown.
fn read_everything(store: &Store) -> Result<(), String> {
    let read = |kind: &EntityKind| store.list(*kind, &Query::new().limit(u32::MAX)).map(drop);
    EntityKind::ALL.iter().try_for_each(read).map_err(|error| format!("a list cannot be read: {error}"))
}

/// Returns what is to be sent, held or refused.
fn waiting_or_refused(store: &Store) -> Result<Vec<Change>, String> {
    let lists = [store.pending(u32::MAX), store.held(u32::MAX), store.rejected(u32::MAX)];
    let lists: Result<Vec<Vec<Change>>, _> = lists.into_iter().collect();
    Ok(lists.map_err(|error| error.to_string())?.concat())
}

/// Returns the changes that only this phone has.
fn promised(store: &Store) -> Result<Vec<Edit>, String> {
    let held: BTreeSet<u64> =
        store.held(u32::MAX).map_err(|error| error.to_string())?.iter().map(|change| change.change_id).collect();
    let all = waiting_or_refused(store)?;
    Ok(all.iter().filter(|change| !held.contains(&change.change_id)).map(|change| Edit::of(&change.mutation)).collect())
}
