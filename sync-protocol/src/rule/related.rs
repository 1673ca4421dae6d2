//! Rows that a rule looks at besides the one that changes.

use std::collections::HashMap;

use uuid::Uuid;

use crate::entity::{Entity, EntityKind, Row};

/// The rows that were loaded for a batch of changes.
///
/// A row that was not loaded looks like one that does not exist; a list that was not loaded looks empty.
#[derive(Clone, Debug, Default)]
pub struct Related {
    rows: HashMap<(EntityKind, Uuid), Row>,
    children: HashMap<(EntityKind, &'static str, Uuid), Vec<Row>>,
}

impl Related {
    /// Returns the related rows of a change that needs none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row that was loaded.
    #[must_use]
    pub fn with_row(mut self, kind: EntityKind, row: Row) -> Self {
        self.add_row(kind, row);
        self
    }

    /// Adds the children of a parent, all of them.
    #[must_use]
    pub fn with_children(mut self, kind: EntityKind, field: &'static str, parent: Uuid, rows: Vec<Row>) -> Self {
        self.add_children(kind, field, parent, rows);
        self
    }

    /// Adds a row that was loaded.
    pub fn add_row(&mut self, kind: EntityKind, row: Row) {
        self.rows.insert((kind, row.id), row);
    }

    /// Adds the children of a parent, all of them.
    pub fn add_children(&mut self, kind: EntityKind, field: &'static str, parent: Uuid, rows: Vec<Row>) {
        self.children.insert((kind, field, parent), rows);
    }

    /// Follows a change that was accepted, so that later changes of the batch see it.
    ///
    /// Lists that were loaded are kept complete; lists that were not are not begun.
    pub fn follow(&mut self, kind: EntityKind, row: &Row) {
        for (field, value) in kind.def().fields.iter().zip(&row.values) {
            let Some(parent) = value.as_uuid() else { continue };
            let Some(list) = self.children.get_mut(&(kind, field.name, parent)) else { continue };
            match list.iter_mut().find(|child| child.id == row.id) {
                Some(child) => *child = row.clone(),
                None => list.push(row.clone()),
            }
        }
        self.rows.insert((kind, row.id), row.clone());
    }

    /// Returns a row as it was loaded.
    pub fn untyped(&self, kind: EntityKind, id: Uuid) -> Option<&Row> {
        self.rows.get(&(kind, id))
    }

    /// Returns every row of a kind that was loaded.
    pub fn rows_of(&self, kind: EntityKind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |((of, _), _)| *of == kind).map(|(_, row)| row)
    }

    /// Returns a row, `None` when it is not known.
    pub fn row<T: Entity>(&self, id: impl Into<Uuid>) -> Option<T> {
        self.untyped(T::DEF.kind, id.into()).and_then(|row| T::from_row(row).ok())
    }

    /// Returns the children of a parent.
    pub fn children<T: Entity>(&self, field: &'static str, parent: impl Into<Uuid>) -> Vec<T> {
        let rows = self.children.get(&(T::DEF.kind, field, parent.into()));
        rows.into_iter().flatten().filter_map(|row| T::from_row(row).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Finding, Visit};
    use crate::rule::fixture;

    #[test]
    fn later_changes_of_a_batch_see_earlier_ones() {
        let finding = fixture::finding();
        let visit = finding.visit_id;
        let mut related = fixture::visit_parts(&[], &[], &[], &[]);
        related.follow(EntityKind::Finding, &finding.to_row());
        let changed = Finding { text: "The oven is back".to_owned(), ..finding.clone() };
        related.follow(EntityKind::Finding, &changed.to_row());
        assert_eq!(related.children::<Finding>("visit_id", visit), std::slice::from_ref(&changed));
        assert_eq!(related.row::<Finding>(finding.id), Some(changed));
    }

    #[test]
    fn a_list_that_was_not_loaded_is_not_begun() {
        let mut related = Related::new();
        related.follow(EntityKind::Finding, &fixture::finding().to_row());
        assert_eq!(related.children::<Finding>("visit_id", fixture::visit().id), []);
        assert_eq!(related.row::<Visit>(fixture::visit().id), None);
    }
}
