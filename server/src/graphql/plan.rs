//! What an operation selects, resolved against the schema before anything is read.
//!
//! Planning first lets every list and every relation of one level be read with one statement, and refuses bad
//! arguments before the first statement.

mod fields;
mod leaf;

use async_graphql::Name;
use sync_protocol::field::Field;

pub(super) use fields::{Planner, Selected};
pub(super) use leaf::Leaf;

use super::cursor::Binding;
use crate::store::query::{ListQuery, Projection};

/// What is selected of a row.
pub(super) struct NodePlan {
    pub(super) parts: Vec<(Name, Part)>,
}

/// One selected field of a row.
pub(super) enum Part {
    TypeName(&'static str),
    Id,
    Version,
    /// A field that the viewer may not read.
    Masked,
    /// The value in this slot of the row.
    Leaf(usize, Leaf),
    /// The row that the value in this slot names.
    One(usize, Box<Branch>),
    /// The rows that name this row in a field.
    Many(&'static Field, Box<ListPlan>),
}

/// A kind of rows to read by identifier, and what is selected of them.
pub(super) struct Branch {
    pub(super) kind: sync_protocol::entity::EntityKind,
    pub(super) projection: Projection,
    pub(super) node: NodePlan,
}

/// A list to read, and what is selected of it.
pub(super) struct ListPlan {
    pub(super) query: ListQuery,
    pub(super) size: usize,
    pub(super) binding: Binding,
    pub(super) projection: Projection,
    /// What is selected of the rows, by each `nodes` and each `node` of an edge.
    pub(super) nodes: Vec<NodePlan>,
    pub(super) parts: Vec<(Name, ListPart)>,
}

impl ListPlan {
    /// Returns whether the rows of all pages have to be counted.
    pub(super) fn is_counted(&self) -> bool {
        self.parts.iter().any(|(_, part)| matches!(part, ListPart::TotalCount))
    }
}

/// One selected field of a connection.
pub(super) enum ListPart {
    TypeName(String),
    /// The rows by this plan of [`ListPlan::nodes`].
    Nodes(usize),
    Edges(Vec<(Name, EdgePart)>),
    PageInfo(Vec<(Name, PageInfoPart)>),
    TotalCount,
}

/// One selected field of an edge.
pub(super) enum EdgePart {
    TypeName(String),
    Cursor,
    /// The row by this plan of [`ListPlan::nodes`].
    Node(usize),
}

/// One selected field of `PageInfo`.
pub(super) enum PageInfoPart {
    TypeName,
    HasNextPage,
    HasPreviousPage,
    StartCursor,
    EndCursor,
}
