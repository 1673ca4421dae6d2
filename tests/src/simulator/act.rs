//! What people do on their phones, drawn from what the phone shows.

mod desk;

use client_sdk::error::{Error, Result};
use client_sdk::store::Store;
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::Op;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::deed::{Deed, Deeds, Place};
use super::dice::Dice;
use desk::{Act, Desk, act, employ};

/// How many rows a person looks through.
const LOOK_THROUGH: u32 = 40;

/// Who acts, where and when.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// The phone.
    pub phone: usize,
    /// The programme, by its place in the cast.
    pub programme: usize,
    /// The person.
    pub user: Uuid,
    /// The true time.
    pub now: Timestamp,
}

/// What a person's act came to.
#[derive(Debug)]
pub enum Done {
    /// So many changes were recorded.
    Recorded(usize),
    /// There was nothing to do, or the rules refused it.
    Nothing,
    /// The save failed: the person was told so.
    Failed(String),
}

/// Lets the person record something.
pub fn record(store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
    record_by(act, store, deeds, actor, dice)
}

/// Lets the person record something about the jobs of an enterprise.
pub fn record_job(store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
    record_by(employ, store, deeds, actor, dice)
}

fn record_by(act: Act, store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
    let refused = refused(store, deeds);
    let first = deeds.next();
    let done = write_by(act, store, deeds, actor, dice);
    // Who changes or voids a row with a refused change puts one that says it all in its place.
    let changed = deeds.iter().skip(first).filter(|(_, deed)| deed.op != Op::Put);
    let replaced: Vec<Uuid> = changed.map(|(_, deed)| deed.row).collect();
    // A row that the server never had is simply given up.
    let voided = deeds.iter().skip(first).filter(|(_, deed)| deed.op == Op::Delete);
    let given_up: Vec<usize> =
        voided.filter(|(_, deed)| refused.iter().any(|(row, _)| *row == deed.row)).map(|(number, _)| number).collect();
    given_up.into_iter().for_each(|deed| deeds.withdraw(deed));
    for (_, deed) in refused.into_iter().filter(|(row, _)| replaced.contains(row)) {
        deeds.withdraw(deed);
    }
    done
}

/// Returns the rows with refused changes, and the deeds that these carry out.
fn refused(store: &Store, deeds: &Deeds) -> Vec<(Uuid, usize)> {
    let changes = store.rejected(u32::MAX).unwrap_or_default();
    changes.iter().filter_map(|change| Some((change.mutation.row_id, deeds.of(&change.mutation)?))).collect()
}

fn write_by(act: Act, store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
    let mut scribe = Scribe::new(refused(store, deeds), deeds, actor);
    let outcome = store.write(|batch| {
        scribe.drafts.clear();
        act(&mut Desk::new(batch, &mut scribe, dice))
    });
    conclude(scribe, outcome)
}

/// Lets the person deal with something that was refused, or with a conflict.
pub fn settle(store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
    let Ok(rejected) = store.rejected(LOOK_THROUGH) else { return Done::Nothing };
    if let Some(change) = dice.pick(&rejected) {
        if dice.per_mille(300) {
            let outcome = store.discard(change.change_id);
            return match (outcome, deeds.of(&change.mutation)) {
                (Ok(()), Some(deed)) => {
                    deeds.withdraw(deed);
                    Done::Nothing
                }
                (Ok(()), None) => Done::Nothing,
                (Err(error), _) => Done::Failed(error.to_string()),
            };
        }
        let (kind, id) = (change.mutation.kind, change.mutation.row_id);
        let about: Vec<usize> = rejected
            .iter()
            .filter(|other| other.mutation.row_id == id)
            .filter_map(|other| deeds.of(&other.mutation))
            .collect();
        let mut scribe = Scribe::new(refused(store, deeds), deeds, actor);
        let outcome = store.write(|batch| {
            scribe.drafts.clear();
            Desk::new(batch, &mut scribe, dice).retouch(kind, id)
        });
        let done = conclude(scribe, outcome);
        if matches!(done, Done::Recorded(_)) {
            about.into_iter().for_each(|deed| deeds.withdraw(deed));
        }
        return done;
    }
    resolve(store, deeds, actor, dice)
}

