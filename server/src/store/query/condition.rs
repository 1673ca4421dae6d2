//! Conditions on fields as SQL. Names come from the field tables, values travel as binds.

use sync_protocol::entity::OFFICE_SCOPE;
use sync_protocol::field::{Field, ScopeRule};
use sync_protocol::value::{FieldType, Value};

use crate::domain::policy::{Access, RowScope};
use crate::store::{Bind, Sql};

/// A column of an entity: the identifier or a field.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// The identifier.
    Id,
    /// A field.
    Field(&'static Field),
}

impl Column {
    pub(in crate::store) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Field(field) => field.name,
        }
    }

    /// Returns the type of the values.
    pub fn field_type(self) -> FieldType {
        match self {
            Self::Id => FieldType::Uuid,
            Self::Field(field) => field.field_type,
        }
    }

    pub(super) fn is_nullable(self) -> bool {
        matches!(self, Self::Field(field) if field.nullable)
    }
}

/// A condition on rows.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every one holds; an empty list always does.
    All(Vec<Filter>),
    /// At least one holds; an empty list never does.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A test of one column.
    Test(Column, Test),
}

/// A test of one column. A null value passes only [`Test::IsNull`].
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal.
    Eq(Value),
    /// One of these.
    In(Vec<Value>),
    /// This or more.
    AtLeast(Value),
    /// Less.
    Below(Value),
    /// Null, or not null.
    IsNull(bool),
    /// The text contains this; case and diacritics do not count.
    Contains(String),
}

/// Appends the conditions that keep the reader within `access`.
pub(super) fn push_access(sql: &mut Sql, access: &Access) {
    sql.push("t.programme_id = ");
    sql.push_bind(access.programme_id());
    let def = access.kind().def();
    match (access.rows(), def.scope_column()) {
        (RowScope::All, _) => {}
        (RowScope::Scopes(scopes), Some(column)) => {
            sql.push(&format!(" AND t.\"{column}\" = ANY("));
            sql.push_bind(scopes.as_slice());
            sql.push(")");
        }
        (RowScope::Scopes(scopes), None) => {
            let all = match def.scope {
                ScopeRule::Office => OFFICE_SCOPE,
                _ => access.programme_id(),
            };
            sql.push(if scopes.contains(&all) { "" } else { " AND FALSE" });
        }
        (RowScope::Nothing, _) => sql.push(" AND FALSE"),
    }
}

/// Appends a filter.
pub(in crate::store) fn push_filter(sql: &mut Sql, filter: &Filter) {
    match filter {
        Filter::All(parts) => push_joined(sql, parts, " AND ", "TRUE"),
        Filter::Any(parts) => push_joined(sql, parts, " OR ", "FALSE"),
        Filter::Not(part) => {
            push_filter(sql, part);
            sql.push(" IS NOT TRUE");
        }
        Filter::Test(column, test) => push_test(sql, *column, test),
    }
}

fn push_joined(sql: &mut Sql, parts: &[Filter], operator: &str, empty: &str) {
    sql.push("(");
    for (at, part) in parts.iter().enumerate() {
        sql.push(if at == 0 { "" } else { operator });
        push_filter(sql, part);
    }
    sql.push(if parts.is_empty() { empty } else { "" });
    sql.push(")");
}

fn push_test(sql: &mut Sql, column: Column, test: &Test) {
    let name = column.name();
    match test {
        Test::Eq(value) => push_comparison(sql, column, "=", value),
        Test::AtLeast(value) => push_comparison(sql, column, ">=", value),
        Test::Below(value) => push_comparison(sql, column, "<", value),
        Test::In(values) => {
            sql.push(&format!("(t.\"{name}\" = ANY("));
            sql.push_bind(Bind::column(column.field_type(), values.iter()));
            sql.push("))");
        }
        Test::IsNull(true) => sql.push(&format!("(t.\"{name}\" IS NULL)")),
        Test::IsNull(false) => sql.push(&format!("(t.\"{name}\" IS NOT NULL)")),
        Test::Contains(text) => push_contains(sql, &[name], text),
    }
}

fn push_comparison(sql: &mut Sql, column: Column, operator: &str, value: &Value) {
    sql.push(&format!("(t.\"{}\" {operator} ", column.name()));
    push_value(sql, column.field_type(), value);
    sql.push(")");
}

/// Appends one value. A type without a bind of its own travels as an array of one.
pub(super) fn push_value(sql: &mut Sql, field_type: FieldType, value: &Value) {
    match value {
        Value::Bool(v) => sql.push_bind(*v),
        Value::Int(v) => sql.push_bind(*v as i32),
        Value::Text(v) => sql.push_bind(v.as_str()),
        Value::Uuid(v) => sql.push_bind(*v),
        Value::Date(v) => sql.push_bind(*v),
        Value::Timestamp(v) => sql.push_bind(*v),
        Value::Null | Value::Decimal(_) | Value::Json(_) => {
            sql.push("(");
            sql.push_bind(Bind::column(field_type, std::iter::once(value)));
            sql.push(")[1]");
        }
    }
}

/// Appends "one of the columns contains the text", without regard to case and diacritics.
pub(super) fn push_contains(sql: &mut Sql, columns: &[&str], text: &str) {
    sql.push("(");
    for (at, column) in columns.iter().enumerate() {
        sql.push(if at == 0 { "" } else { " OR " });
        sql.push(&format!("fold(t.\"{column}\") LIKE fold("));
        sql.push_bind(format!("%{}%", escape_like(text)));
        sql.push(")");
    }
    sql.push(if columns.is_empty() { "FALSE)" } else { ")" });
}

/// Escapes what LIKE would take for a wildcard.
fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
