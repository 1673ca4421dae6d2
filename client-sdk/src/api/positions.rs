//! The jobs of an enterprise, filled or not.

use sync_protocol::code::PositionStatus;
use sync_protocol::entity::Position;
use sync_protocol::id::{EnterpriseId, PositionId};
use sync_protocol::value::FieldValue as _;

use super::error::ApiResult;
use super::records::Record;
use crate::client::Client;
use crate::store::{Direction, Filter, Query};

/// The positions on this device.
#[derive(Clone, Copy)]
pub struct Positions<'c>(pub(super) &'c Client);

impl Positions<'_> {
    /// Returns a position, `None` when it is not on this device.
    pub fn get(&self, id: PositionId) -> ApiResult<Option<Record<Position>>> {
        self.0.get(id)
    }

    /// Returns the position with a code such as `P-047`, `None` when it is not on this device.
    pub fn by_code(&self, code: &str) -> ApiResult<Option<Record<Position>>> {
        let found = self.0.list(&Query::new().eq("code", code.to_uppercase()).limit(1))?;
        Ok(found.into_iter().next())
    }

    /// Returns the positions of an enterprise, by code.
    pub fn of(&self, enterprise: EnterpriseId) -> ApiResult<Vec<Record<Position>>> {
        self.0.list(&of(enterprise))
    }

    /// Returns the positions of an enterprise that wait for somebody, by code.
    pub fn open(&self, enterprise: EnterpriseId) -> ApiResult<Vec<Record<Position>>> {
        let open = [PositionStatus::Planned, PositionStatus::Vacant].map(|status| status.to_value());
        self.0.list(&of(enterprise).filter(Filter::In("status", open.to_vec())))
    }
}

fn of(enterprise: EnterpriseId) -> Query {
    Query::new().eq("enterprise_id", enterprise).order_by("code", Direction::Ascending).limit(u32::MAX)
}
