//! A herd: many devices that were offline together, each with edits, and come back at once.
//!
//! The devices speak the protocol with little effort, so that the server is what is measured. They obey it: one that
//! is told to come back comes back when it was told, spread over a second as the SDK does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server::store::{Db, Sql, Tx, rows};
use sync_protocol::code::Role;
use sync_protocol::cursor::{Cursor, scopes_hash};
use sync_protocol::entity::{Enterprise, Entity, EntityKind, Row};
use sync_protocol::frame::Reader;
use sync_protocol::id::{DeviceId, EnterpriseId, UserId, VisitId};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch;
use sync_protocol::wire::{Hello, MEDIA_TYPE, Message, OutboxSummary, PROTOCOL, Push};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::device::{http_client, now};
use crate::programme::{self, PROGRAMME, grant};
use crate::sample;

/// Devices whose rows are written in one transaction.
const CHUNK: usize = 500;
/// A device that is not let in after this many requests is starved.
const MOST_REQUESTS: u32 = 200;

/// A device with its edits, ready to be sent.
#[derive(Clone, Debug)]
pub struct HerdDevice {
    token: String,
    body: Vec<u8>,
    edits: u64,
}

/// How the return of a herd went.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    /// From the first request to the last answer.
    pub drained_ms: f64,
    /// Devices all of whose edits were taken.
    pub devices: usize,
    /// Requests that were told to come back.
    pub refused: u64,
    /// The most that one device was told to.
    pub most_refused: u32,
    /// Requests that got no answer, which the devices repeated.
    pub broken: u64,
}

/// Writes the people, enterprises, accounts and sessions of devices `from..from + count`, as of devices that have
/// synced before, and returns them with `edits` edits each. The programme must exist.
pub async fn gather(db: &Db, from: usize, count: usize, edits: usize) -> Vec<HerdDevice> {
    let numbers: Vec<usize> = (from..from + count).collect();
    for chunk in numbers.chunks(CHUNK) {
        let mut tx = db.conn().await.unwrap().write_tx().await.unwrap();
        let (users, enterprises): (Vec<_>, Vec<_>) = chunk.iter().map(|n| (user(*n), enterprise(*n))).unzip();
        insert(&mut tx, &users.iter().map(|id| programme::user(*id, Role::Mentor)).collect::<Vec<_>>()).await;
        let grants = users.iter().zip(&enterprises).map(|(user, of)| grant(*user, of.id));
        insert(&mut tx, &grants.collect::<Vec<_>>()).await;
        insert(&mut tx, &enterprises).await;
        let visits = chunk.iter().map(|n| sample::visit(enterprise(*n).id, user(*n)));
        let visits = visits.zip(chunk).map(|(visit, n)| sync_protocol::entity::Visit { id: visit_id(*n), ..visit });
        insert(&mut tx, &visits.collect::<Vec<_>>()).await;
        tx.commit().await.unwrap();
    }
    let tokens = sign_in(db, &numbers).await;
    let cursor = head(db).await;
    numbers.iter().zip(tokens).map(|(n, token)| device(*n, token, cursor, edits)).collect()
}

/// Lets every device send its edits at once, `at_once` at a time where that is given, and waits for the last one.
pub async fn return_at_once(address: SocketAddr, herd: Vec<HerdDevice>, at_once: Option<usize>) -> Returned {
    let places = Arc::new(Semaphore::new(at_once.unwrap_or(Semaphore::MAX_PERMITS)));
    let (http, url) = (http_client(), format!("http://{address}/sync/v1"));
    let start = Instant::now();
    let stories = herd.into_iter().map(|device| {
        let (places, http, url) = (places.clone(), http.clone(), url.clone());
        tokio::spawn(async move {
            let _place = places.acquire().await.expect("the semaphore is never closed");
            device.deliver(&http, &url).await
        })
    });
    let mut returned = Returned::default();
    for story in futures::future::join_all(stories).await {
        let (refused, broken) = story.expect("a device does not panic");
        returned.devices += 1;
        returned.refused += u64::from(refused);
        returned.broken += u64::from(broken);
        returned.most_refused = returned.most_refused.max(refused);
    }
    returned.drained_ms = start.elapsed().as_secs_f64() * 1_000.0;
    returned
}

/// What one request came to.
enum Sent {
    Taken,
    ComeBack(u64),
    Broken,
}

impl HerdDevice {
    /// Sends until everything is taken. Returns how often it was told to come back, and how often nothing came.
    async fn deliver(&self, http: &reqwest::Client, url: &str) -> (u32, u32) {
        let (mut refused, mut broken) = (0, 0);
        while refused + broken < MOST_REQUESTS {
            let after_ms = match self.send(http, url).await {
                Sent::Taken => return (refused, broken),
                Sent::ComeBack(after_ms) => {
                    refused += 1;
                    after_ms
                }
                Sent::Broken => {
                    broken += 1;
                    0
                }
            };
            let spread_ms = (Uuid::new_v4().as_u128() % 1_000) as u64;
            tokio::time::sleep(Duration::from_millis(after_ms + spread_ms)).await;
        }
        panic!("a device was not let in: told to come back {refused} times, without an answer {broken} times");
    }

    async fn send(&self, http: &reqwest::Client, url: &str) -> Sent {
        let request = http.post(url).bearer_auth(&self.token).header("content-type", MEDIA_TYPE);
        let Ok(response) = request.body(self.body.clone()).send().await else { return Sent::Broken };
        let after_s = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let (status, Ok(bytes)) = (response.status().as_u16(), response.bytes().await) else { return Sent::Broken };
        match (status, after_s) {
            (200, _) => self.taken(&bytes),
            (503, Some(seconds)) => Sent::ComeBack(seconds * 1_000),
            _ => panic!("the server answered {status}: {}", String::from_utf8_lossy(&bytes)),
        }
    }

