//! The arguments of a list, turned into a query of the store.

use async_graphql::Value;
use sync_protocol::field::Field;

use super::arguments::{Named, given, items, text};
use super::catalog::{Shape, column_name, indexed_fields, order_name};
use super::cursor::{Binding, decode};
use super::error::{ErrorCode, Fault};
use super::filter::filter;
use crate::domain::policy::may_read_field;
use crate::domain::viewer::Viewer;
use crate::store::query::{Column, Direction, Filter, ListQuery, Order, Position};

/// Rows of a page unless the client asks for another number.
pub(super) const DEFAULT_PAGE: usize = 25;
/// The most rows of a page.
const MAX_PAGE: usize = 200;
/// The most terms of an order.
const MAX_ORDER_TERMS: usize = 4;
/// The longest text to search for, in characters.
const MAX_SEARCH_CHARS: usize = 100;

/// The fields by which a list is filtered and ordered.
pub(super) struct Listed {
    visible: Vec<&'static Field>,
    /// Fields that this viewer may not read: the order and the presence of rows would tell their values.
    hidden: Vec<&'static Field>,
}

impl Listed {
    /// Returns the fields of a kind of rows, for a viewer.
    pub(super) fn of(shape: &Shape, viewer: &Viewer) -> Self {
        let may_read = |field: &&'static Field| may_read_field(viewer, shape.kind, field);
        let (visible, hidden) = indexed_fields(shape.kind.def()).partition(may_read);
        Self { visible, hidden }
    }

    /// Returns a list of fields that everyone may read who may read the rows.
    pub(super) fn open(fields: &'static [Field]) -> Self {
        Self { visible: fields.iter().filter(|field| field.indexed).collect(), hidden: Vec::new() }
    }

    /// Returns a column by the name that `named` gives it.
    pub(super) fn column(&self, name: &str, named: impl Fn(&Field) -> String) -> Result<Option<Column>, Fault> {
        if let Some(field) = self.hidden.iter().find(|field| named(field) == name) {
            let message = format!("Your role may not filter or order by `{}`.", column_name(field));
            return Err(Fault::new(ErrorCode::Forbidden, message));
        }
        Ok(self.visible.iter().find(|field| named(field) == name).map(|field| Column::Field(field)))
    }
}

/// The part of a list that a client asked for.
pub(super) struct Slice {
    pub(super) size: usize,
    pub(super) backward: bool,
    pub(super) filter: Option<Filter>,
    pub(super) order: Vec<Order>,
    pub(super) from: Option<Position>,
    pub(super) binding: Binding,
}

/// Reads the arguments that every list has. `tag` tells the cursors of lists apart.
pub(super) fn slice(listed: &Listed, tag: u16, arguments: &Named) -> Result<Slice, Fault> {
    let (size, backward) = size(arguments)?;
    let order = order(listed, arguments)?;
    let binding = Binding::of(tag, arguments);
    let cursor = if backward { "before" } else { "after" };
    let other = if backward { "after" } else { "before" };
    if given(arguments, other).is_some() {
        return Err(bad_input(format!(
            "`{other}` does not go with this direction; use `first`/`after` or `last`/`before`."
        )));
    }
    let from = given(arguments, cursor).and_then(text).map(|cursor| decode(cursor, &binding, &order)).transpose()?;
    let filter = given(arguments, "filter").map(|value| filter(listed, value)).transpose()?;
    Ok(Slice { size, backward, filter, order, from, binding })
}

/// A list of rows that a client asked for: the query, which reads one row more than `size`, and what its cursors are
/// bound to.
pub(super) struct Page {
    pub(super) query: ListQuery,
    pub(super) size: usize,
    pub(super) binding: Binding,
}

/// Reads the arguments of a list of rows.
pub(super) fn page(shape: &Shape, viewer: &Viewer, arguments: &Named) -> Result<Page, Fault> {
    let Slice { size, backward, filter, order, from, binding } =
        slice(&Listed::of(shape, viewer), shape.kind.number(), arguments)?;
    let search = given(arguments, "search").and_then(text).map(search).transpose()?;
    let search_in = if search.is_some() { searched(shape, viewer) } else { Vec::new() };
    let query = ListQuery { kind: shape.kind, filter, search, search_in, order, backward, from, limit: size + 1 };
    Ok(Page { query, size, binding })
}

/// Returns how many rows, and whether from the end.
fn size(arguments: &Named) -> Result<(usize, bool), Fault> {
    let (first, last) = (count(arguments, "first")?, count(arguments, "last")?);
    match (first, last) {
        (Some(_), Some(_)) => Err(bad_input("Ask for `first` or for `last`, not for both.")),
        (None, Some(rows)) => Ok((rows, true)),
        (rows, None) => {
            let backward = rows.is_none() && given(arguments, "before").is_some();
            Ok((rows.unwrap_or(DEFAULT_PAGE), backward))
        }
    }
}

fn count(arguments: &Named, name: &str) -> Result<Option<usize>, Fault> {
    let Some(value) = given(arguments, name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(bad_input(format!("`{name}` is not a number."))) };
    let rows = number.as_u64().and_then(|rows| usize::try_from(rows).ok()).filter(|rows| *rows <= MAX_PAGE);
    rows.map(Some).ok_or_else(|| bad_input(format!("`{name}` must be between 0 and {MAX_PAGE}.")))
}

fn order(listed: &Listed, arguments: &Named) -> Result<Vec<Order>, Fault> {
    let Some(terms) = given(arguments, "orderBy").map(items) else { return Ok(Vec::new()) };
    if terms.len() > MAX_ORDER_TERMS {
        return Err(bad_input(format!("An order has at most {MAX_ORDER_TERMS} terms.")));
    }
    terms.iter().map(|term| order_term(listed, term)).collect()
}

fn order_term(listed: &Listed, term: &Value) -> Result<Order, Fault> {
    let Value::Object(term) = term else { return Err(bad_input("A term of the order is not an object.")) };
    let name = given(term, "field").and_then(text).unwrap_or_default();
    let direction = match given(term, "direction").and_then(text) {
        Some("DESC") => Direction::Descending,
        _ => Direction::Ascending,
    };
    if name == "ID" {
        return Ok(Order { column: Column::Id, direction });
    }
    let column = listed.column(name, order_name)?;
    let column = column.ok_or_else(|| bad_input(format!("There is no order by `{name}`.")))?;
    Ok(Order { column, direction })
}

fn search(text: &str) -> Result<String, Fault> {
    match text.chars().count() {
        0 => Err(bad_input("There is nothing to search for.")),
        1..=MAX_SEARCH_CHARS => Ok(text.to_owned()),
        _ => Err(bad_input(format!("A text to search for has at most {MAX_SEARCH_CHARS} characters."))),
    }
}

/// Returns the fields that a search looks into; those that the viewer may not read are left out.
fn searched(shape: &Shape, viewer: &Viewer) -> Vec<&'static Field> {
    let fields = shape.kind.def().fields.iter().filter(|field| field.searched);
    fields.filter(|field| may_read_field(viewer, shape.kind, field)).collect()
}

/// Returns the fault of a value that is not acceptable.
pub(super) fn bad_input(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::BadUserInput, message)
}
