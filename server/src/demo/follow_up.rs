//! What visits find, the actions that follow, and how these are closed later.

use sync_protocol::code::{ActionStatus, Priority, Responsible, Severity};
use sync_protocol::entity::{Finding, FollowUpAction};
use sync_protocol::id::FindingId;
use sync_protocol::time::Date;
use uuid::Uuid;

use super::dice::Dice;
use super::tables::Tables;
use super::texts::{self, REMARKS, Remark};
use super::visits::Scene;

/// Chance per thousand that an open action is seen to be done at a visit.
const DONE_PER_VISIT: u32 = 260;

/// The open actions of one enterprise, as positions in the table.
#[derive(Debug, Default)]
pub(super) struct OpenActions(Vec<usize>);

impl OpenActions {
    /// Goes through the open actions at a visit; returns each with whether it is done.
    pub(super) fn review(&mut self, scene: &Scene<'_>, dice: &mut Dice, tables: &mut Tables) -> Vec<(Uuid, bool)> {
        let mut reviewed = Vec::new();
        let mut still_open = Vec::new();
        for at in self.0.drain(..) {
            let action = &mut tables.actions[at];
            let is_done = dice.chance(DONE_PER_VISIT);
            let note = dice.pick(if is_done { texts::DONE_NOTES } else { texts::OPEN_NOTES });
            action.status_note = Some(note.to_owned());
            if is_done {
                action.status = ActionStatus::Verified;
                action.done_on = Some(scene.date);
                action.verified_in_visit_id = Some(scene.visit_id);
            } else {
                still_open.push(at);
            }
            reviewed.push((action.id.0, is_done));
        }
        self.0 = still_open;
        reviewed
    }

    /// Settles some of what is left after the last visit: reported as done but not yet seen, or cancelled.
    pub(super) fn close_some(&self, today: Date, dice: &mut Dice, tables: &mut Tables) {
        for at in &self.0 {
            let action = &mut tables.actions[*at];
            match dice.between(1, 20) {
                1 | 2 => {
                    action.status = ActionStatus::Done;
                    action.done_on = Some(action.due_on.min(today));
                    action.status_note = Some("Întreprinderea a anunțat că a rezolvat.".to_owned());
                }
                3 => {
                    action.status = ActionStatus::Cancelled;
                    action.cancel_reason = Some("Măsura nu mai este necesară.".to_owned());
                }
                _ => {}
            }
        }
    }
}

/// Adds the findings of a visit and the actions that answer them; returns the remarks behind them.
pub(super) fn add(
    scene: &Scene<'_>,
    dice: &mut Dice,
    open: &mut OpenActions,
    tables: &mut Tables,
) -> Vec<&'static Remark> {
    let remarks = draw(dice);
    for (at, remark) in remarks.iter().enumerate() {
        let finding = finding(scene, remark, at + 1);
        if needs_action(dice, remark.severity) {
            open.0.push(tables.actions.len());
            tables.actions.push(action(scene, dice, remark, finding.id, at + 1));
        }
        tables.findings.push(finding);
    }
    remarks
}

/// Returns 1.3 remarks on average, never two about the same area.
fn draw(dice: &mut Dice) -> Vec<&'static Remark> {
    let wanted = dice.weighted(&[(26, 0), (34, 1), (23, 2), (17, 3)]);
    let mut remarks: Vec<&'static Remark> = Vec::new();
    for _ in 0..wanted {
        let severity = dice.weighted(&[
            (26, Severity::Info),
            (50, Severity::Minor),
            (20, Severity::Major),
            (4, Severity::Critical),
        ]);
        let candidates: Vec<&'static Remark> = REMARKS
            .iter()
            .filter(|remark| remark.severity == severity && remarks.iter().all(|other| other.area != remark.area))
            .collect();
        remarks.push(dice.pick(&candidates));
    }
    remarks
}

/// A critical finding always needs an action (I28).
fn needs_action(dice: &mut Dice, severity: Severity) -> bool {
    let drawn = |dice: &mut Dice, per_mille| dice.chance(per_mille);
    match severity {
        Severity::Critical => true,
        Severity::Major => drawn(dice, 950),
        Severity::Minor => drawn(dice, 800),
        Severity::Info | Severity::Unknown => drawn(dice, 250),
    }
}

fn finding(scene: &Scene<'_>, remark: &Remark, number: usize) -> Finding {
    Finding {
        id: scene.story.ids.at(&format!("{}/finding/{number}", scene.path)),
        enterprise_id: scene.story.id,
        visit_id: scene.visit_id,
        area: remark.area,
        severity: remark.severity,
        text: scene.slots.fill(remark.finding),
        rule_ref: None,
    }
}

fn action(scene: &Scene<'_>, dice: &mut Dice, remark: &Remark, finding: FindingId, number: usize) -> FollowUpAction {
    let responsible =
        dice.weighted(&[(80, Responsible::Enterprise), (15, Responsible::Mentor), (5, Responsible::Coordinator)]);
    let is_with_enterprise = responsible == Responsible::Enterprise;
    let days = dice.pick(&[14, 30, 45, 60]);
    FollowUpAction {
        id: scene.story.ids.at(&format!("{}/action/{number}", scene.path)),
        enterprise_id: scene.story.id,
        visit_id: scene.visit_id,
        finding_id: Some(finding),
        text: scene.slots.fill(remark.measure),
        responsible,
        responsible_name: is_with_enterprise.then(|| scene.story.representative.clone()),
        owner_id: Some(scene.story.mentor),
        priority: match remark.severity {
            Severity::Critical | Severity::Major => Priority::High,
            Severity::Minor => Priority::Normal,
            Severity::Info | Severity::Unknown => Priority::Low,
        },
        due_on: scene.date.plus_days(if remark.severity == Severity::Critical { 14 } else { days }),
        status: ActionStatus::Open,
        done_on: None,
        verified_in_visit_id: None,
        status_note: None,
        cancel_reason: None,
    }
}