    /// Reads an answer: every edit must be taken, or the server must say when to come back.
    fn taken(&self, bytes: &[u8]) -> Sent {
        let mut reader = Reader::new(16 << 20);
        reader.push(bytes);
        let mut upto_no = 0;
        while let Ok(Some(frame)) = reader.next_frame() {
            match Message::read(&frame) {
                Ok(Message::PushResult(result)) => {
                    assert_eq!((result.demand, result.results.len()), (None, 0), "{:?}", result.results);
                    upto_no = result.upto_no;
                }
                Ok(Message::End(_)) if upto_no == self.edits => return Sent::Taken,
                Ok(Message::End(end)) => return Sent::ComeBack(u64::from(end.retry_after_ms)),
                _ => {}
            }
        }
        Sent::Broken
    }
}

fn id(what: &str, n: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("herd/{what}/{n}").as_bytes())
}

fn user(n: usize) -> UserId {
    UserId(id("user", n))
}

fn visit_id(n: usize) -> VisitId {
    VisitId(id("visit", n))
}

fn enterprise(n: usize) -> Enterprise {
    let template = programme::enterprise(0, user(n));
    Enterprise { id: EnterpriseId(id("enterprise", n)), code: format!("HERD-{n:05}"), ..template }
}

async fn insert<T: Entity>(tx: &mut Tx, entities: &[T]) {
    let found: Vec<Row> = entities.iter().map(T::to_row).collect();
    rows::insert(tx, PROGRAMME, T::DEF.kind, &found.iter().collect::<Vec<_>>()).await.unwrap();
}

/// Writes accounts, devices and sessions. Ten thousand sign-ins with passwords would take longer than the herd.
async fn sign_in(db: &Db, numbers: &[usize]) -> Vec<String> {
    const SIGN_IN: &str = "\
        WITH herd AS (SELECT * FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS h(user_id, device_id, n)), \
        a AS (INSERT INTO account (programme_id, user_id, email, created_at) \
            SELECT $1, user_id, user_id || '@herd.test', now() FROM herd), \
        d AS (INSERT INTO device (programme_id, id, user_id, name, model, app_version, enrolled_at, last_seen_at) \
            SELECT $1, device_id, user_id, 'phone', 'herd', '1', now(), now() FROM herd), \
        s AS (INSERT INTO session (programme_id, id, user_id, device_id, created_at, expires_at, rotation_key) \
            SELECT $1, device_id, user_id, device_id, now(), now() + interval '1 day', '\\x00' FROM herd), \
        t AS (INSERT INTO access_token (hash, session_id, expires_at) \
            SELECT sha256(sha256(uuid_send(device_id))), device_id, now() + interval '1 day' FROM herd) \
        SELECT translate(rtrim(encode(sha256(uuid_send(device_id)), 'base64'), '='), '+/', '-_') FROM herd ORDER BY n";
    let sql = Sql::new(SIGN_IN)
        .bind(PROGRAMME)
        .bind(numbers.iter().map(|n| user(*n).0).collect::<Vec<_>>())
        .bind(numbers.iter().map(|n| id("device", *n)).collect::<Vec<_>>());
    let records = db.conn().await.unwrap().query(sql).await.unwrap();
    records.iter().map(|record| record.text(0).unwrap()).collect()
}

async fn head(db: &Db) -> Cursor {
    server::store::log::head_of(&mut db.conn().await.unwrap(), PROGRAMME).await.unwrap()
}

fn device(n: usize, token: String, cursor: Cursor, edits: usize) -> HerdDevice {
    let scopes = [user(n).0, PROGRAMME, enterprise(n).id.0];
    let hello = Hello {
        protocol: PROTOCOL,
        app: "herd/1.0".to_owned(),
        device: DeviceId(id("device", n)),
        incarnation: id("incarnation", n),
        cursor,
        scopes_hash: scopes_hash(&scopes),
        scope_count: scopes.len() as u32,
        behind: Vec::new(),
        outbox: OutboxSummary { pending: edits as u32, oldest_ms: 3_600_000, ..OutboxSummary::default() },
        wall_clock: now(),
        wait_ms: 0,
        verify_kinds: 0,
        uptime_ms: None,
        more: false,
        earlier: Vec::new(),
    };
    let visit = sync_protocol::entity::Visit { id: visit_id(n), ..sample::visit(enterprise(n).id, user(n)) };
    let mutations = (1..=edits as u64).map(|no| edit(no, user(n), &visit)).collect();
    let mut body = Vec::new();
    Message::Hello(hello).write(&mut body);
    Message::Push(Push { first_no: 1, prev_hash: ChainHash::START, mutations }).write(&mut body);
    HerdDevice { token, body, edits: edits as u64 }
}

fn edit(no: u64, author: UserId, visit: &sync_protocol::entity::Visit) -> Vec<u8> {
    let row = sample::finding(visit, &format!("Constatarea {no}: ieșirea de urgență este blocată de marfă")).to_row();
    let mutation = Mutation {
        no,
        op: Op::Put,
        kind: EntityKind::Finding,
        row_id: row.id,
        author,
        captured_at: now(),
        uptime_ms: 0,
        base_seq: 0,
        field_bases: Vec::new(),
        patch: patch::creation(&row),
        group: None,
        reason: None,
        unknown: Vec::new(),
    };
    mutation.encode()
}
