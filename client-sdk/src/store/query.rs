//! Selections of shown rows.

use std::fmt::Write as _;

use rusqlite::types::{ToSqlOutput, Value as Owned};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::EntityDef;
use sync_protocol::value::{FieldValue, Value};
use uuid::Uuid;

use super::cache::{Cache, read_row};
use super::fold::fold;
use super::tables::table;
use super::value::bound;
use crate::error::{Doing as _, Error, Result};

/// A condition on one field. All conditions of a query must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// The value is this one.
    Eq(&'static str, Value),
    /// The value is one of these.
    In(&'static str, Vec<Value>),
    /// The value is this one or a later one.
    Gte(&'static str, Value),
    /// The value is an earlier one.
    Lt(&'static str, Value),
    /// There is no value.
    IsNull(&'static str),
    /// There is a value.
    IsNotNull(&'static str),
    /// Each word stands in a field that the search looks into; case and diacritics do not matter.
    Text(String),
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first; rows without a value come first.
    #[default]
    Ascending,
    /// Largest first; rows without a value come last.
    Descending,
}

/// Which rows to return, in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    filters: Vec<Filter>,
    order: Option<(&'static str, Direction)>,
    after: Option<(Value, Uuid)>,
    limit: u32,
}

impl Default for Query {
    fn default() -> Self {
        Self { filters: Vec::new(), order: None, after: None, limit: 100 }
    }
}

impl Query {
    /// Returns a query for the first 100 rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Adds the condition that a field has a value.
    #[must_use]
    pub fn eq(self, field: &'static str, value: impl FieldValue) -> Self {
        self.filter(Filter::Eq(field, value.to_value()))
    }

    /// Adds the condition that each word is found.
    #[must_use]
    pub fn text(self, words: impl Into<String>) -> Self {
        self.filter(Filter::Text(words.into()))
    }

    /// Sets the order; rows of equal value are ordered by their identifier.
    #[must_use]
    pub fn order_by(mut self, field: &'static str, direction: Direction) -> Self {
        self.order = Some((field, direction));
        self
    }

    /// Continues after a row: the value of the field that orders (null without an order) and the identifier of
    /// the last row of the page before.
    #[must_use]
    pub fn after(mut self, value: Value, id: Uuid) -> Self {
        self.after = Some((value, id));
        self
    }

    /// Sets how many rows are returned at most.
    #[must_use]
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = rows;
        self
    }
}

/// Returns the rows of a query with their versions.
pub(super) fn run(cache: &Cache, kind: EntityKind, query: &Query) -> Result<Vec<(i64, Row)>> {
    let mut sql = Sql::select(&table(kind).columns, kind.def());
    sql.conditions(query)?;
    sql.order_and_limit(query)?;
    let mut statement = cache.prepare(&sql.text)?;
    let rows = statement.query_map(rusqlite::params_from_iter(&sql.binds), |row| read_row(row, kind));
    rows.and_then(Iterator::collect).doing("read rows")
}

/// Returns how many rows fulfil the conditions of a query; order and limit do not matter.
pub(super) fn count(cache: &Cache, kind: EntityKind, query: &Query) -> Result<u64> {
    let mut sql = Sql::select("count(*)", kind.def());
    sql.conditions(query)?;
    let mut statement = cache.prepare(&sql.text)?;
    let count = statement.query_row(rusqlite::params_from_iter(&sql.binds), |row| row.get::<_, i64>(0));
    Ok(count.doing("count rows")? as u64)
}

/// Returns the condition under which rows are shown: half of a scope would look like all of it, so that a new scope
/// is shown once it is complete.
fn shown(def: &EntityDef) -> String {
    def.scope_column().map_or_else(
        || "TRUE".to_owned(),
        |column| format!("(\"{column}\" IN (SELECT scope FROM _arriving)) IS NOT TRUE"),
    )
}

/// A statement in the making. Names come from the field tables, values are bound.
struct Sql {
    text: String,
    binds: Vec<Bind>,
    def: &'static EntityDef,
}

enum Bind {
    Value(Value),
    Text(String),
    Id(Uuid),
    Limit(u32),
}

impl rusqlite::ToSql for Bind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Value(value) => bound(value),
            Self::Text(text) => ToSqlOutput::from(text.as_str()),
            Self::Id(id) => ToSqlOutput::Owned(Owned::Blob(id.as_bytes().to_vec())),
            Self::Limit(rows) => ToSqlOutput::Owned(Owned::Integer(i64::from(*rows))),
        })
    }
}

