//! Generic reads: any entity, by its field table, within what the policy lets the viewer see.
//!
//! Every function takes an [`Access`]; only the policy makes one, so no read can forget the row filter.

mod condition;
mod keyset;
mod list;
mod lookup;
mod statements;
mod viewer;

pub use condition::{Column, Filter, Test};
pub use keyset::{Direction, Order, Position};

pub(in crate::store) use condition::push_filter;
pub(in crate::store) use keyset::{push_after, push_order};
pub use list::{ListQuery, children, count, count_children, list};
pub use lookup::{by_ids, kind_of, survivor_of};
pub use viewer::load_viewer;

use sync_protocol::value::Value;
use uuid::Uuid;

use super::{Record, StoreError};

/// Which fields to read: their positions in the field table, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    columns: Vec<usize>,
    version: bool,
}

impl Projection {
    /// Adds a field and returns its place in [`Found::values`].
    pub fn add(&mut self, column: usize) -> usize {
        let known = self.columns.iter().position(|known| *known == column);
        known.unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        })
    }

    /// Asks for the version as well, which costs a join.
    pub fn add_version(&mut self) {
        self.version = true;
    }

    /// Returns the place of a field that was added.
    pub fn slot(&self, column: usize) -> Option<usize> {
        self.columns.iter().position(|known| *known == column)
    }
}

/// A row that was found, cut down to a [`Projection`].
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The identifier.
    pub id: Uuid,
    /// The number of the last change of the row; 0 unless it was asked for.
    pub version: i64,
    /// The values in the order in which they were added to the projection.
    pub values: Vec<Value>,
}

impl Found {
    /// Reads the columns `at..`: identifier, version, values.
    fn from_record(record: Record, at: usize) -> Result<Self, StoreError> {
        let (id, version) = (record.uuid(at)?, record.int(at + 1)?);
        Ok(Self { id, version, values: record.into_values(at + 2)? })
    }
}
