//! A request under way.

use sync_protocol::rows::{Gone, Rows};
use sync_protocol::wire::{Checkpoint, Demand, End, Fault, PushResult};

use super::event::{Command, Failure, Notice, StateView};
use crate::store::Page;

/// How long a server with trouble is left alone when it does not say for how long.
const BUSY_MS: u64 = 2_000;

/// A request under way.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) started_ms: u64,
    pub(super) wait_ms: u32,
    pub(super) is_welcome: bool,
    pub(super) has_advanced: bool,
    pub(super) is_complete: bool,
    pub(super) retry_after_ms: u64,
    /// Whether the server demanded something: it took nothing of what came after.
    pub(super) has_demand: bool,
    pub(super) end: Option<End>,
    pub(super) rows: Vec<Rows>,
    pub(super) gone: Vec<Gone>,
}

impl Run {
    pub(super) fn failure_of(&self, fault: Fault) -> Failure {
        match fault.code.as_str() {
            "UNAUTHENTICATED" => Failure::Unauthorised,
            "UNAVAILABLE" => {
                let asked_ms = self.end.as_ref().map_or(0, |end| u64::from(end.retry_after_ms));
                Failure::Busy { after_ms: asked_ms.max(BUSY_MS) }
            }
            _ => Failure::Fault { code: fault.code, message: fault.message },
        }
    }

    pub(super) fn answered(&mut self, result: PushResult, view: &StateView) -> Vec<Command> {
        if self.has_demand {
            return Vec::new();
        }
        self.has_advanced |= result.upto_no > view.store.acked_no || view.store.is_seeking;
        let demand = result.demand;
        self.has_demand = demand.is_some();
        let mut commands = vec![Command::ApplyResult(result)];
        match demand {
            Some(Demand::ResendFrom(number)) => {
                self.has_advanced = true;
                commands.push(Command::Rewind(number));
            }
            Some(Demand::NewIncarnation) => {
                self.has_advanced = true;
                commands.push(Command::NewIncarnation);
            }
            Some(Demand::Retry { after_ms }) => self.retry_after_ms = u64::from(after_ms),
            None => {}
        }
        commands
    }

    pub(super) fn page(&mut self, checkpoint: Checkpoint, view: &StateView) -> Vec<Command> {
        self.is_complete |= checkpoint.cursor.is_some();
        let moves = checkpoint.cursor.is_some_and(|cursor| cursor != view.store.cursor);
        self.has_advanced |= moves || !self.rows.is_empty() || !self.gone.is_empty();
        let received = Notice::Received { rows: checkpoint.rows_sent, expected: checkpoint.rows_expected };
        let page = Page { rows: std::mem::take(&mut self.rows), gone: std::mem::take(&mut self.gone), checkpoint };
        vec![Command::ApplyPage(page), Command::Notify(received)]
    }
}
