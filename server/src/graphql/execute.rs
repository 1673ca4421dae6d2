//! Plans carried out level by level: one statement for each list or relation of a level, however many rows.

use std::collections::HashMap;
use std::vec::IntoIter;

use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sync_protocol::entity::EntityKind;
use sync_protocol::field::Field;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::cursor::encode;
use super::error::Fault;
use super::plan::{Branch, EdgePart, Leaf, ListPart, ListPlan, NodePlan, PageInfoPart, Part};
use crate::domain::policy::{self, Access};
use crate::domain::viewer::Viewer;
use crate::store::Conn;
use crate::store::query::{self, Found};

/// Reads what plans ask for, as one viewer, on one connection.
pub(super) struct Reader<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) viewer: &'a Viewer,
    pub(super) now: Timestamp,
}

/// A page that was read.
pub(super) struct PageRows {
    pub(super) rows: Vec<Found>,
    /// Whether the list goes on beyond the page, in the direction of reading.
    pub(super) has_more: bool,
    /// Whether the page was read from a cursor on.
    pub(super) is_continued: bool,
    pub(super) backward: bool,
    pub(super) total: i64,
}

/// The values of one relation, one for each row.
type ColumnValues = Option<IntoIter<Value>>;

impl Reader<'_> {
    fn access(&self, kind: EntityKind) -> Access {
        policy::access(self.viewer, kind, self.now)
    }

    /// Returns the row of an identifier; null when there is none that the viewer may see.
    pub(super) async fn one(&mut self, branch: &Branch, id: Uuid) -> Result<Value, Fault> {
        Ok(self.rows_by_id(branch, &[id]).await?.remove(&id).unwrap_or_default())
    }

    /// Returns a list of the whole programme.
    pub(super) async fn list(&mut self, plan: &ListPlan) -> Result<Value, Fault> {
        let access = self.access(plan.query.kind);
        let rows = query::list(self.conn, &access, &plan.query, &plan.projection).await?;
        let total = if plan.is_counted() { query::count(self.conn, &access, &plan.query).await? } else { 0 };
        let page = page_rows(plan, rows, total);
        Ok(self.connections(plan, vec![page]).await?.pop().unwrap_or_default())
    }

    /// Returns the lists of many parents.
    async fn children(&mut self, plan: &ListPlan, of: &'static Field, parents: &[Uuid]) -> Result<Vec<Value>, Fault> {
        let access = self.access(plan.query.kind);
        let mut rows = query::children(self.conn, &access, &plan.query, &plan.projection, of, parents).await?;
        let totals = match plan.is_counted() {
            true => query::count_children(self.conn, &access, &plan.query, of, parents).await?,
            false => HashMap::new(),
        };
        let page = |parent: &Uuid| {
            let total = totals.get(parent).copied().unwrap_or(0);
            page_rows(plan, rows.remove(parent).unwrap_or_default(), total)
        };
        let pages = parents.iter().map(page).collect();
        self.connections(plan, pages).await
    }

    /// Shows pages. The rows of all pages are one level: what is selected of them is read together.
    async fn connections(&mut self, plan: &ListPlan, pages: Vec<PageRows>) -> Result<Vec<Value>, Fault> {
        let level: Vec<&Found> = pages.iter().flat_map(|page| &page.rows).collect();
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            nodes.push(self.nodes(node, &level).await?.into_iter());
        }
        let cursor = |row: &Found| encode(&plan.binding, &plan.query.position(row, &plan.projection));
        Ok(pages.iter().map(|page| connection(&plan.parts, page, &mut nodes, &cursor)).collect())
    }

    /// Shows the rows of a level.
    fn nodes<'s>(&'s mut self, plan: &'s NodePlan, rows: &'s [&'s Found]) -> BoxFuture<'s, Result<Vec<Value>, Fault>> {
        async move {
            let mut relations = Vec::with_capacity(plan.parts.len());
            for (_, part) in &plan.parts {
                relations.push(self.relation(part, rows).await?);
            }
            rows.iter().map(|row| node(plan, row, &mut relations, self.viewer)).collect()
        }
        .boxed()
    }

    /// Reads a relation for every row of a level.
    async fn relation(&mut self, part: &Part, rows: &[&Found]) -> Result<ColumnValues, Fault> {
        let values = match part {
            Part::One(slot, branch) => {
                let wanted: Vec<Option<Uuid>> = rows.iter().map(|row| row.values[*slot].as_uuid()).collect();
                let mut ids: Vec<Uuid> = wanted.iter().copied().flatten().collect();
                ids.sort_unstable();
                ids.dedup();
                let found = self.rows_by_id(branch, &ids).await?;
                let value = |id: Option<Uuid>| id.and_then(|id| found.get(&id)).cloned().unwrap_or_default();
                wanted.into_iter().map(value).collect()
            }
            Part::Many(of, plan) => {
                let parents: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
                self.children(plan, of, &parents).await?
            }
            _ => return Ok(None),
        };
        Ok(Some(values.into_iter()))
    }

    /// Returns the rows of identifiers that the viewer may see.
    pub(super) async fn rows_by_id(&mut self, branch: &Branch, ids: &[Uuid]) -> Result<HashMap<Uuid, Value>, Fault> {
        let access = self.access(branch.kind);
        let rows = query::by_ids(self.conn, &access, &branch.projection, ids).await?;
        let level: Vec<&Found> = rows.iter().collect();
        let values = self.nodes(&branch.node, &level).await?;
        Ok(rows.iter().map(|row| row.id).zip(values).collect())
    }
}

