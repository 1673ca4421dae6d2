//! A person at a phone, and what one of them may do there.

use client_sdk::error::Result;
use client_sdk::store::{Query, WriteBatch};
use sync_protocol::code::*;
use sync_protocol::entity::{Attendee, ChecklistAnswer, Entity, EntityKind, MonthlyJobStatus, Position, Row, Visit};
use sync_protocol::id::*;
use sync_protocol::mutation::Op;
use sync_protocol::patch::{self, Patch};
use sync_protocol::value::Value;
use uuid::Uuid;

use super::{Actor, LOOK_THROUGH, Scribe};
use crate::sample;
use crate::simulator::deed::{Edit, mark};
use crate::simulator::dice::Dice;

/// The same person, as two people write the name.
const HOLDERS: [&str; 2] = ["Ion Țepeș", "tepes, ION"];

/// A person at a phone.
pub(super) struct Desk<'a, 'b, 'd> {
    batch: &'a mut WriteBatch<'b>,
    scribe: &'a mut Scribe<'d>,
    dice: &'a mut Dice,
    actor: Actor,
    /// Whether creations carry their mark; without one, the server keeps no payload of them: the row tells all.
    marks: bool,
}

/// What a person may do there.
pub(super) type Act = fn(&mut Desk<'_, '_, '_>) -> Result<()>;

/// Does what is done about jobs that are registered.
pub(super) fn employ(desk: &mut Desk<'_, '_, '_>) -> Result<()> {
    match desk.dice.below(8) {
        0 | 1 => {
            let holder = HOLDERS[desk.dice.below(HOLDERS.len())];
            desk.new_job(Some(holder))
        }
        2 => desk.change(EntityKind::Position),
        3 | 4 => match desk.pick_alike(EntityKind::Employment)? {
            Some(job) => desk.retouch(EntityKind::Employment, job.id),
            None => Ok(()),
        },
        5 | 6 => {
            let job = desk.pick_alike(EntityKind::Employment)?;
            desk.month(job)
        }
        _ => desk.new_holder(),
    }
}

pub(super) fn act(desk: &mut Desk<'_, '_, '_>) -> Result<()> {
    match desk.dice.below(100) {
        0..=17 => desk.new_visit(),
        18..=35 => desk.change(EntityKind::Visit),
        36..=45 => desk.new_part(),
        46..=54 => desk.change(EntityKind::FollowUpAction),
        55..=57 => desk.change_together(),
        58..=63 => desk.change(EntityKind::Finding),
        64..=71 => desk.answer(),
        72..=79 => desk.new_job(None),
        80..=84 => desk.change(EntityKind::Position),
        85..=89 => {
            let job = desk.pick(EntityKind::Employment)?;
            desk.month(job)
        }
        90..=93 => desk.complete(),
        _ => desk.void(),
    }
}

impl<'a, 'b, 'd> Desk<'a, 'b, 'd> {
    pub(super) fn new(batch: &'a mut WriteBatch<'b>, scribe: &'a mut Scribe<'d>, dice: &'a mut Dice) -> Self {
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

    /// Picks a row that may have been registered twice, about which the office decides soon; any row if there is none.
    fn pick_alike(&mut self, kind: EntityKind) -> Result<Option<Row>> {
        let def = EntityKind::MergeProposal.def();
        let mut open = self.list(EntityKind::MergeProposal)?;
        open.retain(|row| {
            row.get(def, "state").as_text() == Some(MergeState::Open.code())
                && row.get(def, "subject_kind").as_text() == Some(kind.def().name)
        });
        let side = if self.dice.per_mille(500) { "first_id" } else { "second_id" };
        match self.dice.pick(&open).and_then(|proposal| proposal.get(def, side).as_uuid()) {
            Some(row) => self.batch.get(kind, row),
            None => self.pick(kind),
        }
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

    pub(super) fn retouch(&mut self, kind: EntityKind, id: Uuid) -> Result<()> {
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

    /// Registers a job, of someone whom others may register, too, or of someone of whom nobody else knows.
    fn new_job(&mut self, holder: Option<&str>) -> Result<()> {
        let Some(enterprise) = self.enterprise()? else { return Ok(()) };
        let mut position = sample::position(enterprise);
        (position.id, position.title) = (PositionId(self.new_id()), self.words());
        let mut employment = sample::employment(&position, UserId(self.actor.user));
        employment.id = EmploymentId(self.new_id());
        if self.dice.per_mille(500) {
            self.group();
        }
        self.put(&position)?;
        employment.holder_name = holder.map_or_else(|| self.words(), str::to_owned);
        self.put(&employment)
    }

    /// Registers someone else in a position.
    fn new_holder(&mut self) -> Result<()> {
        let Some(row) = self.pick(EntityKind::Position)? else { return Ok(()) };
        let Ok(position) = Position::from_row(&row) else { return Ok(()) };
        let mut employment = sample::employment(&position, UserId(self.actor.user));
        (employment.id, employment.holder_name) = (EmploymentId(self.new_id()), self.words());
        self.put(&employment)
    }

    /// Says what a job was like in a month: on every phone the same row.
    fn month(&mut self, job: Option<Row>) -> Result<()> {
        let Some(row) = job else { return Ok(()) };
        let Some(enterprise) = row.get(EntityKind::Employment.def(), "enterprise_id").as_uuid() else { return Ok(()) };
        let (employment_id, month_on) = (EmploymentId(row.id), sample::day("2026-02-01"));
        let id = MonthlyJobStatus::id_of(employment_id, month_on);
        if self.batch.get(EntityKind::MonthlyJobStatus, id.0)?.is_some() {
            return self.retouch(EntityKind::MonthlyJobStatus, id.0);
        }
        self.marks = true;
        let month = MonthlyJobStatus {
            id,
            enterprise_id: EnterpriseId(enterprise),
            employment_id,
            month_on,
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
    pub(super) fn affirm(&mut self, kind: EntityKind, id: Uuid, at: usize, sides: &[String]) -> Result<()> {
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
            deed.fields.push(Edit { at, value: after.values[at].clone(), over, beside: Vec::new() });
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
