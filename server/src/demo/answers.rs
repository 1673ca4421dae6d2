//! The answers of one visit: every question of the form that applies, in agreement with what was found.

use rust_decimal::Decimal;
use sync_protocol::code::{FindingArea as Area, RiskRating, Severity};
use sync_protocol::entity::{AnswerValue as Value, ChecklistAnswer};
use sync_protocol::time::Date;
use uuid::Uuid;

use super::calendar::month_number;
use super::dice::Dice;
use super::texts::{self, Remark};
use super::visits::Scene;

/// What the visit has established besides the form.
pub(super) struct Facts {
    pub(super) risk: RiskRating,
    pub(super) next_visit_on: Date,
    /// The actions that were open, and whether each was seen to be done.
    pub(super) reviewed: Vec<(Uuid, bool)>,
    pub(super) remarks: Vec<&'static Remark>,
}

impl Facts {
    fn concern(&self, area: Area) -> bool {
        self.remarks.iter().any(|remark| remark.area == area && remark.severity != Severity::Info)
    }

    fn are_critical_in(&self, area: Area) -> bool {
        self.remarks.iter().any(|remark| remark.area == area && remark.severity == Severity::Critical)
    }
}

/// Collects the answers in the order of the form.
struct Sheet<'a> {
    scene: &'a Scene<'a>,
    answers: Vec<ChecklistAnswer>,
}

/// Returns the answers of a visit.
pub(super) fn of(scene: &Scene<'_>, dice: &mut Dice, facts: &Facts) -> Vec<ChecklistAnswer> {
    let mut sheet = Sheet { scene, answers: Vec::new() };
    answer_general(&mut sheet, dice, facts);
    answer_jobs(&mut sheet, dice, facts);
    answer_equipment_and_money(&mut sheet, dice, facts);
    answer_social_mission(&mut sheet, dice, facts);
    answer_follow_up(&mut sheet, facts);
    sheet.answers
}

fn answer_general(sheet: &mut Sheet<'_>, dice: &mut Dice, facts: &Facts) {
    let state = dice.weighted(&[(94, "YES"), (4, "PARTLY"), (2, "NO")]);
    let reason = dice.pick(texts::NOT_OPERATING);
    sheet.choose("G01", state);
    if state != "YES" {
        sheet.answer("G02", Value::Text(reason.to_owned()));
    }
    sheet.answer("G03", Value::Bool(!facts.concern(Area::Visibility)));
    sheet.answer("G04", Value::Bool(!facts.concern(Area::Accreditation)));
}

fn answer_jobs(sheet: &mut Sheet<'_>, dice: &mut Dice, facts: &Facts) {
    let states: Vec<(Uuid, &str)> = sheet
        .scene
        .positions
        .iter()
        .map(|position| {
            // Drawn for vacant positions too: the dice must not depend on the calendar.
            let is_absent = dice.chance(120);
            let is_filled =
                sheet.scene.held.iter().any(|held| {
                    held.position_id == position.id && is_active(held.start_on, held.end_on, sheet.scene.date)
                });
            let state = if !is_filled {
                "VACANT"
            } else if is_absent {
                "FILLED_ABSENT"
            } else {
                "FILLED_PRESENT"
            };
            (position.id.0, state)
        })
        .collect();
    let count = |wanted: &str| states.iter().filter(|(_, state)| *state == wanted).count() as i32;
    let present = count("FILLED_PRESENT");
    let contracts = present + count("FILLED_ABSENT");
    sheet.answer("J01", Value::Int(present));
    sheet.answer("J02", Value::Int(contracts));
    for (position, state) in states {
        sheet.answer_for("J03", Some(position), Value::Choice(state.to_owned()));
    }
    let payroll = dice.weighted(&[(88, "SEEN"), (9, "PARTLY"), (3, "NOT_AVAILABLE")]);
    sheet.choose("J04", if facts.concern(Area::Payroll) { "PARTLY" } else { payroll });
    sheet.answer("J05", Value::Int(moves_since_last_visit(sheet.scene)));
    sheet.answer("J06", Value::Bool(!facts.concern(Area::Jobs)));
}

fn is_active(start_on: Date, end_on: Option<Date>, on: Date) -> bool {
    start_on <= on && end_on.is_none_or(|end| end >= on)
}

