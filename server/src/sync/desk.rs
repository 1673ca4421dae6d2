//! What the sessions of one server share, whatever store is below.

use std::sync::Arc;

use bytes::Bytes;
use sync_protocol::wire::{Hello, Push};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::session::{self, Session};
use crate::domain::feed::Feed;
use crate::domain::viewers::Viewers;
use crate::store::SyncStore;
use crate::world::SharedWorld;

/// Who asks, as the token says.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The programme that the person signed in to.
    pub programme: Uuid,
    /// The person.
    pub user: Uuid,
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
    /// Rows of one page.
    pub page_rows: usize,
    /// Places among the requests that are worked on, one for each connection to the database.
    pub admission: Arc<Semaphore>,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
}

impl<S: SyncStore> Desk<S> {
    /// Answers one request to its end, through a channel that takes what is flushed.
    ///
    /// A closed admission answers nothing: the server is stopping.
    pub async fn answer(self: Arc<Self>, caller: Caller, hello: Hello, pushes: Vec<Push>, sender: mpsc::Sender<Bytes>) {
        if let Ok(permit) = self.admission.clone().acquire_owned().await {
            session::run(Session::new(self, caller, hello, sender, permit), pushes).await;
        }
    }
}
