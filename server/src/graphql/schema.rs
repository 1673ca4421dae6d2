//! The schema, and one request run against it.

use std::time::Duration;

use async_graphql::parser::parse_query;
use async_graphql::{EmptySubscription, Request, Response, SDLExportOptions, ServerError, Variables};
use sync_protocol::code::Role;

use super::context::RequestContext;
use super::error::{ErrorCode, Fault, coded};
use super::limits::{self, CostLimit};
use super::mutation::Mutation;
use super::prescan::prescan;
use super::roots::Query;

pub(super) type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

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
    Schema::build(Query, Mutation, EmptySubscription)
        // Once more: an interface that no field returns is otherwise dropped as unused.
        .register_output_type::<Mutation>()
        .disable_suggestions()
        .extension(CostLimit)
        .finish()
}

/// Returns the schema in the schema definition language.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident().include_specified_by();
    schema().sdl_with_options(options)
}

/// Returns the most that the selections of a role may cost.
pub(super) fn cost_budget(role: Role) -> usize {
    if role == Role::Analyst { ANALYST_COST_BUDGET } else { COST_BUDGET }
}

/// Runs one request. Everything that is wrong with it is in the errors of the response.
pub(super) async fn run(schema: &Schema, asked: Asked, context: RequestContext, introspection: bool) -> Response {
    let request = match prepare(asked, introspection) {
        Ok(request) => request.data(context),
        Err(error) => return Response::from_errors(vec![*error]),
    };
    match tokio::time::timeout(TIMEOUT, schema.execute(request)).await {
        Ok(response) => response,
        Err(_) => {
            let fault = Fault::new(ErrorCode::Timeout, "The request took too long. Ask for less at once.");
            Response::from_errors(vec![*refused(fault)])
        }
    }
}

/// Parses the document within its bounds.
fn prepare(asked: Asked, introspection: bool) -> Result<Request, Box<ServerError>> {
    let limit = |message| refused(Fault::new(ErrorCode::CostLimit, message));
    prescan(&asked.query).map_err(|too_big| limit(too_big.message()))?;
    let document = parse_query(&asked.query).map_err(|error| Box::new(coded(error.into(), ErrorCode::ParseFailed)))?;
    limits::check(&document, introspection).map_err(refused)?;
    let mut request = Request::new(asked.query).variables(asked.variables);
    request.operation_name = asked.operation_name;
    request.set_parsed_query(document);
    Ok(if introspection { request } else { request.disable_introspection() })
}

fn refused(fault: Fault) -> Box<ServerError> {
    Box::new(fault.into_error(Vec::new()))
}