fn moves_since_last_visit(scene: &Scene<'_>) -> i32 {
    let since = scene.previous_on.unwrap_or(scene.date.plus_days(-30));
    let is_new = |date: Date| since < date && date <= scene.date;
    let joined = scene.held.iter().filter(|held| is_new(held.start_on)).count();
    let left = scene.held.iter().filter(|held| held.end_on.is_some_and(is_new)).count();
    (joined + left) as i32
}

fn answer_equipment_and_money(sheet: &mut Sheet<'_>, dice: &mut Dice, facts: &Facts) {
    let is_missing = facts.are_critical_in(Area::Equipment);
    for item in 1..=3 {
        let id: Uuid = sheet.scene.story.ids.at(&format!("{}/equipment/{item}", sheet.scene.story.path));
        sheet.answer_for("E01", Some(id), Value::Bool(!(is_missing && item == 1)));
    }
    sheet.answer("E02", Value::Bool(!facts.concern(Area::Equipment)));
    let turnover = Decimal::new(i64::from(dice.between(600_000, 5_800_000)), 2);
    sheet.answer("F01", Value::Decimal(turnover));
    sheet.answer("F02", Value::Bool(facts.concern(Area::Payroll)));
    let was_discussed = dice.chance(850);
    if month_number(sheet.scene.date) >= 10 {
        sheet.answer("F03", Value::Bool(was_discussed));
    } else {
        sheet.leave_out("F03", "Se discută în trimestrul IV.");
    }
}

fn answer_social_mission(sheet: &mut Sheet<'_>, dice: &mut Dice, facts: &Facts) {
    let activity = dice.pick(texts::SOCIAL_ACTIVITIES);
    let activity = sheet.scene.slots.fill(&activity.replace("{n}", &people_reached(dice)));
    sheet.answer("S01", Value::Text(activity));
    let access = dice.weighted(&[(60, "OK"), (40, "NOT_APPLICABLE")]);
    sheet.choose("S02", if facts.concern(Area::Accessibility) { "NEEDS_ACTION" } else { access });
    sheet.answer("S03", Value::Bool(!facts.concern(Area::HealthSafety)));
    let partners = [
        (dice.chance(150), "BUSINESS_ASSOCIATION"),
        (dice.chance(120), "EDUCATION"),
        (dice.chance(300), "SOCIAL_SERVICES"),
        (dice.chance(350), "EMPLOYMENT_SERVICE"),
        (dice.chance(400), "LOCAL_ADMINISTRATION"),
    ];
    let used = partners.iter().filter(|(is_used, _)| *is_used).map(|(_, partner)| (*partner).to_owned());
    sheet.answer("P01", Value::MultiChoice(used.collect()));
    sheet.answer("P02", Value::Bool(dice.chance(90)));
}

fn people_reached(dice: &mut Dice) -> String {
    dice.between(6, 45).to_string()
}

fn answer_follow_up(sheet: &mut Sheet<'_>, facts: &Facts) {
    for (action, is_done) in &facts.reviewed {
        let state = if *is_done { "DONE" } else { "STILL_OPEN" };
        sheet.answer_for("R01", Some(*action), Value::Choice(state.to_owned()));
    }
    sheet.choose("R02", facts.risk.code());
    sheet.answer("R03", Value::Date(facts.next_visit_on));
}

impl Sheet<'_> {
    fn choose(&mut self, question: &str, option: &str) {
        self.answer(question, Value::Choice(option.to_owned()));
    }

    fn answer(&mut self, question: &str, value: Value) {
        self.answer_for(question, None, value);
    }

    fn answer_for(&mut self, question: &str, item: Option<Uuid>, value: Value) {
        self.push(question, item, Some(value), None);
    }

    fn leave_out(&mut self, question: &str, reason: &str) {
        self.push(question, None, None, Some(reason.to_owned()));
    }

    fn push(&mut self, question: &str, item_id: Option<Uuid>, value: Option<Value>, na_reason: Option<String>) {
        let minute_share = self.answers.len() as i64 * 80_000;
        self.answers.push(ChecklistAnswer {
            id: ChecklistAnswer::id_of(self.scene.visit_id, question, item_id),
            enterprise_id: self.scene.story.id,
            visit_id: self.scene.visit_id,
            question_code: question.to_owned(),
            item_id,
            value,
            na_reason,
            answered_at: self.scene.started_at.plus_ms(minute_share).min(self.scene.ended_at),
        });
    }
}
