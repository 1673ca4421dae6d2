//! Typed recording over the store's batches.

use sync_protocol::entity::{Entity, EntityKind};
use sync_protocol::field::{Field, Origin, Writer as SetBy};
use sync_protocol::patch;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::error::ApiResult;
use super::records::{Saved, typed};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::store::{Query, WriteBatch};

/// Records typed rows; everything in one batch becomes durable together or not at all.
pub(super) struct Writer<'w, 's> {
    batch: &'w mut WriteBatch<'s>,
}

impl Client {
    /// Changes some fields of a row: `change` gets the row as it is shown.
    ///
    /// This is also how a refused change is put right: the corrected row is sent again.
    pub fn edit<T: Entity>(&self, id: T::Id, change: impl FnOnce(&mut T)) -> ApiResult<Saved<T>> {
        self.record(|writer| writer.edit(id, change))
    }

    /// Voids a row. The reason stays in the change log.
    pub fn void<T: Entity>(&self, id: T::Id, reason: &str) -> ApiResult<()> {
        self.record(|writer| writer.void::<T>(id, reason)).map(|_| ())
    }

    pub(super) fn record<T>(&self, work: impl FnOnce(&mut Writer<'_, '_>) -> Result<T>) -> ApiResult<Saved<T>> {
        Ok(self.store.write(|batch| {
            self.rules.take_warnings();
            let data = work(&mut Writer { batch })?;
            Ok(Saved { data, warnings: self.rules.take_warnings() })
        })?)
    }
}

impl Writer<'_, '_> {
    /// Makes the changes that follow one group: the server applies all of them or none.
    pub(super) fn group(&mut self) {
        self.batch.group();
    }

    pub(super) fn put<T: Entity>(&mut self, row: &T) -> Result<T> {
        check_origin::<T>()?;
        typed(&self.batch.put(T::DEF.kind, row.to_row())?)
    }

    pub(super) fn edit<T: Entity>(&mut self, id: T::Id, change: impl FnOnce(&mut T)) -> Result<T> {
        check_origin::<T>()?;
        let before: T = self.get(id)?;
        let mut after = before.clone();
        change(&mut after);
        // Between typed rows: a code of a newer version, which reads as unknown in both, is not written back.
        let patch = patch::diff(&before.to_row(), &after.to_row());
        typed(&self.batch.patch(T::DEF.kind, id.into(), &patch)?)
    }

    /// Sets one field, to the value that it shows unless another one is given.
    pub(super) fn affirm(
        &mut self,
        kind: EntityKind,
        id: Uuid,
        field: &'static str,
        value: Option<Value>,
    ) -> Result<()> {
        let not_found = || Error::NotFound { kind: kind.def().name, id };
        let shown = self.batch.get(kind, id)?.ok_or_else(not_found)?;
        let Some(position) = kind.def().position(field) else { return Ok(()) };
        let value = value.unwrap_or_else(|| shown.values[position].clone());
        self.batch.affirm(kind, id, &vec![(position, value)]).map(drop)
    }

    /// Creates the row, or makes the one with its identifier equal to it.
    pub(super) fn put_or_replace<T: Entity>(&mut self, row: &T) -> Result<T> {
        match self.find::<T>(row.id())? {
            Some(_) => self.edit(row.id(), |before: &mut T| before.clone_from(row)),
            None => self.put(row),
        }
    }

    pub(super) fn void<T: Entity>(&mut self, id: T::Id, reason: &str) -> Result<()> {
        check_origin::<T>()?;
        self.batch.reason(reason);
        self.batch.delete(T::DEF.kind, id.into())
    }

    /// Decides that a row stays as it is shown.
    pub(super) fn affirm_row(&mut self, kind: EntityKind, id: Uuid) -> Result<()> {
        let is_free = |field: &&Field| !field.immutable && !field.special && field.writer == SetBy::Anyone;
        let field = kind.def().fields.iter().find(is_free);
        field.map_or(Ok(()), |field| self.affirm(kind, id, field.name, None))
    }

    /// Voids a row of any kind.
    pub(super) fn void_row(&mut self, kind: EntityKind, id: Uuid) -> Result<()> {
        self.batch.delete(kind, id)
    }

    pub(super) fn get<T: Entity>(&self, id: T::Id) -> Result<T> {
        self.find(id)?.ok_or(Error::NotFound { kind: T::DEF.name, id: id.into() })
    }

    pub(super) fn find<T: Entity>(&self, id: T::Id) -> Result<Option<T>> {
        self.batch.get(T::DEF.kind, id.into())?.as_ref().map(typed).transpose()
    }

    pub(super) fn children<T: Entity>(&self, field: &'static str, parent: impl Into<Uuid>) -> Result<Vec<T>> {
        let rows = self.batch.list(T::DEF.kind, &Query::new().eq(field, parent.into()).limit(u32::MAX))?;
        rows.iter().map(typed).collect()
    }
}

/// Refuses what the office writes: the server would refuse it only much later.
fn check_origin<T: Entity>() -> Result<()> {
    match T::DEF.origin {
        Origin::Field => Ok(()),
        Origin::Office | Origin::Server => Err(Error::Usage(format!("a {} is written by the office", T::DEF.name))),
    }
}
