//! What belongs to one request: who asks, when, and the one connection.

use std::sync::Arc;

use async_graphql::Context;
use sync_protocol::time::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use super::error::{ErrorCode, Fault};
use super::execute::Reader;
use super::http::BlockDevice;
use crate::domain::feed::Feed;
use crate::domain::fleet::Fleet;
use crate::domain::viewer::Viewer;
use crate::ops::metrics::SyncSignals;
use crate::store::{Conn, Db, StoreError};

/// What a request takes from the server.
pub(super) struct Shared {
    pub(super) now: Timestamp,
    /// Tells the phones what was committed.
    pub(super) feed: Arc<Feed>,
    pub(super) office: Db,
    /// What devices said of themselves.
    pub(super) fleet: Arc<Fleet>,
    /// After how many days of silence nothing is kept for a device.
    pub(super) device_expiry_days: u16,
    pub(super) signals: SyncSignals,
    /// Blocks devices, and whoever is signed in on them.
    pub(super) block_device: BlockDevice,
}

/// The context of a request.
pub(super) struct RequestContext {
    pub(super) viewer: Viewer,
    /// The most that the selection may cost.
    pub(super) cost_budget: usize,
    pub(super) shared: Shared,
    /// Root fields run concurrently; they take turns on the one connection. Empty after a failed transaction.
    conn: Mutex<Option<Conn>>,
}

impl RequestContext {
    /// Returns the context of a request that begins, with the connection that has read the viewer.
    pub(super) fn new(viewer: Viewer, cost_budget: usize, shared: Shared, conn: Conn) -> Self {
        Self { viewer, cost_budget, shared, conn: Mutex::new(Some(conn)) }
    }

    /// Returns when the request came.
    pub(super) fn now(&self) -> Timestamp {
        self.shared.now
    }

    /// Returns the context of the running request.
    pub(super) fn of<'a>(ctx: &Context<'a>) -> Result<&'a Self, Fault> {
        ctx.data_opt::<Self>().ok_or_else(|| Fault::new(ErrorCode::Internal, "the request has no context"))
    }

    /// Waits for the connection.
    pub(super) async fn conn(&self) -> Result<HeldConn<'_>, StoreError> {
        let mut place = self.conn.lock().await;
        if place.is_none() {
            *place = Some(self.shared.office.conn().await?);
        }
        Ok(HeldConn(place))
    }
}

/// Why a held connection is there.
const FILLED: &str = "the place was filled when it was locked, and is emptied only by `take`, the last use";

/// The connection while one field uses it.
pub(super) struct HeldConn<'a>(MutexGuard<'a, Option<Conn>>);

impl HeldConn<'_> {
    /// Returns the connection.
    pub(super) fn get(&mut self) -> &mut Conn {
        self.0.as_mut().expect(FILLED)
    }

    /// Returns a reader on the connection.
    pub(super) fn reader<'s>(&'s mut self, request: &'s RequestContext) -> Reader<'s> {
        Reader { viewer: &request.viewer, now: request.now(), conn: self.get() }
    }

    /// Takes the connection out for a transaction.
    pub(super) fn take(&mut self) -> Conn {
        self.0.take().expect(FILLED)
    }

    /// Gives the connection back after [`Self::take`].
    pub(super) fn put_back(mut self, conn: Conn) {
        *self.0 = Some(conn);
    }
}
