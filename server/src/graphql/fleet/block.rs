//! `revokeDevice`: a lost or stolen phone gets nothing more.

use async_graphql::registry::{InputObjectBuilder, MetaField, MetaType, Registry};
use async_graphql::{Context, Name, Value};
use uuid::Uuid;

use super::devices::{self, DeviceNode};
use super::view;
use crate::domain::policy;
use crate::graphql::arguments::{Named, arguments, given, text};
use crate::graphql::context::RequestContext;
use crate::graphql::error::{ErrorCode, Fault};
use crate::graphql::http::{AuthFailure, Block};
use crate::graphql::mutation::{UserError, error_types, id};
use crate::graphql::paging::bad_input;
use crate::graphql::plan::{Planner, Selected};
use crate::graphql::types::{add, argument, field, object};

const SUCCESS: &str = "RevokeDeviceSuccess";
const RESULT: &str = "RevokeDeviceResult";
const DOC: &str = "Blocks a device for good, as when it is lost: its sessions end, and its next request is refused, on \
    this server at once and on others within ten seconds. Nothing that it sent before is touched; what was still \
    waiting on it stays there (`pendingCount`). For coordinators and administrators.";
/// The longest reason, in characters.
const REASON_CHARS: usize = 500;

/// Returns the field of the mutation root.
pub(in crate::graphql) fn root_field() -> MetaField {
    let input = argument("input", "RevokeDeviceInput!", "What to do.");
    MetaField { args: crate::graphql::types::arguments([input]), ..field("revokeDevice", RESULT, DOC) }
}

/// Adds the input and the result.
pub(in crate::graphql) fn register(registry: &mut Registry) {
    let input = [
        argument("clientMutationId", "UUID!", "Made by the client. Revoking twice is the same as revoking once."),
        argument("deviceId", "ID!", "The device."),
        argument("reason", "String!", "Why, for whoever looks later; at most 500 characters."),
        argument(
            "wipes",
            "Boolean",
            "Whether the device is to destroy its data when it asks again; false unless told.",
        ),
    ];
    let input = InputObjectBuilder::new("RevokeDeviceInput", crate::graphql::types::arguments(input));
    add(registry, "RevokeDeviceInput", input.description(Some(DOC.to_owned())).build());
    let fields = [
        field("clientMutationId", "UUID!", "The id of the request."),
        field("device", "Device", "The device as it is now."),
    ];
    add(registry, SUCCESS, object(SUCCESS, "It took effect.", fields));
    add(registry, RESULT, result());
}

fn result() -> MetaType {
    MetaType::Union {
        name: RESULT.to_owned(),
        description: Some("What became of the request.".to_owned()),
        possible_types: std::iter::once(SUCCESS.to_owned()).chain(error_types()).collect(),
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        rust_typename: None,
        directive_invocations: Vec::new(),
    }
}

/// One selected field of a success.
enum Part {
    TypeName,
    ClientMutationId,
    Device(DeviceNode),
}

/// Carries it out.
pub(in crate::graphql) async fn block(ctx: &Context<'_>) -> Result<Value, Fault> {
    let request = RequestContext::of(ctx)?;
    let planner = Planner { env: ctx.query_env, viewer: &request.viewer };
    let selected = Selected::single(ctx.item);
    let arguments = arguments(ctx.query_env, &ctx.item.node)?;
    let Some(Value::Object(input)) = given(&arguments, "input") else { return Err(bad_input("`input` is missing.")) };
    let (mutation_id, block) = asked(request, input)?;
    // Planned first: nothing is done for a request that fails.
    let parts = success_parts(&planner, &selected)?;
    let device_id = block.device_id;
    let refused = match policy::may_block_devices(&request.viewer) {
        false => Some(UserError::not_permitted()),
        true => (!carried_out(request, block).await?).then(UserError::not_found),
    };
    match refused {
        Some(error) => Ok(error.show(&planner, &selected, RESULT)),
        None => show(request, &parts, mutation_id, device_id).await,
    }
}

fn asked(request: &RequestContext, input: &Named) -> Result<(Uuid, Block), Fault> {
    let reason = given(input, "reason").and_then(text).map(str::trim).unwrap_or_default();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS {
        return Err(bad_input(format!("`reason` says why in at most {REASON_CHARS} characters.")));
    }
    let block = Block {
        programme_id: request.viewer.programme_id,
        device_id: id(input, "deviceId")?,
        by: request.viewer.user_id,
        reason: reason.to_owned(),
        wipes: matches!(given(input, "wipes"), Some(Value::Boolean(true))),
    };
    Ok((id(input, "clientMutationId")?, block))
}

async fn carried_out(request: &RequestContext, block: Block) -> Result<bool, Fault> {
    (request.shared.block_device)(block).await.map_err(|failure| match failure {
        AuthFailure::Unavailable => Fault::new(ErrorCode::Unavailable, "The server is busy. Try again in a moment."),
        AuthFailure::Unauthenticated => Fault::new(ErrorCode::Unauthenticated, "Sign in first."),
    })
}

fn success_parts<'a>(planner: &Planner<'a>, selected: &Selected<'a>) -> Result<Vec<(Name, Part)>, Fault> {
    let parts = planner.collect_as(&selected.below(), &[SUCCESS, RESULT]).into_iter().map(|part| {
        let planned = match part.name() {
            "clientMutationId" => Part::ClientMutationId,
            "device" => Part::Device(DeviceNode::plan(planner, &part.below())?),
            _ => Part::TypeName,
        };
        Ok((part.key.clone(), planned))
    });
    parts.collect()
}

async fn show(
    request: &RequestContext,
    parts: &[(Name, Part)],
    mutation_id: Uuid,
    device_id: Uuid,
) -> Result<Value, Fault> {
    let view = view(request, &Named::new())?;
    let mut shown = Named::with_capacity(parts.len());
    for (key, part) in parts {
        let value = match part {
            Part::TypeName => Value::from(SUCCESS),
            Part::ClientMutationId => Value::from(mutation_id.to_string()),
            Part::Device(node) => devices::show(request, &view, node, device_id).await?,
        };
        shown.insert(key.clone(), value);
    }
    Ok(Value::Object(shown))
}
