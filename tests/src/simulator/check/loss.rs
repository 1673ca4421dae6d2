//! No loss: what a person was told is kept is somewhere in the end, and where the person can see it.

use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::code::HeldState;
use sync_protocol::entity::{Entity as _, EntityKind, HeldItem};
use uuid::Uuid;

use super::super::backend::Kept;
use super::super::deed::{Deed, Place};
use super::super::foreign::Expected;
use super::super::history::History;
use super::super::plan::Step;
use super::Violation;

/// What became of each deed, as far as the server knows.
#[derive(Debug)]
pub(super) struct Fates {
    /// The mutations that carried a deed out, mostly one.
    pub(super) of: BTreeMap<usize, Vec<Kept>>,
    /// Everything that the server keeps, by programme.
    pub(super) kept: Vec<Vec<Kept>>,
}

impl Fates {
    pub(super) fn read(history: &History<'_>) -> Self {
        let programmes = history.plan.cast.programmes.len();
        let kept: Vec<Vec<Kept>> = (0..programmes).map(|programme| history.server.kept(programme)).collect();
        let mut of: BTreeMap<usize, Vec<Kept>> = BTreeMap::new();
        let told = kept.iter().flatten().filter(|kept| !history.deeds.is_erased(kept.row));
        for kept in told {
            let deed = kept.deed.or_else(|| history.deeds.creation(kept.kind?, kept.row));
            if let Some(deed) = deed {
                of.entry(deed).or_default().push(kept.clone());
            }
        }
        Self { of, kept }
    }

    /// Returns whether a deed changed a row in the end.
    pub(super) fn is_effective(&self, deed: usize) -> bool {
        self.of.get(&deed).is_some_and(|kept| kept.iter().any(Kept::is_effective))
    }

    /// Returns whether a deed waits for a decision, with all that it says.
    pub(super) fn is_held(&self, deed: usize) -> bool {
        self.of.get(&deed).is_some_and(|kept| kept.iter().any(|kept| kept.outcome == 'H'))
    }
}

