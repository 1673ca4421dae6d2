//! What belongs to one request: who asks, when, and the one connection.

use async_graphql::Context;
use sync_protocol::time::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use super::error::{ErrorCode, Fault};
use super::execute::Reader;
use crate::domain::viewer::Viewer;
use crate::store::Conn;

/// The context of a request.
pub(super) struct RequestContext {
    pub(super) viewer: Viewer,
    pub(super) now: Timestamp,
    /// The most that the selection may cost.
    pub(super) cost_budget: usize,
    /// Root fields run concurrently; they take turns on the one connection.
    conn: Mutex<Conn>,
}

impl RequestContext {
    /// Returns the context of a request that begins.
    pub(super) fn new(viewer: Viewer, now: Timestamp, cost_budget: usize, conn: Conn) -> Self {
        Self { viewer, now, cost_budget, conn: Mutex::new(conn) }
    }

    /// Returns the context of the running request.
    pub(super) fn of<'a>(ctx: &Context<'a>) -> Result<&'a Self, Fault> {
        ctx.data_opt::<Self>().ok_or_else(|| Fault::new(ErrorCode::Internal, "the request has no context"))
    }

    /// Waits for the connection.
    pub(super) async fn conn(&self) -> HeldConn<'_> {
        HeldConn(self.conn.lock().await)
    }
}

/// The connection while one field uses it.
pub(super) struct HeldConn<'a>(MutexGuard<'a, Conn>);

impl HeldConn<'_> {
    /// Returns the connection.
    pub(super) fn get(&mut self) -> &mut Conn {
        &mut self.0
    }

    /// Returns a reader on the connection.
    pub(super) fn reader<'s>(&'s mut self, request: &'s RequestContext) -> Reader<'s> {
        Reader { conn: &mut self.0, viewer: &request.viewer, now: request.now }
    }
}
