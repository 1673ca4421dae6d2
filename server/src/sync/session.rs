//! One sync: welcome, results of the pushes, everything that the device lacks, and the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, Ready, ready};
use sync_protocol::cursor::Cursor;
use sync_protocol::id::UserId;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Demand, End, Fault, Hello, History, Message, PROTOCOL, Push, PushResult, Welcome};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::admission::{Visit, Visitor};
use super::desk::{Caller, Desk};
use super::pull;
use super::verify::Checks;
use crate::domain::push::{self, Chained, Sender};
use crate::domain::viewer::Viewer;
use crate::store::fleet::Contact;
use crate::store::mutations::Outbox;
use crate::store::{LogSnapshot, StoreError, SyncStore};

/// How often a waiting session looks for changes that did not pass through this server.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait for news.
const MAX_WAIT_MS: u32 = 55_000;

/// The most earlier incarnations of an outbox that are looked for. A phone has one for each time that it was copied.
const EARLIER_MAX: usize = 64;

/// A push of so many bytes is decoded in less than a tenth of a millisecond.
const SHORT_PUSH_BYTES: usize = 16 << 10;

/// One request of one device.
pub(super) struct Session<S> {
    pub(super) desk: Arc<Desk<S>>,
    pub(super) caller: Caller,
    pub(super) hello: Hello,
    /// What the device asks besides its rows.
    pub(super) checks: Checks,
    /// Frames that were said and not yet sent.
    pub(super) out: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
    /// The turn among the requests that are worked on; given up while waiting for news or for a slow device.
    turn: Option<Visit>,
    /// What the office is told of the device.
    contact: Option<Contact>,
}

/// Why a session ends early.
pub(super) enum Stop {
    /// The device has gone away.
    Gone,
    /// The user may no longer sign in.
    SignedOut,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<S: SyncStore> Session<S> {
    pub(super) fn new(
        desk: Arc<Desk<S>>,
        caller: Caller,
        hello: Hello,
        checks: Checks,
        sender: mpsc::Sender<Bytes>,
        turn: Visit,
    ) -> Self {
        Self { desk, caller, hello, checks, out: Vec::new(), sender, turn: Some(turn), contact: None }
    }

    pub(super) fn say(&mut self, message: &Message) {
        message.write(&mut self.out);
    }

    /// Sends what was said. While the device is slow, others get its turn: no connection may be held here.
    pub(super) async fn flush(&mut self) -> Result<(), Stop> {
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        match self.sender.try_send(bytes) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Stop::Gone),
            Err(TrySendError::Full(bytes)) => {
                self.turn = None;
                self.sender.send(bytes).await.map_err(|_| Stop::Gone)?;
                self.take_turn().await
            }
        }
    }

    /// Takes a turn again after a pause, in which the device may have been blocked.
    async fn take_turn(&mut self) -> Result<(), Stop> {
        self.turn = Some(self.desk.door.turn(self.visitor()).await);
        self.check_open().await
    }

    /// Ends a session whose device or account was blocked since it began: nothing more is sent to it.
    pub(super) async fn check_open(&self) -> Result<(), Stop> {
        match self.desk.store.is_session_open(self.caller.session).await? {
            true => Ok(()),
            false => Err(Stop::SignedOut),
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor { programme: self.caller.programme, device: self.hello.device.0 }
    }

    /// Says what went wrong. The end comes last, as always: a device that has read it reads no further.
    fn fail(&mut self, code: &str, message: &str) {
        let (code, message) = (code.to_owned(), message.to_owned());
        let retry_after_ms = self.desk.door.send_away(self.visitor(), "trouble").after_ms;
        let retry_after_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX);
        self.say(&Message::Fault(Fault { code, message, request_id: String::new() }));
        self.say(&Message::End(End { retry_after_ms, more: false }));
    }

    /// Counts what the greeting says.
    fn greeted(&mut self, welcome: &Welcome) {
        self.contact = Some(Contact { heard_seq: heard_seq(&self.hello, welcome), ..self.contact_at(welcome.now) });
        self.note_contact(|_| {});
        let (hello, signals) = (&self.hello, &self.desk.signals);
        signals.greeted(welcome.now.0 - hello.wall_clock.0, hello.outbox.pending, hello.outbox.oldest_ms);
        if welcome.history == History::Other {
            let reason = if hello.scope_count == 0 { "first" } else { "other_history" };
            signals.refetches.with_label_values(&[reason]).inc();
            tracing::info!(device = %hello.device, reason, "a device starts over");
        } else if hello.scope_count == 0 {
            signals.refetches.with_label_values(&["first"]).inc();
        }
    }

    /// Changes what is known of the device and lets the office see it.
    pub(super) fn note_contact(&mut self, change: impl FnOnce(&mut Contact)) {
        if let Some(contact) = &mut self.contact {
            change(contact);
            self.desk.fleet.note(contact.told());
        }
    }

    fn contact_at(&self, now: Timestamp) -> Contact {
        let (hello, outbox) = (&self.hello, &self.hello.outbox);
        Contact {
            programme: self.caller.programme,
            device: hello.device.0,
            user: self.caller.user,
            app: hello.app.clone(),
            protocol: hello.protocol,
            at: now,
            complete_at: None,
            pending: outbox.pending,
            rejected: outbox.rejected,
            oldest_ms: outbox.oldest_ms,
            clock_offset_ms: now.0 - hello.wall_clock.0,
            salvaged: (u64::from(outbox.salvaged), u64::from(outbox.lost)),
            progress_at: (outbox.pending == 0).then_some(now),
            times: u32::from(outbox.pending > 0),
            verified_at: None,
            mismatches: 0,
            heard_seq: None,
        }
    }

    fn outbox(&self) -> Outbox {
        let device = self.hello.device.0;
        Outbox { programme: self.caller.programme, device, incarnation: self.hello.incarnation }
    }
}

