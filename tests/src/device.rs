//! A device that speaks the protocol itself, frame by frame, so that the server is tested without the SDK.

mod answer;
mod cache;

use std::net::SocketAddr;
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use sync_protocol::cursor::scopes_hash;
use sync_protocol::entity::{Entity, EntityKind};
use sync_protocol::frame::Reader;
use sync_protocol::id::{DeviceId, UserId};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch::{self, Patch};
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Hello, MEDIA_TYPE, Message, OutboxSummary, PROTOCOL, Push};
use uuid::Uuid;

pub use answer::Answer;
pub use cache::Cache;

use crate::programme::{PASSWORD, email};

/// How long access tokens hold where devices sync for long: a [`Device`] does not renew its own.
pub const ACCESS_TOKEN_TTL_S: u64 = 100 * 86_400;

/// A device with an outbox and a cache.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its identifier.
    pub id: DeviceId,
    /// The incarnation of its outbox.
    pub incarnation: Uuid,
    /// Who uses it.
    pub user: UserId,
    /// Every mutation ever recorded, number 1 first.
    pub outbox: Vec<Vec<u8>>,
    /// The last number that the server confirmed.
    pub confirmed: u64,
    /// What it holds.
    pub cache: Cache,
    /// How long the server may wait for news.
    pub wait_ms: u32,
    /// The highest number of a kind whose digests it asks for; 0 when it asks for none.
    pub verify_kinds: u16,
    /// What its clock that nobody can set shows; `None` when it has none.
    pub uptime_ms: Option<u64>,
    /// How much its clock is ahead.
    pub clock_ahead_ms: i64,
    /// Where it sends to: the server, or a proxy before it.
    pub address: SocketAddr,
    token: String,
    http: reqwest::Client,
}

/// Returns the real time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    Timestamp(since.as_millis() as i64)
}

impl Device {
    /// Returns a device that no server knows, for servers without accounts.
    pub fn unconnected(id: DeviceId, incarnation: Uuid, user: UserId) -> Self {
        Self {
            id,
            incarnation,
            user,
            outbox: Vec::new(),
            confirmed: 0,
            cache: Cache::default(),
            wait_ms: 0,
            verify_kinds: 0,
            uptime_ms: None,
            clock_ahead_ms: 0,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: String::new(),
            http: http_client(),
        }
    }

    /// Enrols a new device of `user` at the server.
    pub async fn enrol(address: SocketAddr, user: UserId) -> Self {
        let id = DeviceId(Uuid::now_v7());
        let mut device = Self { address, ..Self::unconnected(id, Uuid::new_v4(), user) };
        device.enrol_again().await;
        device
    }

    /// Signs its person in again; what it holds stays.
    pub async fn enrol_again(&mut self) {
        let Self { id, user, address, http, .. } = &*self;
        let device = serde_json::json!({"id": id, "name": "phone", "model": "test", "appVersion": "1"});
        let body = serde_json::json!({"email": email(*user), "password": PASSWORD, "device": device});
        let answer = http.post(format!("http://{address}/auth/enrol")).json(&body).send().await.expect("it answers");
        let status = answer.status();
        let body: serde_json::Value = answer.json().await.expect("the answer is JSON");
        assert_eq!(status, 200, "{body}");
        self.token = body["accessToken"].as_str().expect("a token").to_owned();
    }

    /// Returns the token that it sends with every request.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Records that a row is created and returns the number.
    pub fn create<T: Entity>(&mut self, row: &T) -> u64 {
        let row = row.to_row();
        self.record(self.draft(Op::Put, T::DEF.kind, row.id, patch::creation(&row)))
    }

    /// Records a change of a row of which the version `base_seq` was seen.
    pub fn change<T: Entity>(&mut self, before: &T, after: &T, base_seq: u64) -> u64 {
        let patch = patch::diff(&before.to_row(), &after.to_row());
        let draft = self.draft(Op::Patch, T::DEF.kind, after.to_row().id, patch);
        self.record(Mutation { base_seq, ..draft })
    }

    /// Returns a mutation of the device's user, captured now.
    pub fn draft(&self, op: Op, kind: EntityKind, row_id: Uuid, patch: Patch) -> Mutation {
        Mutation {
            no: 0,
            op,
            kind,
            row_id,
            author: self.user,
            captured_at: now().plus_ms(self.clock_ahead_ms),
            uptime_ms: self.uptime_ms.unwrap_or(0),
            base_seq: 0,
            field_bases: Vec::new(),
            patch,
            group: None,
            reason: None,
            unknown: Vec::new(),
        }
    }

    /// Puts a mutation into the outbox under the next number, which it returns.
    pub fn record(&mut self, mutation: Mutation) -> u64 {
        let no = self.outbox.len() as u64 + 1;
        self.outbox.push(Mutation { no, ..mutation }.encode());
        no
    }

    /// Returns the chain after the number `no`.
    pub fn hash_at(&self, no: u64) -> ChainHash {
        self.outbox[..no as usize].iter().fold(ChainHash::START, |hash, payload| hash.then(payload))
    }

