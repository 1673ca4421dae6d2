//! The visits of one enterprise, played from the first to the last.

use sha2::{Digest as _, Sha256};
use sync_protocol::code::{RiskRating, Severity, VisitKind, VisitMode, VisitStatus};
use sync_protocol::entity::{AnswerValue, Attendee, ChecklistAnswer, Employment, Place, Position, Visit};
use sync_protocol::id::VisitId;
use sync_protocol::time::{Date, Timestamp};

use super::answers::{self, Facts};
use super::calendar::{at_minute, previous_month_name};
use super::classifications::occupation_title;
use super::dice::Dice;
use super::enterprises::{self, Story};
use super::follow_up::{self, OpenActions};
use super::people;
use super::schedule::{self, Fate, Plan};
use super::staff;
use super::tables::Tables;
use super::texts::{self, Slots};

/// The number of the enterprise in which one position came from a mock provider.
const MOCK_POSITION: usize = 6;
/// The last month whose visits are locked with their reporting period.
const LOCKED_MONTH: i32 = -12;

/// One visit that was made, with everything needed to write it down.
pub(super) struct Scene<'a> {
    pub(super) story: &'a Story,
    pub(super) positions: &'a [Position],
    pub(super) held: &'a [Employment],
    pub(super) path: &'a str,
    pub(super) visit_id: VisitId,
    pub(super) month: i32,
    pub(super) date: Date,
    pub(super) previous_on: Option<Date>,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) slots: Slots<'a>,
}

/// Adds the visits of an enterprise with everything recorded during them; returns the visits that were made, each
/// with its month.
pub(super) fn add(dice: &mut Dice, story: &Story, held: &[Employment], tables: &mut Tables) -> Vec<(i32, VisitId)> {
    let positions: Vec<Position> =
        tables.positions.iter().filter(|position| position.enterprise_id == story.id).cloned().collect();
    let mut open_actions = OpenActions::default();
    let mut made = Vec::new();
    let mut previous_on = None;
    for plan in schedule::of(dice, story) {
        let mut visit = planned(story, &plan);
        if plan.fate == Fate::Made {
            let scene = scene(story, dice, &plan, &positions, held, previous_on);
            play(&scene, dice, &mut visit, &mut open_actions, tables);
            made.push((plan.month, visit.id));
            previous_on = Some(plan.date());
        }
        tables.visits.push(visit);
    }
    open_actions.close_some(story.calendar.today, dice, tables);
    made
}

fn planned(story: &Story, plan: &Plan) -> Visit {
    let status = match plan.fate {
        Fate::Made | Fate::Missed | Fate::Ahead => VisitStatus::Planned,
        Fate::Cancelled => VisitStatus::Cancelled,
        Fate::Rescheduled => VisitStatus::Rescheduled,
    };
    let is_replacement = plan.kind == VisitKind::SetUp && story.number == enterprises::REPLACEMENT;
    let note = if is_replacement { " (întreprindere admisă de pe lista de rezervă)" } else { "" };
    Visit {
        id: story.ids.at(&plan.path),
        enterprise_id: story.id,
        mentor_id: story.mentor_in(plan.month),
        kind: plan.kind,
        mode: plan.mode,
        purpose: Some(format!("{}{note}", texts::purpose(plan.kind))),
        planned_start_at: Some(plan.starts_at),
        planned_end_at: Some(plan.starts_at.plus_ms(2 * 3_600_000)),
        actual_start_at: None,
        actual_end_at: None,
        form_id: Some(story.ids.at("form/VISIT_ROUTINE/3")),
        status,
        arrival_place: None,
        gps_exception_reason: None,
        summary: None,
        risk_rating: None,
        next_visit_on: None,
        travel_km: None,
        signer_name: None,
        signer_role: None,
        signed_at: None,
        signed_content_hash: None,
        signature_refusal_note: None,
        return_reason: None,
        validated_by: None,
        validated_at: None,
    }
}

fn scene<'a>(
    story: &'a Story,
    dice: &mut Dice,
    plan: &'a Plan,
    positions: &'a [Position],
    held: &'a [Employment],
    previous_on: Option<Date>,
) -> Scene<'a> {
    let started_at = plan.starts_at.plus_ms(i64::from(dice.between(-15, 25)) * 60_000);
    Scene {
        story,
        positions,
        held,
        path: &plan.path,
        visit_id: story.ids.at(&plan.path),
        month: plan.month,
        date: plan.date(),
        previous_on,
        started_at,
        ended_at: started_at.plus_ms(i64::from(dice.between(62, 150)) * 60_000),
        slots: Slots {
            locality: story.locality.name,
            month: previous_month_name(plan.date()),
            post: occupation_title(dice.pick(&story.trade.jobs[1..])),
            number: dice.between(2, 6),
        },
    }
}