/// Answers a request to its end.
pub(super) async fn run<S: SyncStore>(mut session: Session<S>, pushes: Vec<Push>) {
    match serve(&mut session, pushes).await {
        Ok(more) => session.say(&Message::End(End { retry_after_ms: 0, more })),
        Err(Stop::Gone) => return,
        Err(Stop::SignedOut) => session.fail("UNAUTHENTICATED", "This account may no longer sign in."),
        Err(Stop::Store(error)) => {
            session.desk.signals.failures.inc();
            tracing::error!(device = %session.hello.device, error = %error, "sync failed");
            session.fail("UNAVAILABLE", "The server could not finish. Nothing is lost; come back later.");
        }
    }
    // A device that has gone away asks again.
    let _ = session.flush().await;
}

/// Returns whether the device should come back at once.
async fn serve<S: SyncStore>(session: &mut Session<S>, pushes: Vec<Push>) -> Result<bool, Stop> {
    let has_pushes = !pushes.is_empty();
    let mut pushes = pushes.into_iter();
    // Decoded one ahead, while the database works on the one before.
    let mut ahead = pushes.next().map(chained);
    let mut opened = open(session).await?;
    session.greeted(&opened.welcome);
    session.say(&Message::Welcome(opened.welcome.clone()));
    let floor = opened.welcome.floor;
    if has_pushes && lacks_earlier(&session.hello, &opened.welcome) {
        // The device numbers what is lacking anew, with all that came after it: taken now, this would come a second time.
        opened.snapshot.close().await?;
        return Ok(true);
    }
    if has_pushes {
        // A session holds one connection at a time: with two, busy sessions would wait for each other.
        opened.snapshot.close().await?;
        let mut known_no = opened.welcome.last_no;
        let mut sends_again = false;
        while let Some(push) = ahead.take() {
            let push = push.await.map_err(|_| Stop::Gone)?;
            ahead = pushes.next().map(chained);
            let (upto_no, demand) = receive(session, &opened.viewer, &push, known_no).await?;
            known_no = upto_no;
            sends_again |= matches!(demand, Some(Demand::ResendFrom(_) | Demand::NewIncarnation));
            // The device takes this result while the server works on the next push.
            session.flush().await?;
        }
        // What a person recorded does not wait for a long download.
        if session.hello.more || sends_again {
            return Ok(true);
        }
        opened = open(session).await?;
    }
    if opened.welcome.common.is_some() || opened.welcome.floor != floor {
        // The device goes back to where the histories part, or learns that it is below the floor, and asks from there.
        opened.snapshot.close().await?;
        return Ok(true);
    }
    let is_idle = !has_pushes && session.checks.is_empty() && opened.is_idle(&session.hello);
    if is_idle && session.hello.wait_ms > 0 {
        let head = opened.welcome.head;
        opened.snapshot.close().await?;
        session.flush().await?;
        session.turn = None;
        wait_for_news(session, head).await?;
        session.take_turn().await?;
        opened = open(session).await?;
    }
    let more = pull::pull(session, opened.snapshot, &opened.viewer, opened.welcome.history).await?;
    let now = session.desk.world.now();
    if !more {
        session.note_contact(|contact| contact.completed(now));
    }
    Ok(more)
}