/// Cuts the extra row off that tells whether more follow, and puts the rows in the order of the list.
fn page_rows(plan: &ListPlan, rows: Vec<Found>, total: i64) -> PageRows {
    PageRows::new(rows, plan.size, plan.query.backward, plan.query.from.is_some(), total)
}

impl PageRows {
    /// Returns the page of rows that were read, one more than `size`, which tells whether more follow.
    pub(super) fn new(mut rows: Vec<Found>, size: usize, backward: bool, is_continued: bool, total: i64) -> Self {
        let has_more = rows.len() > size;
        rows.truncate(size);
        if backward {
            rows.reverse();
        }
        Self { rows, has_more, is_continued, backward, total }
    }
}

/// Shows one row; each relation gives its next value.
fn node(plan: &NodePlan, row: &Found, relations: &mut [ColumnValues], viewer: &Viewer) -> Result<Value, Fault> {
    let mut object = IndexMap::with_capacity(plan.parts.len());
    for ((key, part), relation) in plan.parts.iter().zip(relations) {
        let value = match part {
            Part::TypeName(name) => Value::from(*name),
            Part::Id => Value::String(row.id.to_string()),
            Part::Version => Value::String(row.version.to_string()),
            Part::Masked => Value::Null,
            Part::Leaf(slot, leaf) => leaf.show(&row.values[*slot])?,
            Part::Conflicting(slot, kind, field) => {
                let text = |slot: &usize| row.values[*slot].as_text().unwrap_or_default();
                let is_open = policy::may_read_conflicting(viewer, text(kind), text(field));
                if is_open { Leaf::Plain.show(&row.values[*slot])? } else { Value::Null }
            }
            Part::One(..) | Part::Many(..) => relation.as_mut().and_then(Iterator::next).unwrap_or_default(),
        };
        object.insert(key.clone(), value);
    }
    Ok(Value::Object(object))
}

/// Tells where a row stands in its list.
type Cursor<'c> = &'c dyn Fn(&Found) -> String;

/// Shows one page, taking the values of its rows from `nodes`.
pub(super) fn connection(
    parts: &[(Name, ListPart)],
    page: &PageRows,
    nodes: &mut [IntoIter<Value>],
    cursor: Cursor<'_>,
) -> Value {
    let fields = parts.iter().map(|(key, part)| {
        let value = match part {
            ListPart::TypeName(name) => Value::from(name.as_str()),
            ListPart::TotalCount => Value::from(page.total),
            ListPart::Nodes(at) => Value::List(nodes[*at].by_ref().take(page.rows.len()).collect()),
            ListPart::PageInfo(parts) => page_info(page, parts, cursor),
            ListPart::Edges(parts) => {
                Value::List(page.rows.iter().map(|row| edge(row, parts, nodes, cursor)).collect())
            }
        };
        (key.clone(), value)
    });
    Value::Object(fields.collect())
}

fn edge(row: &Found, parts: &[(Name, EdgePart)], nodes: &mut [IntoIter<Value>], cursor: Cursor<'_>) -> Value {
    let fields = parts.iter().map(|(key, part)| {
        let value = match part {
            EdgePart::TypeName(name) => Value::from(name.as_str()),
            EdgePart::Cursor => Value::String(cursor(row)),
            EdgePart::Node(at) => nodes[*at].next().unwrap_or_default(),
        };
        (key.clone(), value)
    });
    Value::Object(fields.collect())
}

fn page_info(page: &PageRows, parts: &[(Name, PageInfoPart)], cursor: Cursor<'_>) -> Value {
    let (before, after) =
        if page.backward { (page.has_more, page.is_continued) } else { (page.is_continued, page.has_more) };
    let cursor_of = |row: Option<&Found>| row.map_or(Value::Null, |row| Value::String(cursor(row)));
    let fields = parts.iter().map(|(key, part)| {
        let value = match part {
            PageInfoPart::TypeName => Value::from("PageInfo"),
            PageInfoPart::HasNextPage => Value::from(after),
            PageInfoPart::HasPreviousPage => Value::from(before),
            PageInfoPart::StartCursor => cursor_of(page.rows.first()),
            PageInfoPart::EndCursor => cursor_of(page.rows.last()),
        };
        (key.clone(), value)
    });
    Value::Object(fields.collect())
}