impl Sql {
    fn select(columns: &str, def: &'static EntityDef) -> Self {
        let text = format!("SELECT {columns} FROM \"{}\" WHERE {}", def.name, shown(def));
        Self { text, binds: Vec::new(), def }
    }

    fn bind(&mut self, bind: Bind) -> usize {
        self.binds.push(bind);
        self.binds.len()
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn conditions(&mut self, query: &Query) -> Result<()> {
        query.filters.iter().try_for_each(|filter| self.condition(filter))
    }

    fn condition(&mut self, filter: &Filter) -> Result<()> {
        match filter {
            Filter::Eq(field, value) => self.compare(field, "=", value),
            Filter::Gte(field, value) => self.compare(field, ">=", value),
            Filter::Lt(field, value) => self.compare(field, "<", value),
            Filter::IsNull(field) => self.name(field).map(|name| self.push(&format!(" AND {name} IS NULL"))),
            Filter::IsNotNull(field) => self.name(field).map(|name| self.push(&format!(" AND {name} IS NOT NULL"))),
            Filter::In(field, values) => self.one_of(field, values),
            Filter::Text(words) => {
                self.words(words);
                Ok(())
            }
        }
    }

    fn compare(&mut self, field: &str, operator: &str, value: &Value) -> Result<()> {
        let name = self.name(field)?;
        let at = self.bind(Bind::Value(value.clone()));
        self.push(&format!(" AND {name} {operator} ?{at}"));
        Ok(())
    }

    fn one_of(&mut self, field: &str, values: &[Value]) -> Result<()> {
        let name = self.name(field)?;
        let marks: Vec<String> =
            values.iter().map(|value| format!("?{}", self.bind(Bind::Value(value.clone())))).collect();
        self.push(&format!(" AND {name} IN ({})", marks.join(", ")));
        Ok(())
    }

    fn words(&mut self, words: &str) {
        for word in words.split_whitespace() {
            let at = self.bind(Bind::Text(fold(word)));
            let searched = self.def.fields.iter().filter(|field| field.searched);
            let tests: Vec<String> = searched.map(|field| format!("has_text(\"{}\", ?{at})", field.name)).collect();
            // An entity without searched fields has no row that is found.
            let tests = if tests.is_empty() { "FALSE".to_owned() } else { tests.join(" OR ") };
            self.push(&format!(" AND ({tests})"));
        }
    }

    fn order_and_limit(&mut self, query: &Query) -> Result<()> {
        let (name, direction) = match query.order {
            Some((field, direction)) => (Some(self.name(field)?), direction),
            None => (None, Direction::Ascending),
        };
        if let Some((value, id)) = &query.after {
            self.keyset(name.as_deref(), direction, value, *id);
        }
        let word = if direction == Direction::Ascending { "ASC" } else { "DESC" };
        let order = name.map_or_else(|| format!("id {word}"), |name| format!("{name} {word}, id {word}"));
        let limit = self.bind(Bind::Limit(query.limit));
        // Writing into a string cannot fail.
        let _ = write!(self.text, " ORDER BY {order} LIMIT ?{limit}");
        Ok(())
    }

    /// Rows without a value come first in ascending order and last in descending order, as in SQLite.
    fn keyset(&mut self, name: Option<&str>, direction: Direction, value: &Value, id: Uuid) {
        let id = self.bind(Bind::Id(id));
        let (sign, is_ascending) = if direction == Direction::Ascending { (">", true) } else { ("<", false) };
        let condition = match name {
            None => format!("id {sign} ?{id}"),
            Some(name) if value.is_null() && is_ascending => {
                format!("{name} IS NOT NULL OR id > ?{id}")
            }
            Some(name) if value.is_null() => format!("{name} IS NULL AND id < ?{id}"),
            Some(name) => {
                let at = self.bind(Bind::Value(value.clone()));
                let nulls = if is_ascending { String::new() } else { format!(" OR {name} IS NULL") };
                format!("{name} {sign} ?{at} OR ({name} = ?{at} AND id {sign} ?{id}){nulls}")
            }
        };
        self.push(&format!(" AND ({condition})"));
    }

    fn name(&self, field: &str) -> Result<String> {
        match self.def.field(field) {
            Some(field) => Ok(format!("\"{}\"", field.name)),
            None if field == "id" => Ok("id".to_owned()),
            None => Err(Error::Usage(format!("a {} has no field `{field}`", self.def.name))),
        }
    }
}
