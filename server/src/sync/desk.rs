//! What the sessions of one server share, whatever store is below.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::admission::{Door, Visitor};
use super::request::SyncRequest;
use super::session::{self, Session};
use super::verify::Verification;
use crate::domain::feed::Feed;
use crate::domain::fleet::Fleet;
use crate::domain::viewers::Viewers;
use crate::ops::metrics::SyncSignals;
use crate::store::SyncStore;
use crate::world::SharedWorld;

/// Who asks, as the token says.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The programme that the person signed in to.
    pub programme: Uuid,
    /// The person.
    pub user: Uuid,
    /// The session of the token.
    pub session: Uuid,
}

/// What sessions share.
pub struct Desk<S> {
    /// The rows and their log.
    pub store: S,
    /// The clock.
    pub world: SharedWorld,
    /// Permissions.
    pub viewers: Viewers,
    /// News of programmes.
    pub feed: Arc<Feed>,
    /// Digests of scopes.
    pub verification: Verification,
    /// Rows of one page.
    pub page_rows: usize,
    /// The door: as many are worked on as there are connections to the database.
    pub door: Arc<Door>,
    /// What devices say of themselves.
    pub fleet: Arc<Fleet>,
    /// What is measured.
    pub signals: Arc<SyncSignals>,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
}

impl<S: SyncStore> Desk<S> {
    /// Answers one request to its end, through a channel that takes what is flushed.
    pub async fn answer(self: Arc<Self>, caller: Caller, request: SyncRequest, sender: mpsc::Sender<Bytes>) {
        let SyncRequest { hello, pushes, checks } = request;
        let turn = self.door.turn(Visitor { programme: caller.programme, device: hello.device.0 }).await;
        session::run(Session::new(self, caller, hello, checks, sender, turn), pushes).await;
    }
}
