//! Changes that the server kept: what became of them arrives as rows.

use sync_protocol::code::HeldState;
use sync_protocol::entity::{EntityKind, HeldAnswer, Row};
use sync_protocol::rows::Rows;
use sync_protocol::value::{FieldValue as _, Value};

use super::Inner;
use super::change::{Answer, ChangeState};
use super::erase;
use super::outbox::{Head, RowKey};
use crate::error::Result;

impl Inner {
    /// Returns the held changes that the server has applied meanwhile. Those that it returned become rejected, with
    /// the reason.
    pub(super) fn apply_held_items(&mut self, rows: &[Rows], touched: &mut Vec<RowKey>) -> Result<Vec<u64>> {
        let items = rows.iter().filter(|rows| rows.kind == Some(EntityKind::HeldItem));
        let mut applied = Vec::new();
        for item in items.flat_map(|rows| &rows.rows) {
            let Some((position, state)) = self.resolution(&item.row)? else { continue };
            let held = self.overlay.in_state(ChangeState::Held);
            let Some((_, key, _)) = held.into_iter().find(|(held, ..)| *held == position) else { continue };
            touched.push(key);
            if state == HeldState::Applied {
                applied.push(position);
            } else {
                self.take_back(Head { position, key, state: ChangeState::Held, seq: 0 }, answer_of(&item.row))?;
            }
        }
        Ok(applied)
    }

    /// Shows a change that the server returned as refused. Of one about an erased person nothing is left.
    fn take_back(&mut self, head: Head, answer: Option<Answer>) -> Result<()> {
        if answer.as_ref().is_some_and(erase::is_erased) {
            self.outbox.durably(|outbox| outbox.empty(&head))?;
        } else {
            self.outbox.set_state(head.position, ChangeState::Rejected, answer.as_ref())?;
        }
        self.overlay.set_state(head.position, ChangeState::Rejected, 0);
        Ok(())
    }

    /// Returns which change of this device an item is about, once the server has decided.
    fn resolution(&self, item: &Row) -> Result<Option<(u64, HeldState)>> {
        let def = EntityKind::HeldItem.def();
        let state = HeldState::parse(item.get(def, "state").as_text().unwrap_or_default());
        let is_ours = item.get(def, "device_id").as_uuid() == Some(self.outbox.device);
        let is_decided = matches!(state, HeldState::Applied | HeldState::Returned);
        let incarnation = item.get(def, "incarnation").as_uuid();
        match (incarnation, item.get(def, "mutation_no")) {
            (Some(incarnation), Value::Int(number)) if is_ours && is_decided => {
                let position = self.outbox.position(incarnation, *number as u64)?;
                Ok(position.map(|position| (position, state)))
            }
            _ => Ok(None),
        }
    }
}

/// Returns why a change was returned.
fn answer_of(item: &Row) -> Option<Answer> {
    let HeldAnswer { code, rule, field, message, args } =
        HeldAnswer::from_value(item.get(EntityKind::HeldItem.def(), "answer"))?;
    Some(Answer { code, rule, field, message, args })
}
