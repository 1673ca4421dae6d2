//! What people do on their phones, drawn from what the phone shows.

use client_sdk::error::{Error, Result};
use client_sdk::store::{Query, Store, WriteBatch};
use sync_protocol::code::*;
use sync_protocol::entity::{Attendee, ChecklistAnswer, Entity, EntityKind, MonthlyJobStatus, Row, Visit};
use sync_protocol::id::*;
use sync_protocol::mutation::Op;
use sync_protocol::patch::{self, Patch};
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::deed::{Deed, Deeds, Place, mark};
use super::dice::Dice;
use crate::sample;

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
    let refused = refused(store, deeds);
    let first = deeds.next();
    let done = record_anything(store, deeds, actor, dice);
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

fn record_anything(store: &Store, deeds: &mut Deeds, actor: Actor, dice: &mut Dice) -> Done {
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

/// A person at a phone.
struct Desk<'a, 'b, 'd> {
    batch: &'a mut WriteBatch<'b>,
    scribe: &'a mut Scribe<'d>,
    dice: &'a mut Dice,
    actor: Actor,
    /// Whether creations carry their mark; without one, the server keeps no payload of them: the row tells all.
    marks: bool,
}

fn act(desk: &mut Desk<'_, '_, '_>) -> Result<()> {
    match desk.dice.below(100) {
        0..=17 => desk.new_visit(),
        18..=35 => desk.change(EntityKind::Visit),
        36..=45 => desk.new_part(),
        46..=54 => desk.change(EntityKind::FollowUpAction),
        55..=57 => desk.change_together(),
        58..=63 => desk.change(EntityKind::Finding),
        64..=71 => desk.answer(),
        72..=79 => desk.new_job(),
        80..=84 => desk.change(EntityKind::Position),
        85..=89 => desk.month(),
        90..=93 => desk.complete(),
        _ => desk.void(),
    }
}

impl<'a, 'b, 'd> Desk<'a, 'b, 'd> {
    fn new(batch: &'a mut WriteBatch<'b>, scribe: &'a mut Scribe<'d>, dice: &'a mut Dice) -> Self {
        let (actor, marks) = (scribe.actor, dice.per_mille(700));
        Self { batch, scribe, dice, actor, marks }
    }

    fn new_id(&mut self) -> Uuid {
        let mut random = [0; 10];
        self.dice.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(self.actor.now.0 as u64, &random).into_uuid()
    }

    /// Returns a text that nobody else writes.
    fn words(&self) -> String {
        format!("cuvinte {}", self.scribe.next())
    }

    fn list(&self, kind: EntityKind) -> Result<Vec<Row>> {
        let mut rows = self.batch.list(kind, &Query::new().limit(LOOK_THROUGH))?;
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    fn pick(&mut self, kind: EntityKind) -> Result<Option<Row>> {
        let rows = self.list(kind)?;
        Ok(self.dice.pick(&rows).cloned())
    }

    fn enterprise(&mut self) -> Result<Option<EnterpriseId>> {
        Ok(self.pick(EntityKind::Enterprise)?.map(|row| EnterpriseId(row.id)))
    }

    fn visit(&mut self) -> Result<Option<Visit>> {
        Ok(self.pick(EntityKind::Visit)?.and_then(|row| Visit::from_row(&row).ok()))
    }

    fn put<T: Entity>(&mut self, entity: &T) -> Result<()> {
        let row = entity.to_row();
        if self.marks {
            self.batch.reason(mark(self.scribe.next()));
        }
        let after = self.batch.put(T::DEF.kind, row)?;
        self.scribe.draft(T::DEF.kind, after.id, Op::Put, None, Some(&after));
        Ok(())
    }

    fn patch(&mut self, kind: EntityKind, before: &Row, patch: &Patch) -> Result<()> {
        self.batch.reason(mark(self.scribe.next()));
        let after = self.batch.patch(kind, before.id, patch)?;
        if after != *before {
            self.scribe.draft(kind, before.id, Op::Patch, Some(before), Some(&after));
        }
        Ok(())
    }

    fn group(&mut self) {
        self.batch.group();
        self.scribe.group = Some(self.scribe.deeds.new_group());
    }

    fn new_visit(&mut self) -> Result<()> {
        let Some(enterprise) = self.enterprise()? else { return Ok(()) };
        let mentor = UserId(self.actor.user);
        let mut visit = Visit { id: VisitId(self.new_id()), ..sample::visit(enterprise, mentor) };
        visit.purpose = Some(self.words());
        visit.actual_start_at = Some(self.actor.now);
        let is_group = self.dice.per_mille(500);
        if is_group {
            self.group();
        }
        self.put(&visit)?;
        if is_group {
            for _ in 0..self.dice.between(1, 3) {
                let attendee = self.attendee(&visit);
                self.put(&attendee)?;
            }
            // Answers have the same identifier everywhere: without a mark, nobody could tell whose it is.
            self.marks = true;
            let question = self.question();
            let answer = sample::answer(&visit, question, &self.words());
            self.put(&answer)?;
        }
        Ok(())
    }

    fn attendee(&mut self, visit: &Visit) -> Attendee {
        Attendee { id: AttendeeId(self.new_id()), ..sample::attendee(visit, &self.words()) }
    }

    fn question(&mut self) -> &'static str {
        ["G01", "G02", "G03", "J01"][self.dice.below(4)]
    }

