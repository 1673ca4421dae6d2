//! One verb, carried out.

use async_graphql::indexmap::IndexMap;
use async_graphql::{Context, Name, Value};
use uuid::Uuid;

use super::payload::UserError;
use super::verb::{Verb, id};
use crate::domain::office::{Reply, Request, perform};
use crate::graphql::arguments::{Named, arguments, given, text};
use crate::graphql::catalog::Catalog;
use crate::graphql::context::RequestContext;
use crate::graphql::error::{ErrorCode, Fault};
use crate::graphql::paging::bad_input;
use crate::graphql::plan::{Branch, Planner, Selected};
use crate::store::StoreError;

/// How often a verb that collided with another change is tried.
const ATTEMPTS: u32 = 3;

/// Carries out the verb of a field. The selection is planned first: nothing is written for a request that fails.
pub(super) async fn run(ctx: &Context<'_>) -> Result<Value, Fault> {
    let name = ctx.item.node.name.node.as_str();
    let verb = Verb::of(name).ok_or_else(|| Fault::new(ErrorCode::Internal, format!("no verb {name}")))?;
    let request = RequestContext::of(ctx)?;
    let planner = Planner { env: ctx.query_env, viewer: &request.viewer };
    let selected = Selected::single(ctx.item);
    let arguments = arguments(ctx.query_env, &ctx.item.node)?;
    let Some(Value::Object(input)) = given(&arguments, "input") else { return Err(bad_input("`input` is missing.")) };
    let asked = asked(verb, request, input)?;
    let success = success_parts(verb, &planner, &selected)?;
    let reply = attempt(request, &asked).await?;
    match UserError::of(&reply, request.viewer.locale) {
        Some(error) => Ok(error.show(&planner, &selected, &format!("{}Result", verb.type_name()))),
        None => show_success(request, &asked, &success).await,
    }
}

fn asked<'r>(verb: &Verb, request: &'r RequestContext, input: &Named) -> Result<Request<'r>, Fault> {
    let expected = given(input, "expectedVersion").and_then(text).map(str::parse::<u64>).transpose();
    Ok(Request {
        viewer: &request.viewer,
        now: request.now(),
        mutation_id: id(input, "clientMutationId")?,
        expected_version: expected.map_err(|_| bad_input("`expectedVersion` is not a version."))?,
        operation: (verb.read)(input)?,
    })
}

/// Tries again when two changes collided, for instance a request and its own retry.
async fn attempt(request: &RequestContext, asked: &Request<'_>) -> Result<Reply, Fault> {
    let mut attempt = 1;
    loop {
        match write(request, asked).await {
            Err(error) if attempt < ATTEMPTS && is_collision(&error) => attempt += 1,
            other => return Ok(other?),
        }
    }
}

fn is_collision(error: &StoreError) -> bool {
    matches!(error, StoreError::Retry(_))
        || matches!(error, StoreError::Constraint { constraint, .. } if constraint.ends_with("_pkey"))
}

async fn write(request: &RequestContext, asked: &Request<'_>) -> Result<Reply, StoreError> {
    let mut held = request.conn().await?;
    let mut tx = held.take().write_tx().await?;
    let reply = perform(&mut tx, asked).await?;
    let conn = match reply {
        Reply::Done(_) => tx.commit().await?,
        _ => tx.rollback().await?,
    };
    held.put_back(conn);
    if let Reply::Done(seq) = reply {
        request.shared.feed.publish(asked.viewer.programme_id, seq);
    }
    Ok(reply)
}

/// One selected field of a success.
enum SuccessPart {
    TypeName(String),
    ClientMutationId,
    Row(Box<Branch>),
}

fn success_parts<'a>(
    verb: &Verb,
    planner: &Planner<'a>,
    selected: &Selected<'a>,
) -> Result<Vec<(Name, SuccessPart)>, Fault> {
    let (success, result) = (format!("{}Success", verb.type_name()), format!("{}Result", verb.type_name()));
    let shape = Catalog::get().shape(verb.returns);
    let parts = planner.collect_as(&selected.below(), &[&success, &result]).into_iter().map(|part| {
        let planned = match part.name() {
            "clientMutationId" => SuccessPart::ClientMutationId,
            name if name == shape.singular => SuccessPart::Row(Box::new(planner.branch(verb.returns, &part.below())?)),
            _ => SuccessPart::TypeName(success.clone()),
        };
        Ok((part.key.clone(), planned))
    });
    parts.collect()
}

async fn show_success(
    request: &RequestContext,
    asked: &Request<'_>,
    parts: &[(Name, SuccessPart)],
) -> Result<Value, Fault> {
    let row_id: Uuid = asked.operation.result(asked.mutation_id).1;
    let mut shown = IndexMap::with_capacity(parts.len());
    for (key, part) in parts {
        let value = match part {
            SuccessPart::TypeName(name) => Value::from(name.as_str()),
            SuccessPart::ClientMutationId => Value::from(asked.mutation_id.to_string()),
            SuccessPart::Row(branch) => request.conn().await?.reader(request).one(branch, row_id).await?,
        };
        shown.insert(key.clone(), value);
    }
    Ok(Value::Object(shown))
}
