//! Lists: of the whole programme, or of many parents at once, each with its own page.

use std::collections::HashMap;

use sync_protocol::entity::EntityKind;
use sync_protocol::field::Field;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::condition::{Column, Filter, push_access, push_contains, push_filter};
use super::keyset::{Direction, Order, Position, project, push_after, push_order};
use super::{Found, Projection};
use crate::domain::policy::{Access, RowScope};
use crate::store::{Conn, Sql, StoreError};

/// Which rows of a list, in which order.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The kind of rows.
    pub kind: EntityKind,
    /// What they must fulfil.
    pub filter: Option<Filter>,
    /// Text that one of `search_in` must contain.
    pub search: Option<String>,
    /// The fields to search.
    pub search_in: Vec<&'static Field>,
    /// The order; the identifier decides among equals.
    pub order: Vec<Order>,
    /// Whether the page is taken from the end of the list.
    pub backward: bool,
    /// Start after this row (before it, when going backward).
    pub from: Option<Position>,
    /// The most rows to return.
    pub limit: usize,
}

impl ListQuery {
    /// Adds the columns that [`Self::position`] needs.
    pub fn project(&self, projection: &mut Projection) {
        project(&self.order, self.kind.def(), projection);
    }

    /// Returns the position of a row that was read with a projection of [`Self::project`].
    pub fn position(&self, row: &Found, projection: &Projection) -> Position {
        let value = |term: &Order| match term.column {
            Column::Id => Value::Uuid(row.id),
            Column::Field(field) => {
                let slot = self.kind.def().position(field.name).and_then(|column| projection.slot(column));
                slot.and_then(|slot| row.values.get(slot)).cloned().unwrap_or(Value::Null)
            }
        };
        Position { values: self.order.iter().map(value).collect(), id: row.id }
    }

    /// Returns the order in which the rows are read, and the direction of the tiebreak.
    fn reading_order(&self) -> (Vec<Order>, Direction) {
        let turn = |term: &Order| Order { direction: term.direction.reversed(), ..*term };
        match self.backward {
            false => (self.order.clone(), Direction::Ascending),
            true => (self.order.iter().map(turn).collect(), Direction::Descending),
        }
    }

    fn push_conditions(&self, sql: &mut Sql, access: &Access) {
        push_access(sql, access);
        if let Some(filter) = &self.filter {
            sql.push(" AND ");
            push_filter(sql, filter);
        }
        if let Some(text) = &self.search {
            let columns: Vec<_> = self.search_in.iter().map(|field| field.name).collect();
            sql.push(" AND ");
            push_contains(sql, &columns, text);
        }
    }

    /// Appends the conditions, the order and the limit of one page.
    fn push_page(&self, sql: &mut Sql, access: &Access) {
        self.push_conditions(sql, access);
        let (order, tie) = self.reading_order();
        if let Some(position) = &self.from {
            sql.push(" AND ");
            push_after(sql, &order, tie, position);
        }
        sql.push(" ORDER BY ");
        push_order(sql, &order, tie, |column| format!("t.\"{}\"", column.name()));
        sql.push(" LIMIT ");
        sql.push_bind(self.limit as i64);
    }
}

/// Appends `SELECT … FROM … WHERE ` for a kind: identifier, version, then the fields of the projection.
pub(super) fn push_select(sql: &mut Sql, kind: EntityKind, projection: &Projection) {
    let def = kind.def();
    sql.push("SELECT t.id, ");
    sql.push(if projection.version { "COALESCE(h.seq, 0)" } else { "0::bigint" });
    sql.push(" AS row_version");
    for column in &projection.columns {
        sql.push(&format!(", t.\"{}\"", def.fields[*column].name));
    }
    sql.push(&format!(" FROM \"{}\" t", def.name));
    if projection.version {
        let on = "h.programme_id = t.programme_id AND h.row_id = t.id AND h.kind";
        sql.push(&format!(" LEFT JOIN sync_head h ON {on} = {}", kind.number()));
    }
    sql.push(" WHERE ");
}

/// Returns one page of a list, in the order of reading: reversed when the query goes backward.
pub async fn list(
    conn: &mut Conn,
    access: &Access,
    query: &ListQuery,
    projection: &Projection,
) -> Result<Vec<Found>, StoreError> {
    if *access.rows() == RowScope::Nothing {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("");
    push_select(&mut sql, query.kind, projection);
    query.push_page(&mut sql, access);
    conn.query(sql).await?.into_iter().map(|record| Found::from_record(record, 0)).collect()
}

/// Returns one page for each of `parents`: the rows whose field `of` names the parent. One statement, whatever
/// the number of parents.
pub async fn children(
    conn: &mut Conn,
    access: &Access,
    query: &ListQuery,
    projection: &Projection,
    of: &'static Field,
    parents: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Found>>, StoreError> {
    let mut pages = HashMap::new();
    if *access.rows() == RowScope::Nothing || parents.is_empty() {
        return Ok(pages);
    }
    for record in conn.query(children_sql(access, query, projection, of, parents)).await? {
        let parent = record.uuid(0)?;
        pages.entry(parent).or_insert_with(Vec::new).push(Found::from_record(record, 1)?);
    }
    Ok(pages)
}

fn children_sql(
    access: &Access,
    query: &ListQuery,
    projection: &Projection,
    of: &'static Field,
    parents: &[Uuid],
) -> Sql {
    let mut sql = Sql::new("SELECT p.id AS parent, c.* FROM unnest(");
    sql.push_bind(parents);
    sql.push("::uuid[]) WITH ORDINALITY p(id, place) CROSS JOIN LATERAL (");
    push_select(&mut sql, query.kind, projection);
    sql.push(&format!("t.\"{}\" = p.id AND ", of.name));
    query.push_page(&mut sql, access);
    sql.push(") c ORDER BY p.place, ");
    let (order, tie) = query.reading_order();
    push_order(&mut sql, &order, tie, |column| format!("c.\"{}\"", column.name()));
    sql
}

/// Returns how many rows a list has over all pages.
pub async fn count(conn: &mut Conn, access: &Access, query: &ListQuery) -> Result<i64, StoreError> {
    if *access.rows() == RowScope::Nothing {
        return Ok(0);
    }
    let mut sql = Sql::new(format!("SELECT count(*) FROM \"{}\" t WHERE ", query.kind.def().name));
    query.push_conditions(&mut sql, access);
    conn.query_opt(sql).await?.map_or(Ok(0), |record| record.int(0))
}

/// Returns how many rows each parent's list has over all pages; a parent without rows is absent.
pub async fn count_children(
    conn: &mut Conn,
    access: &Access,
    query: &ListQuery,
    of: &'static Field,
    parents: &[Uuid],
) -> Result<HashMap<Uuid, i64>, StoreError> {
    if *access.rows() == RowScope::Nothing || parents.is_empty() {
        return Ok(HashMap::new());
    }
    let (name, parent) = (query.kind.def().name, of.name);
    let mut sql = Sql::new(format!("SELECT t.\"{parent}\", count(*) FROM \"{name}\" t WHERE t.\"{parent}\" = ANY("));
    sql.push_bind(parents);
    sql.push(") AND ");
    query.push_conditions(&mut sql, access);
    sql.push(&format!(" GROUP BY t.\"{parent}\""));
    conn.query(sql).await?.into_iter().map(|record| Ok((record.uuid(0)?, record.int(1)?))).collect()
}
