//! The rows of one programme while they are typed.

use sync_protocol::entity::{
    ActionLine, Attendee, ChecklistAnswer, Code, Employment, Enterprise, Entity, EntityKind, Finding, FollowUpAction,
    Form, MonthlyJobStatus, Participation, Position, Programme, Question, Row, ScopeGrant, Site, Target, User, Visit,
};

/// The rows of one programme by kind.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) programmes: Vec<Programme>,
    pub(super) action_lines: Vec<ActionLine>,
    pub(super) targets: Vec<Target>,
    pub(super) users: Vec<User>,
    pub(super) grants: Vec<ScopeGrant>,
    pub(super) codes: Vec<Code>,
    pub(super) forms: Vec<Form>,
    pub(super) questions: Vec<Question>,
    pub(super) enterprises: Vec<Enterprise>,
    pub(super) sites: Vec<Site>,
    pub(super) positions: Vec<Position>,
    pub(super) employments: Vec<Employment>,
    pub(super) visits: Vec<Visit>,
    pub(super) months: Vec<MonthlyJobStatus>,
    pub(super) answers: Vec<ChecklistAnswer>,
    pub(super) findings: Vec<Finding>,
    pub(super) actions: Vec<FollowUpAction>,
    pub(super) attendees: Vec<Attendee>,
    pub(super) participations: Vec<Participation>,
}

impl Tables {
    /// Returns every row, parents before children.
    pub(super) fn into_rows(self) -> Vec<(EntityKind, Row)> {
        let mut rows = Vec::new();
        push(&mut rows, &self.programmes);
        push(&mut rows, &self.action_lines);
        push(&mut rows, &self.targets);
        push(&mut rows, &self.users);
        push(&mut rows, &self.grants);
        push(&mut rows, &self.codes);
        push(&mut rows, &self.forms);
        push(&mut rows, &self.questions);
        push(&mut rows, &self.enterprises);
        push(&mut rows, &self.sites);
        push(&mut rows, &self.positions);
        push(&mut rows, &self.employments);
        push(&mut rows, &self.visits);
        push(&mut rows, &self.months);
        push(&mut rows, &self.answers);
        push(&mut rows, &self.findings);
        push(&mut rows, &self.actions);
        push(&mut rows, &self.attendees);
        push(&mut rows, &self.participations);
        rows
    }
}

fn push<E: Entity>(rows: &mut Vec<(EntityKind, Row)>, entities: &[E]) {
    rows.extend(entities.iter().map(|entity| (E::DEF.kind, entity.to_row())));
}