pub(super) fn check(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    let outboxes: Vec<Outbox> = (0..history.phones.len()).map(|at| Outbox::read(history, at)).collect();
    let was_restored = was_restored(history);
    for (number, deed) in history.deeds.iter() {
        let Place::Phone(phone) = deed.place else { continue };
        if !deed.is_certain || deed.may_be_lost || history.deeds.is_about_erased(deed) {
            continue;
        }
        let outbox = &outboxes[phone];
        // Of two copies of a phone, the one that brings back what a restored server lost is told what becomes of it now.
        // The other one had its answer from the lost history, and shows the rows as the server has them.
        let other = copy_of(history, phone).filter(|_| was_restored).map(|copy| &outboxes[copy]);
        let is_shown = |of: fn(&Outbox) -> &BTreeSet<usize>| {
            of(outbox).contains(&number) || other.is_some_and(|other| of(other).contains(&number))
        };
        let (is_rejected, is_held) = (is_shown(|outbox| &outbox.rejected), is_shown(|outbox| &outbox.held));
        let kept = fates.of.get(&number).map_or(&[][..], Vec::as_slice);
        let problem = match kept.iter().map(|kept| kept.outcome).max_by_key(|outcome| "RHCMA".find(*outcome)) {
            // What a restored server lost stands in the archive of a phone that may not bring it back.
            None if outbox.is_barred && (outbox.pending.contains(&number) || was_restored) => None,
            None if deed.is_withdrawn => None,
            None if outbox.pending.contains(&number) => Some("still waits on the phone"),
            None => Some("is nowhere"),
            Some('R') if deed.is_withdrawn || is_rejected || outbox.is_barred => None,
            Some('R') if is_replaced(history, fates, number) => None,
            Some('R') => Some("was refused, and the phone does not show it"),
            Some('H') if is_held || is_rejected || outbox.is_barred => None,
            Some('H') => Some("is held, and the phone does not show it"),
            // Of two copies, one may still wait for what the other one sent.
            Some(_) if outbox.held.contains(&number) && copy_of(history, phone).is_none() && !outbox.is_barred => {
                Some("took effect, and the phone shows it as waiting")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            let (op, kind, row) = (deed.op, deed.kind.def().name, deed.row);
            let what = format!("d{number} ({op:?} {kind} {row} on phone {phone}) {problem}");
            found.push(Violation { invariant: "loss", what });
        }
    }
    foreign(history, fates, found);
}

/// Whether a change of the same row stands in the place of a deed that was refused, although the person was told that it
/// could not be saved: where the disk failed at the commit, it may have been.
fn is_replaced(history: &History<'_>, fates: &Fates, number: usize) -> bool {
    let Some(deed) = history.deeds.get(number) else { return false };
    let is_later = |later: &Deed| (later.place, later.kind, later.row) == (deed.place, deed.kind, deed.row);
    let later = history.deeds.iter().skip(number + 1).filter(|(_, later)| !later.is_certain && is_later(later));
    later.map(|(other, _)| other).any(|other| fates.of.contains_key(&other))
}

/// Returns whether the server went back to an older state.
pub(super) fn was_restored(history: &History<'_>) -> bool {
    history.plan.steps.iter().any(|planned| planned.step == Step::RestoreServer)
}

/// Returns the other phone that was one with a phone once.
pub(super) fn copy_of(history: &History<'_>, phone: usize) -> Option<usize> {
    history.plan.steps.iter().find_map(|planned| match planned.step {
        Step::ClonePhone { from, to } if from == phone => Some(to),
        Step::ClonePhone { from, to } if to == phone => Some(from),
        _ => None,
    })
}

/// What another application sent had the one outcome that it must have.
fn foreign(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    for (at, foreign) in &history.foreign {
        let cast = history.plan.cast.phones[*at];
        let may_differ = history.server.is_barred(cast.user) || history.plan.knobs.scope;
        for (number, expected) in &foreign.expected {
            let identity = (foreign.device, foreign.incarnation, *number);
            let kept = fates.kept[cast.programme].iter().find(|kept| kept.identity == identity);
            let is_right = match (kept.map(|kept| kept.outcome), expected) {
                (Some('A' | 'M'), Expected::Applied) | (Some('H'), Expected::Held) => true,
                (Some('R'), Expected::Rejected) => true,
                // The office has given it back.
                (Some('R'), Expected::Held) if is_returned(history, cast.programme, identity) => true,
                _ => may_differ,
            };
            if !is_right {
                let outcome = kept.map(|kept| kept.outcome);
                let what = format!("number {number} of the other application became {outcome:?}, not {expected:?}");
                found.push(Violation { invariant: "loss", what });
            }
        }
    }
}

fn is_returned(history: &History<'_>, programme: usize, (device, incarnation, no): (Uuid, Uuid, u64)) -> bool {
    let items = history.server.rows(programme, EntityKind::HeldItem).into_iter();
    items.filter_map(|(row, _)| HeldItem::from_row(&row).ok()).any(|item| {
        let identity = (item.device_id.0, item.incarnation, item.mutation_no as u64);
        identity == (device, incarnation, no) && item.state == HeldState::Returned
    })
}

/// What the outbox of a phone shows to its person.
struct Outbox {
    pending: BTreeSet<usize>,
    held: BTreeSet<usize>,
    rejected: BTreeSet<usize>,
    /// Whether the person may not sign in any more: then nothing leaves the phone.
    is_barred: bool,
}

impl Outbox {
    fn read(history: &History<'_>, at: usize) -> Self {
        let is_barred = history.server.is_barred(history.plan.cast.phones[at].user);
        let store = history.phones[at].as_ref().and_then(|phone| phone.store.as_ref());
        let numbers = |changes: Option<Vec<client_sdk::store::Change>>| -> BTreeSet<usize> {
            changes.into_iter().flatten().filter_map(|change| history.deeds.of(&change.mutation)).collect()
        };
        Self {
            pending: numbers(store.and_then(|store| store.pending(u32::MAX).ok())),
            held: numbers(store.and_then(|store| store.held(u32::MAX).ok())),
            rejected: numbers(store.and_then(|store| store.rejected(u32::MAX).ok())),
            is_barred,
        }
    }
}