/// Plays a visit: what was found, what became of open actions, the form, who was there, who signed.
fn play(scene: &Scene<'_>, dice: &mut Dice, visit: &mut Visit, open_actions: &mut OpenActions, tables: &mut Tables) {
    let reviewed = open_actions.review(scene, dice, tables);
    let remarks = follow_up::add(scene, dice, open_actions, tables);
    let worst_is = |severity| remarks.iter().any(|remark| remark.severity == severity);
    let drawn_risk = dice.weighted(&[(70, RiskRating::Low), (28, RiskRating::Medium), (2, RiskRating::High)]);
    let facts = Facts {
        risk: if worst_is(Severity::Critical) { RiskRating::High } else { drawn_risk },
        next_visit_on: scene.date.plus_days(dice.between(26, 35)),
        reviewed,
        remarks,
    };
    let answers = answers::of(scene, dice, &facts);
    record(scene, dice, visit, &facts);
    add_attendees(scene, dice, tables);
    let signed_text = signed_text(visit, &answers);
    sign(scene, dice, visit, &signed_text);
    pass_through_office(scene, dice, visit);
    tables.answers.extend(answers);
}

fn record(scene: &Scene<'_>, dice: &mut Dice, visit: &mut Visit, facts: &Facts) {
    visit.actual_start_at = Some(scene.started_at);
    visit.actual_end_at = Some(scene.ended_at);
    visit.summary = Some(scene.slots.fill(dice.pick(texts::SUMMARIES)));
    visit.risk_rating = Some(facts.risk);
    visit.next_visit_on = Some(facts.next_visit_on);
    let travel_km = dice.between(6, 140);
    let place = arrival(scene, dice);
    let reason = dice.pick(texts::NO_POSITION);
    if visit.mode != VisitMode::OnSite {
        visit.gps_exception_reason = Some("Vizită la distanță.".to_owned());
        return;
    }
    visit.travel_km = Some(travel_km);
    visit.gps_exception_reason = place.is_none().then(|| reason.to_owned());
    visit.arrival_place = place;
}

/// Returns where the phone was on arrival; 4 % of the visits have no position.
fn arrival(scene: &Scene<'_>, dice: &mut Dice) -> Option<Place> {
    let accuracy_m = dice.log_normal(9.0, 0.6);
    let mut place = enterprises::near(dice, scene.story.locality, Some(accuracy_m));
    let has_no_fix = dice.chance(40);
    let is_first = scene.previous_on.is_none();
    place.fixed_at = Some(scene.started_at.plus_ms(i64::from(dice.between(5, 170)) * 1000));
    // The first visit always has a position, so that the one mocked position does not depend on chance.
    place.is_mock = is_first && scene.story.number == MOCK_POSITION;
    (is_first || !has_no_fix).then_some(place)
}

fn add_attendees(scene: &Scene<'_>, dice: &mut Dice, tables: &mut Tables) {
    let representative = (scene.story.representative.clone(), "administrator", true);
    let colleague = (people::name(dice), dice.pick(&["șef de echipă", "contabil", "angajat"]), dice.chance(930));
    let has_colleague = dice.chance(550);
    let present = [Some(representative), has_colleague.then_some(colleague)];
    for (at, (name, role, is_present)) in present.into_iter().flatten().enumerate() {
        tables.attendees.push(Attendee {
            id: scene.story.ids.at(&format!("{}/attendee/{}", scene.path, at + 1)),
            enterprise_id: scene.story.id,
            visit_id: scene.visit_id,
            name,
            role: role.to_owned(),
            organisation: None,
            is_present,
        });
    }
}

/// Returns the text that a signature covers.
fn signed_text(visit: &Visit, answers: &[ChecklistAnswer]) -> String {
    let mut text = format!("{}\n{}\n", visit.id, visit.summary.as_deref().unwrap_or_default());
    for answer in answers {
        let value = answer.value.as_ref().map(AnswerValue::text).unwrap_or_default();
        text.push_str(&format!("{}/{}={value}\n", answer.question_code, answer.item_id.unwrap_or_default()));
    }
    text
}

fn sign(scene: &Scene<'_>, dice: &mut Dice, visit: &mut Visit, signed_text: &str) {
    let refusal = dice.pick(texts::NO_SIGNATURE);
    if dice.chance(50) {
        visit.signature_refusal_note = Some(refusal.to_owned());
        return;
    }
    visit.signer_name = Some(scene.story.representative.clone());
    visit.signer_role = Some("administrator".to_owned());
    visit.signed_at = Some(scene.ended_at);
    visit.signed_content_hash = Some(hex(&Sha256::digest(signed_text.as_bytes())));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Old visits are locked, those before last month validated, recent ones wait for the coordinator.
fn pass_through_office(scene: &Scene<'_>, dice: &mut Dice, visit: &mut Visit) {
    let is_returned = dice.chance(150);
    let is_quick = dice.chance(300);
    let reason = dice.pick(texts::RETURN_REASONS);
    let validated_at = at_minute(scene.date.plus_days(dice.between(3, 8)), 9 * 60 + dice.between(0, 400));
    visit.status = match scene.month {
        month if month <= LOCKED_MONTH => VisitStatus::Locked,
        -2 | -3 if is_returned => VisitStatus::Returned,
        month if month <= -2 || month == -1 && is_quick => VisitStatus::Validated,
        _ => VisitStatus::Submitted,
    };
    match visit.status {
        VisitStatus::Locked | VisitStatus::Validated => {
            visit.validated_by = Some(staff::coordinator(&scene.story.ids));
            visit.validated_at = Some(validated_at);
        }
        VisitStatus::Returned => visit.return_reason = Some(reason.to_owned()),
        _ => {}
    }
}
