//! A request on its way out: what it holds, and the one after it, which goes out before this one is answered.

use std::sync::Arc;

use sync_protocol::wire::{Hello, Message};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::on_thread;
use crate::error::Result;
use crate::store::{Place, PushBytes, Store};
use crate::sync::machine::Failure;
use crate::sync::transport::{Exchange, Response, Transport};

/// The way from a store to its server.
pub(super) struct Line {
    pub(super) store: Arc<Store>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) app: String,
}

/// What a request is to hold.
#[derive(Default)]
pub(super) struct Request {
    pub(super) push: bool,
    pub(super) wait_ms: u32,
    /// The most bytes of changes, before compression.
    pub(super) budget_bytes: usize,
    /// The changes, when they were prepared before.
    pub(super) prepared: Option<Prepared>,
    /// Whether the request before it is not answered yet.
    pub(super) is_ahead: bool,
}

/// The pushes of a request in the making.
pub(super) struct Prepared(JoinHandle<Result<Option<PushBytes>>>);

/// A request that went out.
pub(super) struct Sent {
    pub(super) answer: Result<Response, Failure>,
    pub(super) body_bytes: u64,
    pub(super) started_ms: u64,
    /// The pushes of the request that follows at once; `None` when none does.
    pub(super) next: Option<Prepared>,
    /// Where its pushes begin.
    place: Option<Place>,
}

/// The bytes of a request.
struct Made {
    bytes: Vec<u8>,
    place: Option<Place>,
    /// What the request that follows at once goes on from.
    followed: Option<PushBytes>,
}

/// A request that went out before the one before it was answered. Dropped, it is given up.
pub(super) struct Ahead(JoinHandle<Result<Option<Sent>>>);

impl Line {
    /// Sends a request; `None` when nobody is signed in, or what was prepared for a request ahead holds no longer. Begins
    /// with the pushes of the one after it: the server works on these meanwhile.
    pub(super) async fn send(&self, request: Request) -> Result<Option<Sent>> {
        let Some(access_token) = self.access_token().await? else { return Ok(None) };
        let budget_bytes = request.budget_bytes;
        let Some(made) = self.make(request).await? else { return Ok(None) };
        let next = made.followed.map(|pushed| self.prepare(pushed, budget_bytes));
        let (body_bytes, started_ms) = (made.bytes.len() as u64, self.store.world().uptime_ms());
        let answer = self.transport.exchange(Exchange { access_token, body: made.bytes }).await;
        Ok(Some(Sent { answer, body_bytes, started_ms, next, place: made.place }))
    }

    /// Sends what follows a request that the server has taken and not yet answered. A slow network is not asked to carry
    /// two requests at once: the first one is there.
    pub(super) fn send_ahead(self: &Arc<Self>, prepared: Prepared, budget_bytes: usize) -> Ahead {
        let line = Arc::clone(self);
        let request = Request { push: true, wait_ms: 0, budget_bytes, prepared: Some(prepared), is_ahead: true };
        Ahead(tokio::spawn(async move { line.send(request).await }))
    }

    async fn access_token(&self) -> Result<Option<Zeroizing<String>>> {
        Ok(on_thread(&self.store, Store::tokens).await?.map(|tokens| tokens.access))
    }

    async fn make(&self, mut request: Request) -> Result<Option<Made>> {
        let ready = match request.prepared.take() {
            Some(Prepared(task)) => task.await.ok().and_then(Result::ok).flatten(),
            None => None,
        };
        let (app, Request { push, wait_ms, budget_bytes, is_ahead, .. }) = (self.app.clone(), request);
        on_thread(&self.store, move |store| {
            let mut hello = store.hello(&app, wait_ms)?;
            let pushed = match (push, is_ahead) {
                (false, _) => None,
                (true, false) => Some(store.push_bytes(ready, budget_bytes)?),
                (true, true) => ready.filter(|ready| store.goes_on(ready)),
            };
            if is_ahead && pushed.is_none() {
                return Ok(None);
            }
            let checks = store.checks()?;
            hello.more = checks.is_empty() && pushed.as_ref().is_some_and(|pushed| store.has_more(pushed));
            Ok(Some(Made::of(hello, pushed, &checks)))
        })
        .await
    }

    fn prepare(&self, pushed: PushBytes, budget_bytes: usize) -> Prepared {
        let store = Arc::clone(&self.store);
        Prepared(tokio::task::spawn_blocking(move || store.push_bytes_after(&pushed, budget_bytes)))
    }
}

impl Made {
    fn of(hello: Hello, mut pushed: Option<PushBytes>, checks: &[Message]) -> Self {
        let (place, has_more) = (pushed.as_ref().map(|pushed| pushed.place(hello.cursor)), hello.more);
        let mut bytes = Vec::new();
        Message::Hello(hello).write(&mut bytes);
        if let Some(pushed) = &mut pushed {
            bytes.append(&mut pushed.frames);
        }
        checks.iter().for_each(|check| check.write(&mut bytes));
        Self { bytes, place, followed: pushed.filter(|_| has_more) }
    }
}

impl Ahead {
    /// Returns the request when it is answered and still the one that comes next: what the server answered to the one
    /// before it may have changed what the device has to send. Otherwise the request is made anew.
    pub(super) async fn if_next(mut self, store: &Arc<Store>) -> Result<Option<Sent>> {
        let Ok(Ok(Some(sent))) = (&mut self.0).await else { return Ok(None) };
        let Some(place) = sent.place.filter(|_| sent.answer.is_ok()) else { return Ok(None) };
        let is_next = on_thread(store, move |store| store.stands_at(&place)).await?;
        Ok(is_next.then_some(sent))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}
