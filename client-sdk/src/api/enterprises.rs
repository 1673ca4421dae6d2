//! The enterprises that a mentor looks after.

use sync_protocol::entity::{Enterprise, Site};
use sync_protocol::id::EnterpriseId;

use super::error::ApiResult;
use super::records::Record;
use crate::client::Client;
use crate::store::{Direction, Query};

/// The enterprises on this device.
#[derive(Clone, Copy)]
pub struct Enterprises<'c>(pub(super) &'c Client);

impl Enterprises<'_> {
    /// Returns every enterprise, by name.
    pub fn list(&self) -> ApiResult<Vec<Record<Enterprise>>> {
        self.0.list(&by_name())
    }

    /// Returns the enterprises in whose name, code, locality or mission every word is found, whatever its case and
    /// diacritics.
    pub fn search(&self, words: &str) -> ApiResult<Vec<Record<Enterprise>>> {
        self.0.list(&by_name().text(words))
    }

    /// Returns an enterprise, `None` when it is not on this device.
    pub fn get(&self, id: EnterpriseId) -> ApiResult<Option<Record<Enterprise>>> {
        self.0.get(id)
    }

    /// Returns the enterprise with a code such as `ENT-012`, `None` when it is not on this device.
    pub fn by_code(&self, code: &str) -> ApiResult<Option<Record<Enterprise>>> {
        let found = self.0.list(&Query::new().eq("code", code.to_uppercase()).limit(1))?;
        Ok(found.into_iter().next())
    }

    /// Returns the places where an enterprise works.
    pub fn sites(&self, enterprise: EnterpriseId) -> ApiResult<Vec<Record<Site>>> {
        self.0.list(&Query::new().eq("enterprise_id", enterprise))
    }
}

fn by_name() -> Query {
    Query::new().order_by("name", Direction::Ascending).limit(u32::MAX)
}