    /// Returns the push of the numbers `first..=last`.
    pub fn push(&self, first: u64, last: u64) -> Push {
        let mutations = self.outbox[first as usize - 1..last as usize].to_vec();
        Push { first_no: first, prev_hash: self.hash_at(first - 1), mutations }
    }

    /// Returns the push of everything that is not confirmed, if anything.
    pub fn pending(&self) -> Vec<Push> {
        let last = self.outbox.len() as u64;
        if last > self.confirmed { vec![self.push(self.confirmed + 1, last)] } else { Vec::new() }
    }

    /// Returns the hello of the device as it is.
    pub fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            app: "tests".to_owned(),
            device: self.id,
            incarnation: self.incarnation,
            cursor: self.cache.cursor,
            scopes_hash: scopes_hash(&self.cache.scopes),
            scope_count: self.cache.scopes.len() as u32,
            behind: self.cache.behind.clone(),
            outbox: OutboxSummary::default(),
            wall_clock: now().plus_ms(self.clock_ahead_ms),
            wait_ms: self.wait_ms,
            verify_kinds: self.verify_kinds,
            uptime_ms: self.uptime_ms,
            more: false,
            earlier: Vec::new(),
        }
    }

    /// Sends one request and returns what arrived of the answer. Changes nothing on the device.
    pub async fn exchange(&self, hello: Hello, pushes: &[Push]) -> Answer {
        let pushes: Vec<Message> = pushes.iter().cloned().map(Message::Push).collect();
        self.say(hello, &pushes).await
    }

    /// Asks something besides its rows and returns the answer.
    pub async fn ask(&self, questions: &[Message]) -> Answer {
        self.say(self.hello(), questions).await
    }

    async fn say(&self, hello: Hello, messages: &[Message]) -> Answer {
        let body = request_body(hello, messages);
        let request = self.http.post(format!("http://{}/sync/v1", self.address));
        let request = request.bearer_auth(&self.token).header("content-type", MEDIA_TYPE).body(body);
        let Ok(response) = request.send().await else { return Answer::default() };
        let status = Some(response.status().as_u16());
        let retry_after_s = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut reader = Reader::new(16 << 20);
        let mut chunks = response.bytes_stream();
        while let Some(Ok(chunk)) = chunks.next().await {
            reader.push(&chunk);
        }
        if status != Some(200) {
            return Answer { status, retry_after_s, messages: Vec::new() };
        }
        let mut messages = Vec::new();
        while let Some(frame) = reader.next_frame().expect("the server sends frames") {
            messages.push(Message::read(&frame).expect("the server sends messages"));
        }
        Answer { status, retry_after_s, messages }
    }

    /// Sends pushes and returns the answer; the device takes note of nothing.
    pub async fn send(&self, pushes: &[Push]) -> Answer {
        self.exchange(self.hello(), pushes).await
    }

    /// Sends pushes, and again when the server says so as long as it is too busy to let the device in.
    pub async fn send_until_let_in(&self, pushes: &[Push]) -> Answer {
        loop {
            let answer = self.send(pushes).await;
            match answer.retry_after_s {
                Some(seconds) if answer.status == Some(503) => {
                    // With a spread of its own, as the SDK has.
                    let after_ms = seconds * 1_000 + (Uuid::new_v4().as_u128() % 1_000) as u64;
                    tokio::time::sleep(Duration::from_millis(after_ms)).await;
                }
                _ => return answer,
            }
        }
    }

    /// Sends what is pending, takes note of what arrived, and returns it.
    pub async fn sync_once(&mut self) -> Answer {
        let answer = self.send(&self.pending()).await;
        self.take(&answer.messages);
        answer
    }

    /// Syncs until there is nothing more and returns the last answer.
    pub async fn sync(&mut self) -> Answer {
        for _ in 0..20 {
            let answer = self.sync_once().await;
            if answer.end().is_some_and(|end| !end.more) {
                return answer;
            }
        }
        panic!("the sync does not end");
    }

    /// Takes note of messages, which may be the first part of an answer.
    pub fn take(&mut self, messages: &[Message]) {
        for message in messages {
            if let Message::PushResult(result) = message
                && result.demand.is_none()
            {
                self.cache.confirm(&self.outbox, result);
                self.confirmed = self.confirmed.max(result.upto_no);
            }
        }
        self.cache.take(messages);
    }
}

/// Returns the body of a request.
pub fn request_body(hello: Hello, messages: &[Message]) -> Vec<u8> {
    let mut body = Vec::new();
    Message::Hello(hello).write(&mut body);
    messages.iter().for_each(|message| message.write(&mut body));
    body
}

/// Returns a client that opens a connection for each request.
pub(crate) fn http_client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    // The client wants a provider even where no TLS is spoken.
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy();
    // Once in many thousand kills of a server, a request was left without an end.
    client.timeout(Duration::from_secs(120)).build().expect("the client can be made")
}
