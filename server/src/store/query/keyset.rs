//! Order and the position in it: pages are found by value, never by counting rows.

use sync_protocol::value::Value;
use uuid::Uuid;

use super::Projection;
use super::condition::{Column, push_value};
use crate::store::Sql;

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Small values first, nulls last.
    Ascending,
    /// Large values first, nulls first.
    Descending,
}

impl Direction {
    /// Returns the opposite, which is the exact reverse, nulls included.
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }

    fn keyword(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    fn operator(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }
}

/// A column of the order.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The column.
    pub column: Column,
    /// Up or down.
    pub direction: Direction,
}

/// Where a page starts: the values of the row before it, in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// One value for each column of the order.
    pub values: Vec<Value>,
    /// The identifier, which decides among equals.
    pub id: Uuid,
}

/// Appends `ORDER BY` terms for rows of the alias `t`; `named` says how a column is called there.
pub(in crate::store) fn push_order(sql: &mut Sql, order: &[Order], tie: Direction, named: impl Fn(Column) -> String) {
    for term in order {
        sql.push(&format!("{} {}, ", named(term.column), term.direction.keyword()));
    }
    sql.push(&format!("{} {}", named(Column::Id), tie.keyword()));
}

/// Appends "the row comes after `position`".
pub(in crate::store) fn push_after(sql: &mut Sql, order: &[Order], tie: Direction, position: &Position) {
    push_index_hint(sql, order, position);
    sql.push("(");
    for at in 0..order.len() {
        push_equal(sql, &order[..at], position);
        push_beyond(sql, order[at], &position.values[at]);
        sql.push(" OR ");
    }
    push_equal(sql, order, position);
    sql.push(&format!("t.\"id\" {} ", tie.operator()));
    sql.push_bind(position.id);
    sql.push(")");
}

/// The alternatives below hide the first column from the index; this bound on it is implied and usable.
fn push_index_hint(sql: &mut Sql, order: &[Order], position: &Position) {
    let (Some(first), Some(value)) = (order.first(), position.values.first()) else { return };
    if first.column.is_nullable() || value.is_null() {
        return;
    }
    sql.push(&format!("t.\"{}\" {}= ", first.column.name(), first.direction.operator()));
    push_value(sql, first.column.field_type(), value);
    sql.push(" AND ");
}

fn push_equal(sql: &mut Sql, order: &[Order], position: &Position) {
    for (term, value) in order.iter().zip(&position.values) {
        let name = term.column.name();
        if value.is_null() {
            sql.push(&format!("t.\"{name}\" IS NULL AND "));
        } else {
            sql.push(&format!("t.\"{name}\" = "));
            push_value(sql, term.column.field_type(), value);
            sql.push(" AND ");
        }
    }
}

fn push_beyond(sql: &mut Sql, term: Order, value: &Value) {
    let name = term.column.name();
    match (term.direction, value.is_null()) {
        // Nulls are the last when rising, the first when falling.
        (Direction::Ascending, true) => sql.push("FALSE"),
        (Direction::Descending, true) => sql.push(&format!("t.\"{name}\" IS NOT NULL")),
        (direction, false) => {
            sql.push(&format!("(t.\"{name}\" {} ", direction.operator()));
            push_value(sql, term.column.field_type(), value);
            let nulls = direction == Direction::Ascending && term.column.is_nullable();
            sql.push(&if nulls { format!(" OR t.\"{name}\" IS NULL)") } else { ")".to_owned() });
        }
    }
}

/// Adds the columns of the order to a projection, so that a position can be told.
pub(super) fn project(order: &[Order], def: &sync_protocol::field::EntityDef, projection: &mut Projection) {
    for term in order {
        if let Column::Field(field) = term.column
            && let Some(column) = def.position(field.name)
        {
            projection.add(column);
        }
    }
}
