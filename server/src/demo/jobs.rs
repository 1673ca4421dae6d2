//! The 105 positions and the people who hold them, one after the other.

use rust_decimal::Decimal;
use sync_protocol::code::{
    ContractType, EmploymentStatus, EndReason, EnterpriseStatus, PositionStatus, Verification, WageBand,
};
use sync_protocol::entity::{Employment, Position};
use sync_protocol::id::PositionId;

use super::calendar::LAST_MONTH;
use super::classifications::occupation_title;
use super::dice::Dice;
use super::enterprises::{REPLACEMENT, Story};
use super::people;
use super::staff;
use super::tables::Tables;

/// Chance per thousand and month that a person leaves.
const LEAVING: u32 = 36;
/// Chance per thousand that a vacant position is filled again.
const REFILL: u32 = 900;
/// Chance per thousand that a promised position has never been filled.
const NEVER_FILLED: u32 = 60;

/// When a person holds a position, as month and day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) start: (i32, i32),
    pub(super) end: Option<(i32, i32)>,
}

/// Adds the positions of an enterprise and their employments; returns the term of each employment, in order.
pub(super) fn add(dice: &mut Dice, story: &Story, tables: &mut Tables) -> Vec<(Employment, Term)> {
    let mut held = Vec::new();
    for job in 0..story.trade.jobs.len() {
        let terms = terms(dice, story, job);
        let weekly_hours = dice.weighted(&[(70, 40), (25, 20), (5, 30)]);
        let position = position(dice, story, job, weekly_hours, &terms);
        for (at, term) in terms.iter().enumerate() {
            let path = format!("{}/position/{}/employment/{}", story.path, job + 1, at + 1);
            held.push((employment(dice, story, &path, position.id, weekly_hours, *term), *term));
        }
        tables.positions.push(position);
    }
    tables.employments.extend(held.iter().map(|(employment, _)| employment.clone()));
    held
}

/// Returns the full-time equivalent of weekly hours: a fortieth each, two decimals, half to even.
fn fte(weekly_hours: i32) -> Decimal {
    let mut fte = (Decimal::from(weekly_hours) / Decimal::from(40)).round_dp(2);
    fte.rescale(2);
    fte
}

/// Returns the terms of the people who held the position; they never overlap (I19).
fn terms(dice: &mut Dice, story: &Story, job: usize) -> Vec<Term> {
    let is_open = story.number == REPLACEMENT && job > 2 || dice.chance(NEVER_FILLED) && job > 0;
    let mut terms = Vec::new();
    let mut start = (story.registered_month + dice.between(1, 3), dice.between(1, 20));
    while !is_open && start.0 <= story.last_month.min(LAST_MONTH) {
        let end = end_of_term(dice, story, start.0);
        terms.push(Term { start, end });
        match end {
            Some((month, _)) if dice.chance(REFILL) => start = (month + 1, dice.between(6, 17)),
            _ => break,
        }
    }
    terms
}

fn end_of_term(dice: &mut Dice, story: &Story, start_month: i32) -> Option<(i32, i32)> {
    let left = (start_month + 1..=story.last_month).find(|_| dice.chance(LEAVING));
    let ended = story.status == EnterpriseStatus::Terminated;
    left.map(|month| (month, dice.between(8, 28))).or(ended.then_some((story.last_month + 1, 28)))
}

fn position(dice: &mut Dice, story: &Story, job: usize, weekly_hours: i32, terms: &[Term]) -> Position {
    let isco_code = story.trade.jobs[job];
    Position {
        id: story.ids.at(&format!("{}/position/{}", story.path, job + 1)),
        enterprise_id: story.id,
        code: format!("P-{:03}", (story.number - 1) * story.trade.jobs.len() + job + 1),
        title: occupation_title(isco_code).to_owned(),
        isco_code: isco_code.to_owned(),
        fte: fte(weekly_hours),
        planned_start_on: Some(story.calendar.day(story.registered_month + 2, 1)),
        is_committed: true,
        status: position_status(story, terms),
        is_reserved_for_vulnerable: dice.chance(if story.trade.is_wise { 700 } else { 350 }),
        first_filled_on: terms.first().map(|term| story.calendar.day(term.start.0, term.start.1)),
    }
}

fn position_status(story: &Story, terms: &[Term]) -> PositionStatus {
    match terms.last() {
        _ if story.status == EnterpriseStatus::Terminated => PositionStatus::Closed,
        None => PositionStatus::Planned,
        Some(Term { end: None, .. }) => PositionStatus::Filled,
        Some(_) => PositionStatus::Vacant,
    }
}

