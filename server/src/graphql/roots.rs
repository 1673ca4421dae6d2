//! The query root.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::resolve_container;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, Name, ObjectType, OutputType, PathSegment, Positioned, ServerResult,
    Value,
};
use sync_protocol::entity::EntityKind;
use uuid::Uuid;

use super::arguments::{arguments, given, text};
use super::catalog::Catalog;
use super::context::RequestContext;
use super::error::{ErrorCode, Fault};
use super::fleet;
use super::plan::{Planner, Selected};
use super::types;
use crate::domain::policy::{Action, RowScope, reachable};
use crate::store::query::{kind_of, survivor_of};

/// The root of every query.
pub(super) struct Query;

impl OutputType for Query {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Query")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        types::register(registry);
        let definition = types::object("Query", "What can be read.", types::root_fields());
        registry.types.insert("Query".to_owned(), definition);
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<Field>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl ObjectType for Query {}

impl ContainerType for Query {
    /// Resolves one field of the root. A failure makes this field null and leaves its neighbours alone.
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        let resolved = resolve_root(ctx).await.unwrap_or_else(|fault| {
            let path = vec![PathSegment::Field(ctx.item.node.response_key().node.to_string())];
            ctx.add_error(fault.at(ctx.item.pos).into_error(path));
            Value::Null
        });
        Ok(Some(resolved))
    }
}

/// A field of the query root.
enum Root {
    Viewer,
    Node,
    One(EntityKind),
    List(EntityKind),
    Device,
    Devices,
    SyncHealth,
}

fn root(name: &str) -> Option<Root> {
    match name {
        "viewer" => return Some(Root::Viewer),
        "node" => return Some(Root::Node),
        "device" => return Some(Root::Device),
        "devices" => return Some(Root::Devices),
        "syncHealth" => return Some(Root::SyncHealth),
        _ => {}
    }
    Catalog::get().shapes().iter().find_map(|shape| match name {
        name if name == shape.singular => Some(Root::One(shape.kind)),
        name if name == shape.plural => Some(Root::List(shape.kind)),
        _ => None,
    })
}

async fn resolve_root(ctx: &Context<'_>) -> Result<Value, Fault> {
    // `__schema` and `__type` come here only when introspection is off.
    let Some(root) = root(&ctx.item.node.name.node) else { return Ok(Value::Null) };
    let request = RequestContext::of(ctx)?;
    let planner = Planner { env: ctx.query_env, viewer: &request.viewer };
    let selected = Selected::single(ctx.item);
    match root {
        Root::List(kind) => {
            let plan = planner.list(kind, &selected)?;
            request.conn().await?.reader(request).list(&plan).await
        }
        Root::One(kind) => one(request, &planner, &selected, kind).await,
        Root::Node => node(request, &planner, &selected).await,
        Root::Device => fleet::one(request, &planner, &selected).await,
        Root::Devices => fleet::list(request, &planner, &selected).await,
        Root::SyncHealth => fleet::health(request, &planner, &selected).await,
        Root::Viewer => viewer(request, &planner, &selected).await,
    }
}

async fn one(
    request: &RequestContext,
    planner: &Planner<'_>,
    selected: &Selected<'_>,
    kind: EntityKind,
) -> Result<Value, Fault> {
    let id = id_argument(planner, selected)?;
    let branch = planner.branch(kind, &selected.below())?;
    let mut conn = request.conn().await?;
    let found = conn.reader(request).one(&branch, id).await?;
    if found != Value::Null {
        return Ok(found);
    }
    // Who kept the identifier of a row that was merged into another one gets that one.
    match survivor_of(conn.get(), request.viewer.programme_id, id).await? {
        Some(survivor) => conn.reader(request).one(&branch, survivor).await,
        None => Ok(Value::Null),
    }
}

/// Returns any row. What kind of row it is, is not told to someone who may not see it.
async fn node(request: &RequestContext, planner: &Planner<'_>, selected: &Selected<'_>) -> Result<Value, Fault> {
    let programme = request.viewer.programme_id;
    let mut id = id_argument(planner, selected)?;
    let mut conn = request.conn().await?;
    let mut kind = kind_of(conn.get(), programme, id).await?;
    if kind.is_none()
        && let Some(survivor) = survivor_of(conn.get(), programme, id).await?
    {
        (id, kind) = (survivor, kind_of(conn.get(), programme, survivor).await?);
    }
    let Some(kind) = kind else { return Ok(Value::Null) };
    let branch = planner.branch(kind, &selected.below())?;
    conn.reader(request).one(&branch, id).await
}

async fn viewer(request: &RequestContext, planner: &Planner<'_>, selected: &Selected<'_>) -> Result<Value, Fault> {
    let viewer = &request.viewer;
    let mut fields = Vec::new();
    for part in planner.collect(&selected.below(), "Viewer") {
        let value = match part.name() {
            "role" => Value::from(viewer.role.code()),
            "user" => row(request, planner, &part, EntityKind::User, viewer.user_id).await?,
            "programme" => row(request, planner, &part, EntityKind::Programme, viewer.programme_id).await?,
            "permissions" => permissions(request, planner, &part),
            _ => Value::from("Viewer"),
        };
        fields.push((part.key.clone(), value));
    }
    Ok(Value::Object(fields.into_iter().collect()))
}

async fn row(
    request: &RequestContext,
    planner: &Planner<'_>,
    selected: &Selected<'_>,
    kind: EntityKind,
    id: Uuid,
) -> Result<Value, Fault> {
    let branch = planner.branch(kind, &selected.below())?;
    request.conn().await?.reader(request).one(&branch, id).await
}

/// Returns what the viewer may do now: one entry for each kind and action that is possible at all.
fn permissions(request: &RequestContext, planner: &Planner<'_>, selected: &Selected<'_>) -> Value {
    let parts = planner.collect(&selected.below(), "Permission");
    let pairs = EntityKind::ALL.iter().flat_map(|kind| Action::ALL.iter().map(move |action| (*kind, *action)));
    let entries = pairs.filter_map(|(kind, action)| {
        let scopes = match reachable(&request.viewer, action, kind, request.now()) {
            RowScope::Nothing => return None,
            RowScope::All => None,
            RowScope::Scopes(scopes) => Some(scopes),
        };
        let fields =
            parts.iter().map(|part| (part.key.clone(), permission(part.name(), kind, action, scopes.as_deref())));
        Some(Value::Object(fields.collect()))
    });
    Value::List(entries.collect())
}

fn permission(name: &str, kind: EntityKind, action: Action, scopes: Option<&[Uuid]>) -> Value {
    match name {
        "type" => Value::from(kind.def().type_name),
        "action" => Value::Enum(Name::new(action.name())),
        "everywhere" => Value::from(scopes.is_none()),
        "scopeIds" => Value::List(scopes.unwrap_or_default().iter().map(|id| Value::from(id.to_string())).collect()),
        _ => Value::from("Permission"),
    }
}

/// Returns the identifier that a field of the root is asked for.
pub(super) fn id_argument(planner: &Planner<'_>, selected: &Selected<'_>) -> Result<Uuid, Fault> {
    let arguments = arguments(planner.env, &selected.first().node)?;
    let id = given(&arguments, "id").and_then(text).and_then(|text| Uuid::parse_str(text).ok());
    id.ok_or_else(|| Fault::new(ErrorCode::BadUserInput, "`id` is not an identifier."))
}
