//! Devices: one, or a list like any other, with filters, orders and pages.

use std::collections::HashMap;

use async_graphql::parser::types::SelectionSet;
use async_graphql::{Name, Value};
use sync_protocol::entity::EntityKind;
use sync_protocol::value::FieldType;
use uuid::Uuid;

use super::view;
use crate::graphql::arguments::arguments;
use crate::graphql::catalog::{column_name, relation_name};
use crate::graphql::context::{HeldConn, RequestContext};
use crate::graphql::cursor::encode;
use crate::graphql::error::Fault;
use crate::graphql::execute::{PageRows, connection};
use crate::graphql::paging::{Listed, Slice, slice};
use crate::graphql::plan::{Branch, Leaf, ListPart, Planner, Selected};
use crate::graphql::roots::id_argument;
use crate::store::fleet::{self, DeviceQuery, DeviceRow, FIELDS, View};
use crate::store::query::{Column, Filter, Found, Test};

/// Tells the cursors of devices from those of rows, whose kinds have small numbers.
const TAG: u16 = 60_000;

/// What is selected of a device.
pub(super) struct DeviceNode(Vec<(Name, Part)>);

enum Part {
    TypeName,
    Id,
    /// The value of the field at this position.
    Value(usize),
    /// The person whom the field at this position names.
    Person(usize, Box<Branch>),
}

impl DeviceNode {
    /// Plans what is selected of a device.
    pub(super) fn plan<'a>(planner: &Planner<'a>, sets: &[&'a SelectionSet]) -> Result<Self, Fault> {
        let parts = planner.collect(sets, "Device").into_iter().map(|selected| {
            let name = selected.name();
            let value = FIELDS.iter().position(|field| column_name(field) == name);
            let person = FIELDS.iter().position(|field| field.reference.is_some() && relation_name(field) == name);
            let part = match (value, person) {
                (Some(at), _) => Part::Value(at),
                (_, Some(at)) => Part::Person(at, Box::new(planner.branch(EntityKind::User, &selected.below())?)),
                _ if name == "id" => Part::Id,
                _ => Part::TypeName,
            };
            Ok((selected.key.clone(), part))
        });
        Ok(Self(parts.collect::<Result<_, Fault>>()?))
    }

    /// Shows devices; the people of all of them are read together.
    async fn show(
        &self,
        request: &RequestContext,
        conn: &mut HeldConn<'_>,
        rows: &[Found],
    ) -> Result<Vec<Value>, Fault> {
        let mut columns = Vec::with_capacity(self.0.len());
        for (_, part) in &self.0 {
            columns.push(match part {
                Part::Person(at, branch) => people(request, conn, branch, rows, *at).await?,
                _ => HashMap::new(),
            });
        }
        rows.iter().map(|row| self.show_one(row, &columns)).collect()
    }

    fn show_one(&self, row: &Found, people: &[HashMap<Uuid, Value>]) -> Result<Value, Fault> {
        let fields = self.0.iter().zip(people).map(|((key, part), people)| {
            let value = match part {
                Part::TypeName => Value::from("Device"),
                Part::Id => Value::String(row.id.to_string()),
                Part::Value(at) => leaf(*at).show(&row.values[*at])?,
                Part::Person(at, _) => {
                    row.values[*at].as_uuid().and_then(|id| people.get(&id)).cloned().unwrap_or_default()
                }
            };
            Ok((key.clone(), value))
        });
        Ok(Value::Object(fields.collect::<Result<_, Fault>>()?))
    }
}

fn leaf(at: usize) -> Leaf {
    if FIELDS[at].field_type == FieldType::Code { Leaf::Code } else { Leaf::Plain }
}

async fn people(
    request: &RequestContext,
    conn: &mut HeldConn<'_>,
    branch: &Branch,
    rows: &[Found],
    at: usize,
) -> Result<HashMap<Uuid, Value>, Fault> {
    let mut ids: Vec<Uuid> = rows.iter().filter_map(|row| row.values[at].as_uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    conn.reader(request).rows_by_id(branch, &ids).await
}

/// Returns the list of devices.
pub(in crate::graphql) async fn list(
    request: &RequestContext,
    planner: &Planner<'_>,
    selected: &Selected<'_>,
) -> Result<Value, Fault> {
    let field = selected.first();
    let given = arguments(planner.env, &field.node)?;
    let view = view(request, &given)?;
    let slice = slice(&Listed::open(&FIELDS), TAG, &given).map_err(|fault| fault.at(field.pos))?;
    let mut nodes = Vec::new();
    let mut rows = |part: &Selected<'_>| {
        nodes.push(DeviceNode::plan(planner, &part.below())?);
        Ok(nodes.len() - 1)
    };
    let parts = planner.connection("Device", &selected.below(), &mut rows)?;
    let mut conn = fresh(request).await?;
    let (page, query) = read(&mut conn, &view, slice, &parts).await?;
    let mut shown = Vec::with_capacity(nodes.len());
    for node in &nodes {
        shown.push(node.show(request, &mut conn, &page.rows).await?.into_iter());
    }
    let cursor = |row: &Found| {
        let row = DeviceRow { id: row.id, values: row.values.clone() };
        encode(&query.1, &query.0.position(&row))
    };
    Ok(connection(&parts, &page, &mut shown, &cursor))
}

type Query = (DeviceQuery, crate::graphql::cursor::Binding);

async fn read(
    conn: &mut HeldConn<'_>,
    view: &View,
    slice: Slice,
    parts: &[(Name, ListPart)],
) -> Result<(PageRows, Query), Fault> {
    let Slice { size, backward, filter, order, from, binding } = slice;
    let query = DeviceQuery { filter, order, backward, from, limit: size + 1 };
    let rows = fleet::list(conn.get(), view, &query).await?.into_iter().map(found).collect();
    let is_counted = parts.iter().any(|(_, part)| matches!(part, ListPart::TotalCount));
    let total = if is_counted { fleet::count(conn.get(), view, &query.filter).await? } else { 0 };
    let page = PageRows::new(rows, size, backward, query.from.is_some(), total);
    Ok((page, (query, binding)))
}

fn found(row: DeviceRow) -> Found {
    Found { id: row.id, version: 0, values: row.values }
}

/// Returns one device; null when there is none that the viewer may see.
pub(in crate::graphql) async fn one(
    request: &RequestContext,
    planner: &Planner<'_>,
    selected: &Selected<'_>,
) -> Result<Value, Fault> {
    let view = view(request, &arguments(planner.env, &selected.first().node)?)?;
    let id = id_argument(planner, selected)?;
    show(request, &view, &DeviceNode::plan(planner, &selected.below())?, id).await
}

/// Shows one device.
pub(super) async fn show(request: &RequestContext, view: &View, node: &DeviceNode, id: Uuid) -> Result<Value, Fault> {
    let filter = Some(Filter::Test(Column::Id, Test::Eq(sync_protocol::value::Value::Uuid(id))));
    let query = DeviceQuery { filter, order: Vec::new(), backward: false, from: None, limit: 1 };
    let mut conn = fresh(request).await?;
    let rows: Vec<Found> = fleet::list(conn.get(), view, &query).await?.into_iter().map(found).collect();
    Ok(node.show(request, &mut conn, &rows).await?.pop().unwrap_or_default())
}

/// Returns the connection, with every contact written that this server knows of.
pub(super) async fn fresh(request: &RequestContext) -> Result<HeldConn<'_>, Fault> {
    let mut conn = request.conn().await?;
    request.shared.fleet.write(conn.get(), &request.shared.signals).await?;
    Ok(conn)
}
