//! Does what the machine says: one answer after the other, the network and the store side by side. While many changes are
//! pushed, the next request is on its way before the last one is answered.

mod pace;
mod request;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::machine::{Event, Failure, Notice, StateView};
use super::transport::{TokenKeeper, Transport};
use crate::error::{Error, Result};
use crate::store::{Repaired, Store, Verified};

use pace::Pace;
use request::Line;
use session::{Next, Session};

/// The largest frame that is accepted, before and after decompression.
const MAX_FRAME_BYTES: usize = 8 << 20;

/// How far a sync is, for a progress bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows received in the request that runs.
    pub rows: u64,
    /// Rows expected in it; 0 when it is not known.
    pub rows_expected: u64,
    /// Changes that the server has got in this sync.
    pub pushed: u64,
    /// Changes that waited at its start.
    pub to_push: u64,
}

/// Is told how far a sync is. Called on the task that syncs: it must not block.
pub type Watcher = Arc<dyn Fn(Progress) + Send + Sync>;

/// How to sync.
#[derive(Clone, Default)]
pub struct SyncOptions {
    /// Is told how far the sync is.
    pub watcher: Option<Watcher>,
}

/// What a sync came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Changes that the server has got.
    pub pushed: u64,
    /// Of these: in effect, as sent or merged.
    pub applied: u64,
    /// Of these: kept by the server until something else happens.
    pub held: u64,
    /// Of these: refused; they stay here, editable.
    pub rejected: u64,
    /// Of these: met a concurrent edit.
    pub conflicts: u64,
    /// Rows received.
    pub pulled_rows: u64,
    /// Bytes of the requests' bodies.
    pub bytes_sent: u64,
    /// Bytes of the responses' bodies.
    pub bytes_received: u64,
    /// Requests made.
    pub requests: u32,
    /// What came of comparing the device's rows with the server's, when they were compared.
    pub verified: Option<Verified>,
    /// What was put right because it differed.
    pub repaired: Repaired,
    /// Whether everything is on both sides.
    pub complete: bool,
}

/// Syncs a store with a server, one session at a time.
pub struct Syncer {
    line: Arc<Line>,
    tokens: Arc<dyn TokenKeeper>,
    wait_ms: u32,
    session: tokio::sync::Mutex<()>,
    wake: tokio::sync::Notify,
    pace: Pace,
}

impl Syncer {
    /// Returns a syncer. `app` names the application and its version; `wait_ms` is how long the server may hold a
    /// request in [`Syncer::run_connected`].
    pub fn new(
        store: Arc<Store>,
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn TokenKeeper>,
        app: impl Into<String>,
        wait_ms: u32,
    ) -> Self {
        Self {
            line: Arc::new(Line { store, transport, app: app.into() }),
            tokens,
            wait_ms,
            session: tokio::sync::Mutex::new(()),
            wake: tokio::sync::Notify::new(),
            pace: Pace::new(),
        }
    }

    /// Syncs until everything is on both sides.
    ///
    /// Dropping the future stops it anywhere; what was received up to then is kept, and the next sync goes on
    /// from there. Fails with the first thing that goes wrong, without trying again.
    pub async fn sync_once(&self, options: SyncOptions) -> Result<SyncReport> {
        let _alone = self.session.lock().await;
        let mut session = Session::new(self, 0, options).await?;
        session.handle(Event::Wake).await?;
        loop {
            match session.next {
                Next::Rest => return session.outcome(),
                Next::Wait { .. } => return session.outcome(),
                Next::Request { push, wait_ms } => session.request(push, wait_ms).await?,
                Next::RefreshToken => session.refresh().await?,
            }
        }
    }

    /// Like [`Syncer::sync_once`], and has every row compared with the server's.
    pub async fn verify_once(&self, options: SyncOptions) -> Result<SyncReport> {
        on_thread(&self.line.store, Store::verify_soon).await?;
        self.sync_once(options).await
    }

    /// Keeps the device in sync until `cancel` resolves: pushes what is recorded at once, and waits for news.
    /// Never fails because of the network; `on_notice` is told how it goes.
    pub async fn run_connected(
        &self,
        options: SyncOptions,
        cancel: impl Future<Output = ()>,
        on_notice: impl Fn(&Notice),
    ) -> Result<()> {
        let _alone = self.session.lock().await;
        let mut session = Session::new(self, self.wait_ms, options).await?;
        tokio::pin!(cancel);
        let mut recorded = self.line.store.recorded();
        session.handle(Event::Wake).await?;
        loop {
            if let Some(notice) = session.notice.take() {
                on_notice(&notice);
            }
            let (next, seen) = (session.next, session.seen);
            let event = tokio::select! {
                () = &mut cancel => return Ok(()),
                outcome = session.step(next) => outcome?,
                _ = recorded.wait_for(|version| *version != seen), if next.yields_to_a_push() => Some(Event::Recorded),
                () = self.woken(next) => Some(Event::Wake),
            };
            if let Some(event) = event {
                if event == Event::Wake && matches!(next, Next::Request { .. }) {
                    let failure = Failure::Offline("the network came back without the request".to_owned());
                    session.handle(Event::Failed(failure)).await?;
                }
                session.handle(event).await?;
            }
        }
    }

    /// Waits for a wake that the next step gives way to: a pause does, and a request that the network may have
    /// forgotten. A wake that comes too early to tell is kept until something is heard.
    async fn woken(&self, next: Next) {
        self.wake.notified().await;
        if next.yields_to_a_wake() {
            return;
        }
        let kept = KeptWake { syncer: self, since_ms: self.line.store.world().uptime_ms() };
        while matches!(next, Next::Request { .. }) && !kept.is_answered() {
            match self.pace.silent_in_ms(self.line.store.world().uptime_ms()) {
                0 => return std::mem::forget(kept),
                left_ms => tokio::time::sleep(Duration::from_millis(left_ms)).await,
            }
        }
        drop(kept);
        std::future::pending::<()>().await;
    }

    /// Ends a pause of [`Syncer::run_connected`]: the network is back, the person has signed in. A request of which
    /// nothing was heard for some seconds is made anew.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    async fn view(&self) -> Result<StateView> {
        let store = on_thread(&self.line.store, Store::sync_view).await?;
        let world = self.line.store.world();
        Ok(StateView { store, random: world.random_below(u64::MAX), uptime_ms: world.uptime_ms() })
    }
}

/// A wake that nothing has given way to yet. The request may fail before: then it ends the pause that follows.
struct KeptWake<'s> {
    syncer: &'s Syncer,
    since_ms: u64,
}

impl KeptWake<'_> {
    /// Whether the network has shown since then that it knows the request.
    fn is_answered(&self) -> bool {
        self.syncer.pace.has_heard_since(self.since_ms)
    }
}

impl Drop for KeptWake<'_> {
    fn drop(&mut self) {
        if !self.is_answered() {
            self.syncer.wake.notify_one();
        }
    }
}

/// Runs work on the store where blocking is allowed.
async fn on_thread<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or(Err(Error::Cancelled))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Offline(message) => Self::Network(message),
            Failure::NotOurServer(message) => Self::NotOurServer(message),
            Failure::Unauthorised => Self::NeedsSignIn,
            Failure::Busy { after_ms } => Self::Busy { after_ms: after_ms as u32 },
            Failure::Fault { code, message } => Self::Fault { code, message },
            Failure::Storage(message) => Self::Storage(message),
        }
    }
}

#[cfg(test)]
mod tests;