/// Settles a conflict by keeping the value that is shown, or by another one.
fn resolve(store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
    let Ok(conflicts) = store.conflicts(LOOK_THROUGH) else { return Done::Nothing };
    let Some(conflict) = dice.pick(&conflicts) else { return Done::Nothing };
    let def = EntityKind::Conflict.def();
    let text = |name| conflict.row.get(def, name).as_text().unwrap_or_default().to_owned();
    let kind = EntityKind::from_name(&text("subject_kind"));
    let (Some(kind), Some(id)) = (kind, conflict.row.get(def, "subject_id").as_uuid()) else { return Done::Nothing };
    let Some(at) = kind.def().position(&text("field")) else { return Done::Nothing };
    let sides = [text("kept_value"), text("other_value")];
    let mut scribe = Scribe::new(refused(store, deeds), deeds, actor);
    let outcome = store.write(|batch| {
        scribe.drafts.clear();
        Desk::new(batch, &mut scribe, dice).affirm(kind, id, at, &sides)
    });
    conclude(scribe, outcome)
}

fn conclude(scribe: Scribe<'_>, outcome: Result<()>) -> Done {
    let Scribe { deeds, drafts, .. } = scribe;
    let is_certain = match &outcome {
        Ok(()) => true,
        Err(Error::Refused(_) | Error::NotFound { .. } | Error::Exists { .. } | Error::Usage(_)) => {
            return Done::Nothing;
        }
        Err(_) => false,
    };
    let count = drafts.len();
    drafts.into_iter().for_each(|draft| deeds.add(Deed { is_certain, ..draft }));
    match outcome {
        Ok(()) if count == 0 => Done::Nothing,
        Ok(()) => Done::Recorded(count),
        Err(error) => Done::Failed(error.to_string()),
    }
}

/// Writes down what is about to be recorded.
struct Scribe<'d> {
    deeds: &'d mut Deeds,
    drafts: Vec<Deed>,
    actor: Actor,
    group: Option<usize>,
    /// Rows with refused changes, and the deeds that these carry out.
    refused: Vec<(Uuid, usize)>,
}

impl<'d> Scribe<'d> {
    fn new(refused: Vec<(Uuid, usize)>, deeds: &'d mut Deeds, actor: Actor) -> Self {
        Self { deeds, drafts: Vec::new(), actor, group: None, refused }
    }

    fn next(&self) -> usize {
        self.deeds.next() + self.drafts.len()
    }

    fn draft(&mut self, kind: EntityKind, row: Uuid, op: Op, before: Option<&Row>, after: Option<&Row>) {
        let mut fields = after.map_or_else(Vec::new, |after| self.edits(kind, before, after));
        if let Some(after) = after {
            self.repeat_refused(&mut fields, after);
        }
        self.drafts.push(Deed {
            place: Place::Phone(self.actor.phone),
            programme: self.actor.programme,
            kind,
            row,
            op,
            fields,
            group: self.group,
            at: self.actor.now,
            is_certain: true,
            may_be_lost: false,
            is_withdrawn: false,
        });
    }

    /// Who puts a refused change right says again what is still shown of it, also where it was left as it was.
    fn repeat_refused(&self, fields: &mut Vec<super::deed::Edit>, after: &Row) {
        for (_, refused) in self.refused.iter().filter(|(row, _)| *row == after.id) {
            let said = self.deeds.get(*refused).into_iter().flat_map(|deed| &deed.fields);
            for edit in said.filter(|edit| after.values[edit.at] == edit.value) {
                if fields.iter().all(|other| other.at != edit.at) {
                    fields.push(super::deed::Edit { over: Some(*refused), beside: Vec::new(), ..edit.clone() });
                }
            }
        }
    }

    /// Earlier drafts of the same batch count as known.
    fn edits(&self, kind: EntityKind, before: Option<&Row>, after: &Row) -> Vec<super::deed::Edit> {
        let mut edits = self.deeds.edits(kind, before, after);
        for edit in &mut edits {
            let old = before.map_or(&Value::Null, |before| &before.values[edit.at]);
            let wrote = |draft: &Deed| {
                (draft.kind, draft.row) == (kind, after.id)
                    && draft.fields.iter().any(|other| other.at == edit.at && other.value == *old)
            };
            if let Some(at) = self.drafts.iter().rposition(wrote) {
                edit.over = Some(self.deeds.next() + at);
            }
        }
        edits
    }
}