fn employment(
    dice: &mut Dice,
    story: &Story,
    path: &str,
    position_id: PositionId,
    weekly_hours: i32,
    term: Term,
) -> Employment {
    let (start_month, start_day) = term.start;
    let age = dice.weighted(&[(18, (55, 61)), (15, (18, 24)), (67, (25, 54))]);
    let age = dice.between(age.0, age.1);
    let vulnerability = vulnerability(dice, age);
    let verification = verification(dice, start_month);
    let is_verified = verification == Verification::Verified;
    let end_reason = end_reason(dice, story, term);
    Employment {
        id: story.ids.at(path),
        enterprise_id: story.id,
        position_id,
        holder_name: people::name(dice),
        holder_birth_on: Some(story.calendar.day(start_month - 12 * age - dice.between(1, 11), dice.between(1, 28))),
        contract_type: contract_type(dice, weekly_hours),
        contract_no: Some(format!("CIM {}", dice.between(1, 480))),
        start_on: story.calendar.day(start_month, start_day),
        end_on: term.end.map(|(month, day)| story.calendar.day(month, day)),
        end_reason,
        weekly_hours: Decimal::from(weekly_hours),
        fte: fte(weekly_hours),
        wage_band: Some(wage_band(dice, weekly_hours)),
        is_vulnerable: !vulnerability.is_empty(),
        vulnerability_codes: (!vulnerability.is_empty()).then_some(vulnerability),
        status: employment_status(term, verification),
        verification,
        verified_by: is_verified.then(|| staff::monitoring_officer(&story.ids)),
        verified_on: is_verified.then(|| story.calendar.working_day(start_month + 1, start_day)),
        recorded_by: story.mentor_in(start_month),
    }
}

fn vulnerability(dice: &mut Dice, age: i32) -> Vec<String> {
    let drawn = [
        (age >= 55, "AGE_55_PLUS"),
        (age <= 24, "NEET_YOUTH"),
        (dice.chance(140), "DISABILITY"),
        (dice.chance(300), "AT_RISK_POVERTY"),
        (dice.chance(120), "MARGINALISED_COMMUNITY"),
    ];
    drawn.iter().filter(|(applies, _)| *applies).map(|(_, code)| (*code).to_owned()).collect()
}

fn verification(dice: &mut Dice, start_month: i32) -> Verification {
    let of_old_record = dice.weighted(&[(86, Verification::Verified), (14, Verification::Seen)]);
    let of_new_record = dice.weighted(&[(1, Verification::Seen), (1, Verification::None)]);
    if start_month <= -3 { of_old_record } else { of_new_record }
}

fn employment_status(term: Term, verification: Verification) -> EmploymentStatus {
    match verification {
        _ if term.end.is_some() => EmploymentStatus::Ended,
        Verification::Verified => EmploymentStatus::Verified,
        Verification::Seen => EmploymentStatus::Evidenced,
        _ => EmploymentStatus::Recorded,
    }
}

fn end_reason(dice: &mut Dice, story: &Story, term: Term) -> Option<EndReason> {
    let drawn = dice.weighted(&[
        (45, EndReason::Resignation),
        (30, EndReason::Mutual),
        (10, EndReason::EndOfTerm),
        (8, EndReason::Disciplinary),
        (7, EndReason::Retirement),
    ]);
    let closes_with_enterprise =
        story.status == EnterpriseStatus::Terminated && term.end.is_some_and(|(month, _)| month > story.last_month);
    term.end.map(|_| if closes_with_enterprise { EndReason::Redundancy } else { drawn })
}

fn contract_type(dice: &mut Dice, weekly_hours: i32) -> ContractType {
    let full_time = dice.weighted(&[(85, ContractType::Indefinite), (15, ContractType::FixedTerm)]);
    if weekly_hours < 40 { ContractType::PartTime } else { full_time }
}

fn wage_band(dice: &mut Dice, weekly_hours: i32) -> WageBand {
    let full_time = dice.weighted(&[(25, WageBand::UpTo3500), (60, WageBand::UpTo5000), (15, WageBand::Above5000)]);
    if weekly_hours <= 20 { WageBand::UpTo2500 } else { full_time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_time_equivalents_have_two_decimals_half_to_even() {
        let texts: Vec<String> = [40, 30, 20, 25, 35].iter().map(|hours| fte(*hours).to_string()).collect();
        assert_eq!(texts, ["1.00", "0.75", "0.50", "0.62", "0.88"]);
    }
}