    fn new_part(&mut self) -> Result<()> {
        let Some(visit) = self.visit()? else { return Ok(()) };
        match self.dice.below(3) {
            0 => {
                let attendee = self.attendee(&visit);
                self.put(&attendee)
            }
            1 => {
                let id = FindingId(self.new_id());
                let finding = sample::finding(&visit, &self.words());
                self.put(&sync_protocol::entity::Finding { id, ..finding })
            }
            _ => {
                let id = FollowUpActionId(self.new_id());
                let text = self.words();
                let due_on = self.actor.now.plus_ms(30 * 86_400_000).date();
                let action = sample::action(&visit);
                self.put(&sync_protocol::entity::FollowUpAction { id, text, due_on, ..action })
            }
        }
    }

    /// Changes one or two fields of a row.
    fn change(&mut self, kind: EntityKind) -> Result<()> {
        let Some(row) = self.pick(kind)? else { return Ok(()) };
        self.retouch(kind, row.id)
    }

    /// Changes two visits in one go: both or neither.
    fn change_together(&mut self) -> Result<()> {
        let (first, second) = (self.pick(EntityKind::Visit)?, self.pick(EntityKind::Visit)?);
        let Some((first, second)) = first.zip(second).filter(|(first, second)| first.id != second.id) else {
            return Ok(());
        };
        self.group();
        self.retouch(EntityKind::Visit, first.id)?;
        self.retouch(EntityKind::Visit, second.id)
    }

    fn retouch(&mut self, kind: EntityKind, id: Uuid) -> Result<()> {
        let Some(row) = self.batch.get(kind, id)? else { return Ok(()) };
        let mut patch = Patch::new();
        for _ in 0..self.dice.between(1, 2) {
            let field = self.field(kind);
            let (Some((name, value)), def) = (field, kind.def()) else { return Ok(()) };
            let Some(at) = def.position(name) else { continue };
            if patch.iter().all(|(other, _)| *other != at) {
                patch.push((at, value));
            }
        }
        patch.sort_by_key(|(at, _)| *at);
        self.patch(kind, &row, &patch)
    }

    /// Draws a field of a kind that anyone may change, and a new value for it.
    fn field(&mut self, kind: EntityKind) -> Option<(&'static str, Value)> {
        let words = Value::Text(self.words());
        let number = Value::Int(self.dice.between(0, 300));
        let code = |codes: &[&str], dice: &mut Dice| Value::Text(codes[dice.below(codes.len())].to_owned());
        let choices: Vec<(&'static str, Value)> = match kind {
            EntityKind::Visit => vec![
                ("summary", words.clone()),
                ("purpose", words),
                ("travel_km", number),
                ("risk_rating", code(&["LOW", "MEDIUM", "HIGH"], self.dice)),
            ],
            EntityKind::FollowUpAction => vec![
                ("text", words.clone()),
                ("responsible_name", words.clone()),
                ("status_note", words),
                ("priority", code(&["LOW", "NORMAL", "HIGH"], self.dice)),
            ],
            EntityKind::Finding => vec![("text", words.clone()), ("rule_ref", words)],
            EntityKind::Attendee => vec![("name", words.clone()), ("organisation", words)],
            EntityKind::ChecklistAnswer => vec![("na_reason", words)],
            EntityKind::Position => vec![("title", words)],
            EntityKind::Employment => vec![("holder_name", words.clone()), ("contract_no", words)],
            EntityKind::MonthlyJobStatus => vec![("note", words.clone()), ("hours_worked", number)],
            _ => return None,
        };
        self.dice.pick(&choices).cloned()
    }

