//! Bounds on what a parsed document may ask for.
//!
//! The library's own validation walks fragments again for every spread, so a document whose fragments double is
//! counted here first, with an early end.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::parser::types::{ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned, ServerError, ValidationResult, async_trait};

use super::context::RequestContext;
use super::error::{ErrorCode, Fault, coded};

/// The most selections with all fragments expanded, `__typename` included.
const MAX_SELECTIONS: usize = 2_000;
/// How deep fields may be nested; introspection, which reads no rows, needs more.
const MAX_DEPTH: usize = 12;
const MAX_INTROSPECTION_DEPTH: usize = 20;
/// How deep fields and fragments may be nested together.
const MAX_LEVELS: usize = 60;
/// The most aliases.
const MAX_ALIASES: usize = 30;
/// The most directives of one field.
const MAX_DIRECTIVES_PER_FIELD: usize = 5;

/// Checks every operation of a document.
pub(super) fn check(document: &ExecutableDocument, introspection: bool) -> Result<(), Fault> {
    let mut walk = Walk { fragments: &document.fragments, introspection, selections: 0, aliases: 0 };
    for (_, operation) in document.operations.iter() {
        walk.set(&operation.node.selection_set.node, Place { depth: 0, levels: 0, max_depth: MAX_DEPTH })?;
    }
    Ok(())
}

struct Walk<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    introspection: bool,
    selections: usize,
    aliases: usize,
}

#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    levels: usize,
    max_depth: usize,
}

impl Walk<'_> {
    fn set(&mut self, set: &SelectionSet, place: Place) -> Result<(), Fault> {
        let below = Place { levels: place.levels + 1, ..place };
        if below.levels > MAX_LEVELS {
            return Err(Fault::new(ErrorCode::DepthLimit, "The fragments are nested too deep."));
        }
        for item in &set.items {
            self.selections += 1;
            if self.selections > MAX_SELECTIONS {
                let message = format!("A document selects at most {MAX_SELECTIONS} fields, fragments expanded.");
                return Err(Fault::new(ErrorCode::CostLimit, message));
            }
            match &item.node {
                Selection::Field(field) => self.field(&field.node, below)?,
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set.node, below)?,
                Selection::FragmentSpread(spread) => {
                    // An unknown fragment is refused by validation.
                    if let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) {
                        self.set(&fragment.node.selection_set.node, below)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, place: Place) -> Result<(), Fault> {
        self.aliases += usize::from(field.alias.is_some());
        if self.aliases > MAX_ALIASES {
            return Err(Fault::new(ErrorCode::CostLimit, format!("A document has at most {MAX_ALIASES} aliases.")));
        }
        if field.directives.len() > MAX_DIRECTIVES_PER_FIELD {
            let message = format!("A field has at most {MAX_DIRECTIVES_PER_FIELD} directives.");
            return Err(Fault::new(ErrorCode::CostLimit, message));
        }
        let max_depth = self.max_depth(field, place)?;
        let below = Place { depth: place.depth + 1, max_depth, ..place };
        if below.depth > max_depth {
            return Err(Fault::new(ErrorCode::DepthLimit, format!("Fields are nested at most {max_depth} deep.")));
        }
        self.set(&field.selection_set.node, below)
    }

    fn max_depth(&self, field: &Field, place: Place) -> Result<usize, Fault> {
        if !matches!(field.name.node.as_str(), "__schema" | "__type") {
            return Ok(place.max_depth);
        }
        match self.introspection {
            true => Ok(MAX_INTROSPECTION_DEPTH),
            false => Err(Fault::new(ErrorCode::ValidationFailed, "Introspection is switched off.")),
        }
    }
}

/// Puts codes on the errors of validation and holds documents to the budget of the viewer's role.
pub(super) struct CostLimit;

impl ExtensionFactory for CostLimit {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for CostLimit {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let code = |error| coded(error, ErrorCode::ValidationFailed);
        let result = next.run(ctx).await.map_err(|errors| errors.into_iter().map(code).collect::<Vec<_>>())?;
        let budget = ctx.data_opt::<RequestContext>().map_or(0, |request| request.cost_budget);
        if result.complexity > budget {
            let message = format!(
                "The selection costs {}, of at most {budget}. Ask for fewer rows or fields.",
                result.complexity
            );
            return Err(vec![Fault::new(ErrorCode::CostLimit, message).into_error(Vec::new())]);
        }
        Ok(result)
    }
}
