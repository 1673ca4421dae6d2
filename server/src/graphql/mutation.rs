//! The mutation root: what the office does, as verbs. What people can expect to happen is data, not an error.

mod payload;
mod run;
mod types;
mod verb;

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::resolve_container_serial;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, PathSegment, Positioned, ServerResult, Value,
};

use super::error::Fault;
use super::fleet;

pub(super) use payload::UserError;
pub(super) use types::error_types;
pub(super) use verb::id;

/// The one verb that is not about a row of the programme.
const REVOKE_DEVICE: &str = "revokeDevice";

/// The root of every mutation.
pub(super) struct Mutation;

impl OutputType for Mutation {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Mutation")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        types::register(registry);
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<Field>) -> ServerResult<Value> {
        resolve_container_serial(ctx, self).await
    }
}

impl ObjectType for Mutation {}

impl ContainerType for Mutation {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        let resolved = resolve(ctx).await.unwrap_or_else(|fault: Fault| {
            let path = vec![PathSegment::Field(ctx.item.node.response_key().node.to_string())];
            ctx.add_error(fault.at(ctx.item.pos).into_error(path));
            Value::Null
        });
        Ok(Some(resolved))
    }
}

async fn resolve(ctx: &Context<'_>) -> Result<Value, Fault> {
    match ctx.item.node.name.node.as_str() {
        REVOKE_DEVICE => fleet::block(ctx).await,
        _ => run::run(ctx).await,
    }
}
