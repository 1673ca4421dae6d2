//! When each enterprise is visited, and what becomes of each plan.

use sync_protocol::code::{VisitKind, VisitMode};
use sync_protocol::time::{Date, Timestamp};

use super::calendar::{LAST_MONTH, at_minute, next_working_day};
use super::dice::Dice;
use super::enterprises::Story;

/// What became of a planned visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Made,
    /// Nobody came; the plan stays as it was.
    Missed,
    Cancelled,
    Rescheduled,
    /// Still to come.
    Ahead,
}

/// A planned visit.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) path: String,
    pub(super) month: i32,
    pub(super) starts_at: Timestamp,
    pub(super) kind: VisitKind,
    pub(super) mode: VisitMode,
    pub(super) fate: Fate,
}

impl Plan {
    /// Returns the day of the visit.
    pub(super) fn date(&self) -> Date {
        self.starts_at.date()
    }
}

/// Returns the visits of an enterprise in the order of time.
pub(super) fn of(dice: &mut Dice, story: &Story) -> Vec<Plan> {
    let mut plans = Vec::new();
    let first_month = story.registered_month + 1;
    for month in first_month..=story.last_month {
        add_month(dice, story, month, month - first_month, &mut plans);
    }
    if story.is_visited() {
        add_recent(dice, story, &mut plans);
        add_ahead(dice, story, &mut plans);
    }
    plans
}

/// One visit a month; a second one when the first was put off, and now and then one that nobody had planned.
fn add_month(dice: &mut Dice, story: &Story, month: i32, sequence: i32, plans: &mut Vec<Plan>) {
    let kind = monthly_kind(sequence);
    let drawn = dice.weighted(&[(82, Fate::Made), (5, Fate::Missed), (3, Fate::Cancelled), (10, Fate::Rescheduled)]);
    let fate = if sequence == 0 { Fate::Made } else { drawn };
    let day = dice.between(2, 12);
    let mut add = |dice: &mut Dice, number, day, kind, fate| {
        let path = format!("{}/visit/{sequence:02}-{number}", story.path);
        let date = story.calendar.working_day(month, day);
        plans.push(plan(dice, path, month, date, kind, fate));
    };
    add(dice, 1, day, kind, fate);
    if fate == Fate::Rescheduled {
        add(dice, 2, day + 7, kind, Fate::Made);
    }
    let kind = dice.weighted(&[(1, VisitKind::FollowUp), (1, VisitKind::AdHoc)]);
    // The last month keeps its end free for the visits of the last days.
    if dice.chance(40) && month < LAST_MONTH {
        add(dice, 3, day + 14, kind, Fate::Made);
    }
}

fn monthly_kind(sequence: i32) -> VisitKind {
    match sequence {
        0 => VisitKind::SetUp,
        _ if sequence % 6 == 3 => VisitKind::Financial,
        _ if sequence % 6 == 0 => VisitKind::JobsVerification,
        _ => VisitKind::Routine,
    }
}

/// Two in three enterprises were visited in the last four days, so that the office has something to validate.
fn add_recent(dice: &mut Dice, story: &Story, plans: &mut Vec<Plan>) {
    let day = story.calendar.today.plus_days(-dice.between(1, 4));
    if dice.chance(650) {
        let path = format!("{}/visit/recent", story.path);
        plans.push(plan(dice, path, 0, previous_working_day(day), VisitKind::Routine, Fate::Made));
    }
}

/// Two plans lie ahead; every fifth enterprise is visited today, so that nearly every mentor has a visit to make.
fn add_ahead(dice: &mut Dice, story: &Story, plans: &mut Vec<Plan>) {
    let soon = dice.between(1, 26);
    let later = dice.between(30, 56);
    let is_today = story.number % 5 == 1;
    let next = if is_today { story.calendar.today } else { next_working_day(story.calendar.today.plus_days(soon)) };
    let after = next_working_day(story.calendar.today.plus_days(later));
    for (number, date, kind) in [(1, next, VisitKind::Routine), (2, after, VisitKind::Financial)] {
        let path = format!("{}/visit/ahead-{number}", story.path);
        plans.push(plan(dice, path, 0, date, kind, Fate::Ahead));
    }
}

fn previous_working_day(date: Date) -> Date {
    let next = next_working_day(date);
    // Saturday is two days before Monday, Sunday one: go back to Friday.
    if next == date { date } else { next.plus_days(-3) }
}

fn plan(dice: &mut Dice, path: String, month: i32, date: Date, kind: VisitKind, fate: Fate) -> Plan {
    let starts_at = at_minute(date, 7 * 60 + 15 * dice.between(0, 26));
    let mode = dice.weighted(&[(88, VisitMode::OnSite), (7, VisitMode::Remote), (5, VisitMode::Phone)]);
    let mode = if kind == VisitKind::SetUp || fate == Fate::Ahead { VisitMode::OnSite } else { mode };
    Plan { path, month, starts_at, kind, mode, fate }
}
