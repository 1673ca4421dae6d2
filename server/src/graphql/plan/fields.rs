//! From selection sets to plans.

use async_graphql::context::QueryEnvInner;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field as Selection, Selection as Item, SelectionSet};
use async_graphql::{Name, Positioned};
use sync_protocol::entity::EntityKind;
use sync_protocol::value::FieldType;

use super::leaf::Leaf;
use super::{Branch, EdgePart, ListPart, ListPlan, NodePlan, PageInfoPart, Part};
use crate::domain::policy::may_read_field;
use crate::domain::viewer::Viewer;
use crate::graphql::arguments::arguments;
use crate::graphql::catalog::{Catalog, Shape, Source};
use crate::graphql::error::Fault;
use crate::graphql::paging::page;
use crate::store::query::Projection;

/// Turns what is selected into plans.
#[derive(Clone, Copy)]
pub(in crate::graphql) struct Planner<'a> {
    pub(in crate::graphql) env: &'a QueryEnvInner,
    pub(in crate::graphql) viewer: &'a Viewer,
}

/// The fields that answer to one name of the result; their selections are merged.
pub(in crate::graphql) struct Selected<'a> {
    pub(in crate::graphql) key: &'a Name,
    fields: Vec<&'a Positioned<Selection>>,
}

impl<'a> Selected<'a> {
    /// Returns a field of the root, which the library hands over one by one.
    pub(in crate::graphql) fn single(field: &'a Positioned<Selection>) -> Self {
        Self { key: &field.node.response_key().node, fields: vec![field] }
    }

    /// Returns the name of the field in the schema.
    pub(in crate::graphql) fn name(&self) -> &'a str {
        &self.first().node.name.node
    }

    /// Returns the first of the fields; the others have the same name and arguments, which validation proves.
    pub(in crate::graphql) fn first(&self) -> &'a Positioned<Selection> {
        self.fields[0]
    }

    /// Returns what is selected below.
    pub(in crate::graphql) fn below(&self) -> Vec<&'a SelectionSet> {
        self.fields.iter().map(|field| &field.node.selection_set.node).collect()
    }
}