/// Decodes a push: a long one where that stops nobody else, a short one at once, which takes less time than handing it
/// over and back.
fn chained(push: Push) -> Either<Ready<Result<Chained, JoinError>>, JoinHandle<Chained>> {
    let bytes: usize = push.mutations.iter().map(Vec::len).sum();
    if bytes <= SHORT_PUSH_BYTES {
        Either::Left(ready(Ok(push::chain(push))))
    } else {
        Either::Right(tokio::task::spawn_blocking(|| push::chain(push)))
    }
}

/// What a session knows when it starts.
struct Opened<L> {
    snapshot: L,
    viewer: Arc<Viewer>,
    welcome: Welcome,
}

impl<L> Opened<L> {
    /// Whether the device has everything already.
    fn is_idle(&self, hello: &Hello) -> bool {
        let scopes = pull::scopes_of(&self.viewer, self.welcome.now);
        hello.cursor.seq == self.welcome.head
            && self.welcome.history == History::Same
            && hello.behind.is_empty()
            && hello.verify_kinds == 0
            && hello.scopes_hash == sync_protocol::cursor::scopes_hash(&scopes)
    }
}

async fn open<S: SyncStore>(session: &Session<S>) -> Result<Opened<S::Snapshot>, Stop> {
    let programme = session.caller.programme;
    let mut snapshot = session.desk.store.snapshot(programme).await?;
    let head: Cursor = snapshot.head();
    let viewer = session.desk.viewers.at(&mut snapshot, programme, session.caller.user).await?;
    let viewer = viewer.ok_or(Stop::SignedOut)?;
    let (history, common) = history(&mut snapshot, &session.hello).await?;
    let floor =
        Some(snapshot.bounds().floor_seq).filter(|floor| history == History::Same && is_below(&session.hello, *floor));
    let durable_seq = durable_seq(&snapshot, &session.hello);
    let (last_no, last_hash) = snapshot.outbox_state(&session.outbox()).await?;
    let is_left = history == History::Other || session.hello.cursor.epoch != head.epoch;
    let earlier = if is_left { earlier(&mut snapshot, session).await? } else { Vec::new() };
    let welcome = Welcome {
        protocol: PROTOCOL,
        now: session.desk.world.now(),
        user: UserId(session.caller.user),
        programme,
        epoch: head.epoch,
        head: head.seq,
        history,
        last_no,
        last_hash,
        common,
        durable_seq,
        floor,
        earlier,
    };
    Ok(Opened { snapshot, viewer, welcome })
}

/// Returns the last number that the server has of each earlier incarnation of the device.
async fn earlier<S: SyncStore>(
    snapshot: &mut S::Snapshot,
    session: &Session<S>,
) -> Result<Vec<(Uuid, u64)>, StoreError> {
    let mut earlier = Vec::with_capacity(session.hello.earlier.len());
    for (incarnation, _) in session.hello.earlier.iter().rev().take(EARLIER_MAX) {
        let outbox = Outbox { incarnation: *incarnation, ..session.outbox() };
        earlier.push((*incarnation, snapshot.outbox_state(&outbox).await?.0));
    }
    Ok(earlier)
}

/// Returns whether the server lacks something of an earlier incarnation of the device.
fn lacks_earlier(hello: &Hello, welcome: &Welcome) -> bool {
    let is_lacking = |(known, last_no): &(Uuid, u64)| {
        hello.earlier.iter().any(|(incarnation, upto_no)| incarnation == known && last_no < upto_no)
    };
    welcome.earlier.iter().any(is_lacking)
}

