//! Typed rows as they are shown, with how each of them stands.

use std::ops::Deref;

use sync_protocol::cbor::Malformed;
use sync_protocol::entity::{Entity, Row};

use super::error::ApiResult;
use super::rules::Warning;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::store::{Query, RowState, ShownRow};

/// A row as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<T> {
    /// The row, with the device's own changes.
    pub data: T,
    /// Whether the server has it like this.
    pub state: RowState,
    /// The version of the server's row underneath; 0 when the server has none.
    pub seq: u64,
}

impl<T> Deref for Record<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.data
    }
}

/// What was recorded, computed fields included.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved<T> {
    /// The row as recorded.
    pub data: T,
    /// What the rules say about it without refusing it. Show it.
    pub warnings: Vec<Warning>,
}

impl<T> Deref for Saved<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.data
    }
}

impl Client {
    /// Returns one row, `None` when it is not on this device.
    pub fn get<T: Entity>(&self, id: T::Id) -> ApiResult<Option<Record<T>>> {
        Ok(self.find(id)?)
    }

    /// Returns the rows of a query, at most as many as its limit says.
    pub fn list<T: Entity>(&self, query: &Query) -> ApiResult<Vec<Record<T>>> {
        Ok(self.select(query)?)
    }

    /// Returns how many rows fulfil the conditions of a query.
    pub fn count<T: Entity>(&self, query: &Query) -> ApiResult<u64> {
        Ok(self.store.count(T::DEF.kind, query)?)
    }

    pub(crate) fn find<T: Entity>(&self, id: T::Id) -> Result<Option<Record<T>>> {
        self.store.get(T::DEF.kind, id.into())?.map(record).transpose()
    }

    pub(crate) fn require<T: Entity>(&self, id: T::Id) -> Result<Record<T>> {
        self.find(id)?.ok_or(Error::NotFound { kind: T::DEF.name, id: id.into() })
    }

    pub(crate) fn select<T: Entity>(&self, query: &Query) -> Result<Vec<Record<T>>> {
        let shown = self.store.list(T::DEF.kind, query)?;
        Ok(shown.into_iter().filter_map(readable).collect())
    }

    pub(crate) fn children<T: Entity>(&self, field: &'static str, parent: impl Into<uuid::Uuid>) -> Result<Vec<T>> {
        let query = Query::new().eq(field, parent.into()).limit(u32::MAX);
        Ok(self.select::<T>(&query)?.into_iter().map(|record| record.data).collect())
    }
}

/// Reads an untyped row.
pub(super) fn typed<T: Entity>(row: &Row) -> Result<T> {
    let unreadable = |field| Malformed(format!("{} {}: `{field}` cannot be read", T::DEF.name, row.id));
    T::from_row(row).map_err(|field| unreadable(field).into())
}

fn record<T: Entity>(shown: ShownRow) -> Result<Record<T>> {
    Ok(Record { data: typed(&shown.row)?, state: shown.state, seq: shown.seq })
}

/// Leaves out a row that this version cannot read, so that one such row does not hide the list.
fn readable<T: Entity>(shown: ShownRow) -> Option<Record<T>> {
    record(shown).inspect_err(|error| tracing::warn!(%error, "a row is left out of a list")).ok()
}