    /// Answers a question: on every phone the same row.
    fn answer(&mut self) -> Result<()> {
        let Some(visit) = self.visit()? else { return Ok(()) };
        let question = self.question();
        let id = ChecklistAnswer::id_of(visit.id, question, None);
        match self.batch.get(EntityKind::ChecklistAnswer, id.0)? {
            Some(_) => self.retouch(EntityKind::ChecklistAnswer, id.0),
            None => {
                self.marks = true;
                let answer = sample::answer(&visit, question, &self.words());
                self.put(&answer)
            }
        }
    }

    fn new_job(&mut self) -> Result<()> {
        let Some(enterprise) = self.enterprise()? else { return Ok(()) };
        let mut position = sample::position(enterprise);
        (position.id, position.title) = (PositionId(self.new_id()), self.words());
        let mut employment = sample::employment(&position, UserId(self.actor.user));
        employment.id = EmploymentId(self.new_id());
        if self.dice.per_mille(500) {
            self.group();
        }
        self.put(&position)?;
        employment.holder_name = self.words();
        self.put(&employment)
    }

    fn month(&mut self) -> Result<()> {
        let Some(row) = self.pick(EntityKind::Employment)? else { return Ok(()) };
        let Some(enterprise) = row.get(EntityKind::Employment.def(), "enterprise_id").as_uuid() else { return Ok(()) };
        let month = MonthlyJobStatus {
            id: MonthlyJobStatusId(self.new_id()),
            enterprise_id: EnterpriseId(enterprise),
            employment_id: EmploymentId(row.id),
            month_on: sample::day("2026-02-01"),
            is_active: true,
            hours_worked: Some(160),
            absence_kind: None,
            is_wage_paid: Some(true),
            visit_id: None,
            note: Some(self.words()),
        };
        self.put(&month)
    }

    /// Completes a visit: everything that the rules ask for is filled in first.
    fn complete(&mut self) -> Result<()> {
        let Some(visit) = self.visit()? else { return Ok(()) };
        if visit.status != VisitStatus::InProgress && visit.status != VisitStatus::Returned {
            return Ok(());
        }
        let before = visit.to_row();
        let mut after = visit;
        after.actual_start_at.get_or_insert(self.actor.now);
        after.actual_end_at = Some(self.actor.now);
        after.gps_exception_reason = Some(self.words());
        after.signature_refusal_note = Some(self.words());
        after.status = VisitStatus::Completed;
        self.patch(EntityKind::Visit, &before, &patch::diff(&before, &after.to_row()))
    }

    fn void(&mut self) -> Result<()> {
        let kinds = [EntityKind::Attendee, EntityKind::Finding, EntityKind::FollowUpAction, EntityKind::Visit];
        let kind = kinds[self.dice.below(kinds.len())];
        let Some(row) = self.pick(kind)? else { return Ok(()) };
        self.batch.reason(mark(self.scribe.next()));
        self.batch.delete(kind, row.id)?;
        self.scribe.draft(kind, row.id, Op::Delete, Some(&row), None);
        Ok(())
    }

    /// Decides for the value that is shown, or for another one.
    fn affirm(&mut self, kind: EntityKind, id: Uuid, at: usize, sides: &[String]) -> Result<()> {
        let Some(before) = self.batch.get(kind, id)? else { return Ok(()) };
        let is_text = kind.def().fields[at].field_type == sync_protocol::value::FieldType::Text;
        let value =
            if is_text && self.dice.per_mille(500) { Value::Text(self.words()) } else { before.values[at].clone() };
        self.batch.reason(mark(self.scribe.next()));
        let after = self.batch.affirm(kind, id, &vec![(at, value)])?;
        self.scribe.draft(kind, id, Op::Patch, Some(&before), Some(&after));
        // The value is set also where it is the one that was shown.
        if let Some(deed) = self.scribe.drafts.last_mut()
            && deed.fields.iter().all(|edit| edit.at != at)
        {
            let over = self.scribe.deeds.author(kind, id, at, &after.values[at]);
            deed.fields.push(super::deed::Edit { at, value: after.values[at].clone(), over, beside: Vec::new() });
        }
        let writers = self.scribe.deeds.writers(kind, id, at).iter().copied();
        let stood = |deed: &usize| {
            let value = self.scribe.deeds.value_of(*deed, at);
            value.is_some_and(|value| sides.contains(&value.to_json().to_string()))
        };
        let beside: Vec<usize> = writers.filter(stood).collect();
        let edits = self.scribe.drafts.last_mut().into_iter().flat_map(|deed| &mut deed.fields);
        edits.filter(|edit| edit.at == at).for_each(|edit| edit.beside.clone_from(&beside));
        Ok(())
    }
}