/// Returns whether the device's cursor belongs to this history and, if not, up to where both are the same.
async fn history<L: LogSnapshot>(snapshot: &mut L, hello: &Hello) -> Result<(History, Option<Cursor>), StoreError> {
    if !snapshot.knows(&hello.cursor).await? {
        return Ok((History::Other, snapshot.common_with(&hello.cursor).await?));
    }
    // What was deleted up to the floor is no longer told. A device that says it will compare digests may go on.
    if is_below(hello, snapshot.bounds().floor_seq) && hello.verify_kinds == 0 {
        return Ok((History::Other, Some(hello.cursor)));
    }
    Ok((History::Same, None))
}

/// Returns the places up to which the device has heard of every deletion, one for each scope of which it holds rows.
fn heard(hello: &Hello) -> impl Iterator<Item = u64> {
    let positions = hello.behind.iter().map(|(_, position)| position.seq);
    std::iter::once(hello.cursor.seq).chain(positions).filter(|seq| *seq > 0)
}

fn is_below(hello: &Hello, floor: u64) -> bool {
    heard(hello).any(|seq| seq < floor)
}

/// A number of a history that was left says nothing about this one.
fn heard_seq(hello: &Hello, welcome: &Welcome) -> Option<u64> {
    heard(hello).min().filter(|_| welcome.history == History::Same)
}

/// Only told when there is something to say anyway, so that an idle sync stays small.
fn durable_seq<L: LogSnapshot>(snapshot: &L, hello: &Hello) -> Option<u64> {
    let durable = snapshot.bounds().durable_seq;
    (durable > 0 && hello.cursor.seq != snapshot.head().seq).then_some(durable)
}

/// Receives one push. Returns the last number that the server has, which was `known_no` before, and what it demands.
async fn receive<S: SyncStore>(
    session: &mut Session<S>,
    viewer: &Viewer,
    push: &Chained,
    known_no: u64,
) -> Result<(u64, Option<Demand>), Stop> {
    let received_at = session.desk.world.now();
    let sender = Sender {
        outbox: session.outbox(),
        earlier: &session.hello.earlier,
        viewer,
        received_at,
        clock_offset_ms: received_at.0 - session.hello.wall_clock.0,
        uptime_ms: session.hello.uptime_ms,
    };
    let result = push::receive(&session.desk.store, &session.desk.feed, &sender, push).await?;
    session.desk.signals.pushed(&result, push.repeats(known_no));
    log_demand(session, &result);
    let (upto_no, demand) = (result.upto_no, result.demand);
    if demand.is_none() {
        session.note_contact(|contact| contact.took(received_at, push.len()));
    }
    session.say(&Message::PushResult(result));
    Ok((upto_no, demand))
}

/// What should never happen is told by name, once for each time that it does.
fn log_demand<S: SyncStore>(session: &Session<S>, result: &PushResult) {
    let (device, incarnation) = (session.hello.device, session.hello.incarnation);
    match result.demand {
        Some(Demand::ResendFrom(no)) => {
            tracing::warn!(%device, %incarnation, resend_from = no, "a push left a gap and was refused");
        }
        Some(Demand::NewIncarnation) => {
            tracing::warn!(%device, %incarnation, last_no = result.upto_no, "an outbox is a copy or went back in time");
        }
        _ => {}
    }
}

/// Waits until the programme moves beyond `head`, the time is up, or the server stops.
async fn wait_for_news<S: SyncStore>(session: &Session<S>, head: u64) -> Result<(), Stop> {
    let programme = session.caller.programme;
    let mut news = session.desk.feed.subscribe(programme);
    let until = tokio::time::sleep(Duration::from_millis(u64::from(session.hello.wait_ms.min(MAX_WAIT_MS))));
    tokio::pin!(until);
    loop {
        if *news.borrow_and_update() > head {
            return Ok(());
        }
        tokio::select! {
            () = &mut until => return Ok(()),
            () = session.desk.stopping.cancelled() => return Ok(()),
            () = session.sender.closed() => return Err(Stop::Gone),
            _ = news.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {
                if session.desk.store.head_of(programme).await?.seq > head {
                    return Ok(());
                }
            }
        }
    }
}
