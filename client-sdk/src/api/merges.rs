//! Two rows that may be one: what the office is asked to decide, and where a merged row went.

use sync_protocol::code::MergeState;
use sync_protocol::entity::{Employment, EntityKind, MergeProposal, Position};
use sync_protocol::id::MergeProposalId;
use sync_protocol::message::field_label;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::error::ApiResult;
use crate::client::Client;
use crate::error::Result;
use crate::store::{Direction, Query};

/// Two rows that look alike, registered by people who did not know of each other. Both stand until the office decides.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeItem {
    /// The proposal to merge them.
    pub id: MergeProposalId,
    /// The kind of the rows; `None` for a kind of a newer version.
    pub kind: Option<EntityKind>,
    /// The two rows, in the same order for everyone.
    pub rows: [MergeRow; 2],
    /// The fields in which they agree, in the person's language.
    pub matched_labels: Vec<String>,
    /// When the office noticed.
    pub detected_at: Timestamp,
}

/// One of the two rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRow {
    /// The row.
    pub id: Uuid,
    /// What it is called; `None` when it is not on this device.
    pub title: Option<String>,
    /// Who recorded it, where that is known.
    pub by: Option<String>,
}

impl Client {
    /// Returns the pairs of rows that the office is asked to decide about, the newest first.
    pub fn merges(&self, limit: u32) -> ApiResult<Vec<MergeItem>> {
        let query = Query::new().eq("state", MergeState::Open).limit(limit);
        let proposals = self.select::<MergeProposal>(&query.order_by("detected_at", Direction::Descending))?;
        let items = proposals.into_iter().map(|proposal| self.merge_item(proposal.data));
        Ok(items.collect::<Result<_>>()?)
    }

    /// Returns the row that a row was merged into, `None` when it was not merged. For links and notes that still name
    /// the one that is gone.
    pub fn survivor_of(&self, row: Uuid) -> ApiResult<Option<Uuid>> {
        let query = Query::new().eq("alias_id", row).eq("state", MergeState::Merged).limit(1);
        let found = self.select::<MergeProposal>(&query)?;
        Ok(found.into_iter().next().and_then(|proposal| proposal.data.survivor_id))
    }

    fn merge_item(&self, proposal: MergeProposal) -> Result<MergeItem> {
        let kind = EntityKind::from_name(&proposal.subject_kind);
        let label = |field: &String| field_label(field, self.locale()).unwrap_or(field).to_owned();
        Ok(MergeItem {
            id: proposal.id,
            kind,
            rows: [self.merge_row(kind, proposal.first_id)?, self.merge_row(kind, proposal.second_id)?],
            matched_labels: proposal.matched_fields.iter().map(label).collect(),
            detected_at: proposal.detected_at,
        })
    }

    fn merge_row(&self, kind: Option<EntityKind>, id: Uuid) -> Result<MergeRow> {
        let (title, by) = match kind {
            Some(EntityKind::Employment) => self.find::<Employment>(id.into())?.map_or((None, None), |job| {
                (Some(format!("{}, {}", job.holder_name, job.start_on)), Some(job.recorded_by))
            }),
            Some(EntityKind::Position) => {
                let position = self.find::<Position>(id.into())?;
                (position.map(|position| format!("{} {}", position.code, position.title)), None)
            }
            _ => (None, None),
        };
        Ok(MergeRow { id, title, by: self.name_of(by)? })
    }
}
