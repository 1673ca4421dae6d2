//! The schema, and one request run against it.

use std::time::Duration;

use async_graphql::parser::parse_query;
use async_graphql::{EmptyMutation, EmptySubscription, Request, Response, Variables};
use sync_protocol::code::Role;
use sync_protocol::time::Timestamp;

use super::context::RequestContext;
use super::error::{ErrorCode, Fault, coded};
use super::limits::{self, CostLimit};
use super::prescan::prescan;
use super::roots::Query;
use crate::domain::viewer::Viewer;
use crate::store::Conn;

pub(super) type Schema = async_graphql::Schema<Query, EmptyMutation, EmptySubscription>;

/// The most that a selection may cost, in fields times rows.
const COST_BUDGET: usize = 5_000;
/// The same for reporting tools, which read much at once.
const ANALYST_COST_BUDGET: usize = 50_000;
/// How long a request may run.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A GraphQL request as it came over the wire.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
}

/// Returns the schema.
pub(super) fn schema() -> Schema {
    Schema::build(Query, EmptyMutation, EmptySubscription).disable_suggestions().extension(CostLimit).finish()
}

/// Returns the schema in the schema definition language.
pub fn sdl() -> String {
    schema().sdl()
}

/// Runs one request. Everything that is wrong with it is in the errors of the response.
pub(super) async fn run(
    schema: &Schema,
    asked: Asked,
    viewer: Viewer,
    now: Timestamp,
    conn: Conn,
    introspection: bool,
) -> Response {
    let request = match prepare(asked, introspection) {
        Ok(request) => request,
        Err(response) => return response,
    };
    let budget = if viewer.role == Role::Analyst { ANALYST_COST_BUDGET } else { COST_BUDGET };
    let request = request.data(RequestContext::new(viewer, now, budget, conn));
    match tokio::time::timeout(TIMEOUT, schema.execute(request)).await {
        Ok(response) => response,
        Err(_) => refused(Fault::new(ErrorCode::Timeout, "The request took too long. Ask for less at once.")),
    }
}

/// Parses the document within its bounds.
fn prepare(asked: Asked, introspection: bool) -> Result<Request, Response> {
    let limit = |message| refused(Fault::new(ErrorCode::CostLimit, message));
    prescan(&asked.query).map_err(|too_big| limit(too_big.message()))?;
    let document = parse_query(&asked.query)
        .map_err(|error| Response::from_errors(vec![coded(error.into(), ErrorCode::ParseFailed)]))?;
    limits::check(&document, introspection).map_err(refused)?;
    let mut request = Request::new(asked.query).variables(asked.variables);
    request.operation_name = asked.operation_name;
    request.set_parsed_query(document);
    Ok(if introspection { request } else { request.disable_introspection() })
}

fn refused(fault: Fault) -> Response {
    Response::from_errors(vec![fault.into_error(Vec::new())])
}