impl<'a> Planner<'a> {
    /// Returns the fields that are selected of an object, in the order of the document, fragments included.
    pub(in crate::graphql) fn collect(&self, sets: &[&'a SelectionSet], type_name: &str) -> Vec<Selected<'a>> {
        // Validation lets the interface stand only where rows are.
        self.collect_as(sets, &[type_name, "Node"])
    }

    /// Does the same for an object that answers to several types: its own, its interface, its union.
    pub(in crate::graphql) fn collect_as(&self, sets: &[&'a SelectionSet], types: &[&str]) -> Vec<Selected<'a>> {
        let mut found = IndexMap::new();
        for set in sets {
            self.collect_into(&mut found, set, types);
        }
        found.into_iter().map(|(key, fields)| Selected { key, fields }).collect()
    }

    fn collect_into(
        &self,
        found: &mut IndexMap<&'a Name, Vec<&'a Positioned<Selection>>>,
        set: &'a SelectionSet,
        types: &[&str],
    ) {
        for item in &set.items {
            let (condition, below) = match &item.node {
                Item::Field(field) => {
                    found.entry(&field.node.response_key().node).or_default().push(field);
                    continue;
                }
                Item::FragmentSpread(spread) => match self.env.fragments.get(&spread.node.fragment_name.node) {
                    Some(fragment) => (Some(&fragment.node.type_condition), &fragment.node.selection_set),
                    None => continue,
                },
                Item::InlineFragment(fragment) => (fragment.node.type_condition.as_ref(), &fragment.node.selection_set),
            };
            if condition.is_none_or(|condition| types.contains(&condition.node.on.node.as_str())) {
                self.collect_into(found, &below.node, types);
            }
        }
    }

    /// Plans what is selected of a row, adding what has to be read to `projection`.
    pub(in crate::graphql) fn node(
        &self,
        kind: EntityKind,
        sets: &[&'a SelectionSet],
        projection: &mut Projection,
    ) -> Result<NodePlan, Fault> {
        let shape = Catalog::get().shape(kind);
        let fields = self.collect(sets, shape.type_name());
        let part = |selected: Selected<'a>| Ok((selected.key.clone(), self.part(shape, &selected, projection)?));
        Ok(NodePlan { parts: fields.into_iter().map(part).collect::<Result<_, Fault>>()? })
    }

    /// Plans the reading of a row by its identifier.
    pub(in crate::graphql) fn branch(&self, kind: EntityKind, sets: &[&'a SelectionSet]) -> Result<Branch, Fault> {
        let mut projection = Projection::default();
        let node = self.node(kind, sets, &mut projection)?;
        Ok(Branch { kind, projection, node })
    }

    fn part(&self, shape: &Shape, selected: &Selected<'a>, projection: &mut Projection) -> Result<Part, Fault> {
        let Some(member) = shape.member(selected.name()) else { return Ok(Part::TypeName(shape.type_name())) };
        Ok(match member.source {
            Source::Id => Part::Id,
            Source::Version => {
                projection.add_version();
                Part::Version
            }
            Source::Column(column) => return self.leaf(shape, column, selected, projection),
            Source::One { column, kind } => {
                Part::One(projection.add(column), Box::new(self.branch(kind, &selected.below())?))
            }
            Source::Many { kind, of } => Part::Many(of, Box::new(self.list(kind, selected)?)),
        })
    }

    fn leaf(
        &self,
        shape: &Shape,
        column: usize,
        selected: &Selected<'a>,
        projection: &mut Projection,
    ) -> Result<Part, Fault> {
        let field = &shape.kind.def().fields[column];
        if !may_read_field(self.viewer, shape.kind, field) {
            return Ok(Part::Masked);
        }
        if shape.kind == EntityKind::Conflict && matches!(field.name, "kept_value" | "other_value") {
            return Ok(conflicting(column, projection));
        }
        let leaf = match field.field_type {
            FieldType::Json => Leaf::document(self, field, selected)?,
            FieldType::Code => Leaf::Code,
            _ => Leaf::Plain,
        };
        Ok(Part::Leaf(projection.add(column), leaf))
    }

    /// Plans a list.
    pub(in crate::graphql) fn list(&self, kind: EntityKind, selected: &Selected<'a>) -> Result<ListPlan, Fault> {
        let shape = Catalog::get().shape(kind);
        let field = selected.first();
        let given = arguments(self.env, &field.node)?;
        let page = page(shape, self.viewer, &given).map_err(|fault| fault.at(field.pos))?;
        let mut projection = Projection::default();
        page.query.project(&mut projection);
        let mut plan = ListPlan {
            query: page.query,
            size: page.size,
            binding: page.binding,
            projection,
            nodes: Vec::new(),
            parts: Vec::new(),
        };
        let mut rows = |part: &Selected<'a>| self.rows(shape, part, &mut plan);
        plan.parts = self.connection(shape.type_name(), &selected.below(), &mut rows)?;
        Ok(plan)
    }

    /// Plans what is selected of the connection of a type. `rows` plans what is selected of its rows and returns the
    /// number of the plan.
    pub(in crate::graphql) fn connection(
        &self,
        type_name: &str,
        sets: &[&'a SelectionSet],
        rows: &mut dyn FnMut(&Selected<'a>) -> Result<usize, Fault>,
    ) -> Result<Vec<(Name, ListPart)>, Fault> {
        let connection = format!("{type_name}Connection");
        let parts = self.collect(sets, &connection).into_iter().map(|part| {
            let planned = match part.name() {
                "nodes" => ListPart::Nodes(rows(&part)?),
                "edges" => ListPart::Edges(self.edges(type_name, &part, rows)?),
                "pageInfo" => ListPart::PageInfo(self.page_info(&part)),
                "totalCount" => ListPart::TotalCount,
                _ => ListPart::TypeName(connection.clone()),
            };
            Ok((part.key.clone(), planned))
        });
        parts.collect()
    }

    /// Plans what is selected of the rows of a list and returns the number of the plan.
    fn rows(&self, shape: &Shape, selected: &Selected<'a>, plan: &mut ListPlan) -> Result<usize, Fault> {
        let node = self.node(shape.kind, &selected.below(), &mut plan.projection)?;
        plan.nodes.push(node);
        Ok(plan.nodes.len() - 1)
    }

    fn edges(
        &self,
        type_name: &str,
        selected: &Selected<'a>,
        rows: &mut dyn FnMut(&Selected<'a>) -> Result<usize, Fault>,
    ) -> Result<Vec<(Name, EdgePart)>, Fault> {
        let edge = format!("{type_name}Edge");
        let parts = self.collect(&selected.below(), &edge).into_iter().map(|part| {
            let planned = match part.name() {
                "cursor" => EdgePart::Cursor,
                "node" => EdgePart::Node(rows(&part)?),
                _ => EdgePart::TypeName(edge.clone()),
            };
            Ok((part.key.clone(), planned))
        });
        parts.collect()
    }

    fn page_info(&self, selected: &Selected<'a>) -> Vec<(Name, PageInfoPart)> {
        let parts = self.collect(&selected.below(), "PageInfo").into_iter().map(|part| {
            let planned = match part.name() {
                "hasNextPage" => PageInfoPart::HasNextPage,
                "hasPreviousPage" => PageInfoPart::HasPreviousPage,
                "startCursor" => PageInfoPart::StartCursor,
                "endCursor" => PageInfoPart::EndCursor,
                _ => PageInfoPart::TypeName,
            };
            (part.key.clone(), planned)
        });
        parts.collect()
    }
}

/// Plans a value that a conflict keeps: it is as protected as the field that it belongs to.
fn conflicting(column: usize, projection: &mut Projection) -> Part {
    let def = EntityKind::Conflict.def();
    let mut slot = |name: &str| projection.add(def.position(name).unwrap_or(column));
    let (kind, field) = (slot("subject_kind"), slot("field"));
    Part::Conflicting(projection.add(column), kind, field)
}
