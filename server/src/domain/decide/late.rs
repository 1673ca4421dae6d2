//! Work that is dated into a locked reporting period: it is kept, and booked to the next open period once a
//! person has approved it (I29).

use sync_protocol::code::PeriodState;
use sync_protocol::entity::{EntityKind, LateAdjustment, ReportingPeriod, Row};
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::Mutation;
use sync_protocol::rule::{self, Violation};
use sync_protocol::time::Date;

use super::approval::Approval;
use super::{Decider, Hold, Source, Verdict};
use crate::domain::traces;

impl Decider<'_> {
    /// Returns what becomes of a change that touches a locked period, `None` when it may take effect.
    ///
    /// Field work waits for a person. The office, which stands before its screen, is told at once. What a person
    /// approved is booked to the next open period here.
    pub(super) fn enter_period(
        &mut self,
        mutation: &Mutation,
        before: Option<&Row>,
        after: Option<&Row>,
        source: &Source<'_>,
    ) -> Option<Verdict> {
        let locked = self.locked_period(mutation.kind, before, after)?;
        match source.approval {
            Some(approval) => {
                let booked = self.book(mutation, before.or(after)?, before.is_none(), &locked, approval);
                booked.err().map(Verdict::refused)
            }
            None if source.is_office() => {
                let violation = Violation::hard("I29", "status", MessageKey::PeriodLocked);
                Some(Verdict::refused(violation.arg("period", locked.code)))
            }
            None => Some(Verdict::Held(Hold {
                code: "HELD_PERIOD_LOCKED",
                waits_for: Some(locked.id.0),
                arg: Some(("period", locked.code)),
            })),
        }
    }

    /// Returns the locked period into which a change falls. A row that came late belongs to the period that it was
    /// booked to, whatever its date.
    fn locked_period(&self, kind: EntityKind, before: Option<&Row>, after: Option<&Row>) -> Option<ReportingPeriod> {
        let periods = &self.loaded.periods;
        let row = after.or(before)?;
        if periods.is_empty() || before == after {
            return None;
        }
        let is_locked = |period: &&ReportingPeriod| period.state == PeriodState::Locked;
        let booked = rule::reported_with(kind, row).find_map(|id| self.loaded.booked.get(&id));
        if let Some(booked) = booked {
            return periods.iter().find(|period| period.id.0 == *booked).filter(is_locked).cloned();
        }
        let holds = |period: &ReportingPeriod, day: Date| period.from_on <= day && day <= period.until_on;
        let mut days = rule::dates(kind, before, after, &self.loaded.related);
        days.find_map(|day| periods.iter().find(|period| holds(period, day) && is_locked(period)).cloned())
    }

    /// Books approved work to the first open period after the locked one.
    fn book(
        &mut self,
        mutation: &Mutation,
        row: &Row,
        is_new_row: bool,
        locked: &ReportingPeriod,
        approval: &Approval,
    ) -> Result<(), Violation> {
        let later = |period: &&ReportingPeriod| period.state == PeriodState::Open && period.from_on > locked.until_on;
        let next = self.loaded.periods.iter().filter(later).min_by_key(|period| period.from_on).map(|period| period.id);
        let Some(period_id) = next else {
            let violation = Violation::hard("I29", "state", MessageKey::NoOpenPeriod);
            return Err(violation.arg("period", &locked.code));
        };
        if is_new_row {
            self.loaded.booked.insert(mutation.row_id, period_id.0);
        }
        let adjustment = LateAdjustment {
            id: traces::adjustment_id(&approval.outbox, mutation.no),
            subject_scope_id: row.scope_id(mutation.kind.def(), self.batch.outbox.programme),
            subject_kind: mutation.kind.def().name.to_owned(),
            subject_id: mutation.row_id,
            is_new_row,
            original_period_id: locked.id,
            period_id,
            held_item_id: approval.item,
            approved_by: approval.by,
            approved_at: self.batch.received_at,
        };
        self.replace(EntityKind::LateAdjustment, traces::Trace::new(&adjustment));
        Ok(())
    }
}
