//! The three calls that need the network: enrolment, one sync, staying in sync.

use std::future::Future;

use sync_protocol::id::UserId;

use super::Client;
use crate::account::Enrolment;
use crate::api::error::ApiResult;
use crate::error::Error;
use crate::sync::{Notice, SyncOptions, SyncReport, Watcher};

impl Client {
    /// Enrols the device for a person, or signs the person in again. What was recorded is kept.
    pub async fn enrol(&self, enrolment: &Enrolment) -> ApiResult<UserId> {
        Ok(self.account.enrol(enrolment).await?.user)
    }

    /// Syncs until everything is on both sides, or until `cancel` resolves.
    ///
    /// Can be stopped anywhere: what was exchanged up to then is kept, and the next sync goes on from there. Fails
    /// with the first thing that goes wrong; everything local goes on meanwhile.
    pub async fn sync(&self, watcher: Option<Watcher>, cancel: impl Future<Output = ()>) -> ApiResult<SyncReport> {
        tokio::select! {
            report = self.syncer.sync_once(SyncOptions { watcher }) => Ok(report?),
            () = cancel => Err(Error::Cancelled.into()),
        }
    }

    /// Keeps the device in sync until `cancel` resolves: sends what is recorded at once and waits for news.
    ///
    /// Never fails because of the network; `on_notice` is told how it goes.
    pub async fn connected(
        &self,
        watcher: Option<Watcher>,
        cancel: impl Future<Output = ()>,
        on_notice: impl Fn(&Notice),
    ) -> ApiResult<()> {
        Ok(self.syncer.run_connected(SyncOptions { watcher }, cancel, on_notice).await?)
    }

    /// Tries again at once in [`Client::connected`]: the network is back, or the person has signed in.
    pub fn wake(&self) {
        self.syncer.wake();
    }
}
