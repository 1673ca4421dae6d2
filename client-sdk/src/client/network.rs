//! The calls that need the network: enrolment, one sync, a comparison, staying in sync.

use std::future::Future;

use sync_protocol::id::UserId;

use super::Client;
use crate::account::Enrolment;
use crate::api::error::ApiResult;
use crate::error::Error;
use crate::sync::{Notice, SyncOptions, SyncReport, Watcher};

/// What came of comparing what the device holds with what the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Scopes that were compared: the programme, the person, each enterprise. 0 from a server that cannot compare.
    pub scopes: u64,
    /// Of these: scopes that differed.
    pub differing_scopes: u64,
    /// Rows that were missing or of another version.
    pub outdated_rows: u64,
    /// Rows that the server does not have.
    pub foreign_rows: u64,
    /// Whether the device now holds exactly what the server has: what differed was put right.
    pub is_equal: bool,
    /// The sync in which this happened.
    pub sync: SyncReport,
}

impl From<SyncReport> for VerifyReport {
    fn from(sync: SyncReport) -> Self {
        let verified = sync.verified.unwrap_or_default();
        Self {
            scopes: verified.scopes,
            differing_scopes: sync.repaired.scopes,
            outdated_rows: sync.repaired.fetched,
            foreign_rows: sync.repaired.dropped,
            is_equal: verified.scopes > 0 && verified.differing == 0,
            sync,
        }
    }
}

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

    /// Compares everything that the device holds with what the server has, now, and puts right what differs. What waits
    /// to be sent is sent first, and is never touched by the comparison.
    ///
    /// Can be stopped anywhere, like [`Client::sync`], and fails like it. While [`Client::connected`] runs, it waits
    /// for that to end.
    pub async fn verify(&self, watcher: Option<Watcher>, cancel: impl Future<Output = ()>) -> ApiResult<VerifyReport> {
        tokio::select! {
            report = self.syncer.verify_once(SyncOptions { watcher }) => Ok(report?.into()),
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
