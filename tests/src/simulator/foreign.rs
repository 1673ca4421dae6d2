//! Another application on the protocol: older or newer than ours, or simply wrong. It keeps an outbox of its own and
//! sends what our SDK never would.

use std::collections::BTreeMap;

use bytes::Bytes;
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::{Entity as _, EntityKind, Visit};
use sync_protocol::frame::Reader;
use sync_protocol::id::{DeviceId, EnterpriseId, UserId, VisitId};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use sync_protocol::wire::{Hello, Message, OutboxSummary, Outcome, PROTOCOL, Push};
use uuid::Uuid;

use super::dice::Dice;
use super::tally::Met;
use crate::sample;

/// What must become of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It takes effect.
    Applied,
    /// The server keeps it: it does not understand it yet.
    Held,
    /// A rule refuses it.
    Rejected,
}

/// The application.
#[derive(Debug)]
pub struct Foreign {
    /// The request that is under way.
    pub request: u64,
    /// The device.
    pub device: Uuid,
    /// Its incarnation, which never changes.
    pub incarnation: Uuid,
    /// What must become of each number.
    pub expected: BTreeMap<u64, Expected>,
    /// What the server said of each number, other than "applied".
    pub told: BTreeMap<u64, Outcome>,
    outbox: Vec<(Vec<u8>, ChainHash)>,
    acked: usize,
    reader: Reader,
}

impl Foreign {
    /// Returns an application with an empty outbox.
    pub fn new(seed: u64) -> Self {
        Self {
            request: 0,
            device: Uuid::new_v5(&Uuid::NAMESPACE_OID, &seed.to_be_bytes()),
            incarnation: Uuid::new_v5(&Uuid::NAMESPACE_URL, &seed.to_be_bytes()),
            expected: BTreeMap::new(),
            told: BTreeMap::new(),
            outbox: Vec::new(),
            acked: 0,
            reader: Reader::new(8 << 20),
        }
    }

    /// Returns whether the server has everything.
    pub fn is_drained(&self) -> bool {
        self.acked == self.outbox.len()
    }

    /// Records something. Returns what, in words and for the tally.
    pub fn record(&mut self, user: Uuid, enterprise: Uuid, now: Timestamp, dice: &mut Dice) -> (&'static str, Met) {
        let mut random = [0; 10];
        dice.fill(&mut random);
        let id = uuid::Builder::from_unix_timestamp_millis(now.0 as u64, &random).into_uuid();
        let mut mutation = self.visit(id, user, enterprise, now);
        let (bytes, expected, what) = match dice.below(5) {
            0 => (vec![0xff; 7], Expected::Held, "bytes that are no mutation"),
            1 => (of_newer_kind(&mutation), Expected::Held, "a kind of row that comes with a later version"),
            2 => {
                mutation.unknown = vec![("mood".to_owned(), vec![0x64, b'g', b'o', b'o', b'd'])];
                (mutation.encode(), Expected::Applied, "a field that comes with a later version")
            }
            3 => {
                // An older application does not know the fields at the end.
                mutation.patch.retain(|(at, _)| *at < Visit::DEF.position("summary").unwrap_or(usize::MAX));
                (mutation.encode(), Expected::Applied, "a row without the newest fields")
            }
            _ => {
                let at = Visit::DEF.position("actual_end_at").unwrap_or_default();
                mutation.patch.push((at, Value::Timestamp(now.plus_ms(-86_400_000))));
                mutation.patch.sort_by_key(|(at, _)| *at);
                (mutation.encode(), Expected::Rejected, "a visit that ends before it starts")
            }
        };
        let hash = self.outbox.last().map_or(ChainHash::START, |(_, hash)| *hash).then(&bytes);
        self.outbox.push((bytes, hash));
        self.expected.insert(self.outbox.len() as u64, expected);
        let met = match expected {
            Expected::Applied => Met::OtherVersion,
            Expected::Held => Met::PoisonHeld,
            Expected::Rejected => Met::PoisonRefused,
        };
        (what, met)
    }

    fn visit(&self, id: Uuid, user: Uuid, enterprise: Uuid, now: Timestamp) -> Mutation {
        let mut visit = Visit { id: VisitId(id), ..sample::visit(EnterpriseId(enterprise), UserId(user)) };
        visit.actual_start_at = Some(now);
        Mutation {
            no: self.outbox.len() as u64 + 1,
            op: Op::Put,
            kind: EntityKind::Visit,
            row_id: id,
            author: UserId(user),
            captured_at: now,
            uptime_ms: 0,
            base_seq: 0,
            field_bases: Vec::new(),
            patch: patch::creation(&visit.to_row()),
            group: None,
            reason: None,
            unknown: Vec::new(),
        }
    }

    /// Returns the next request: a greeting and everything that the server has not confirmed.
    pub fn request(&mut self, now: Timestamp) -> Bytes {
        self.request += 1;
        self.reader = Reader::new(8 << 20);
        let mut body = Vec::new();
        Message::Hello(Hello {
            protocol: PROTOCOL,
            app: "another/0".to_owned(),
            device: DeviceId(self.device),
            incarnation: self.incarnation,
            cursor: Cursor::default(),
            scopes_hash: ChainHash::START,
            scope_count: 0,
            behind: Vec::new(),
            outbox: OutboxSummary::default(),
            wall_clock: now,
            wait_ms: 0,
            verify_kinds: 0,
            uptime_ms: None,
            more: false,
            earlier: Vec::new(),
        })
        .write(&mut body);
        let pending: Vec<Vec<u8>> = self.outbox[self.acked..].iter().map(|(bytes, _)| bytes.clone()).collect();
        if !pending.is_empty() {
            let prev_hash = self.acked.checked_sub(1).map_or(ChainHash::START, |at| self.outbox[at].1);
            Message::Push(Push { first_no: self.acked as u64 + 1, prev_hash, mutations: pending }).write(&mut body);
        }
        body.into()
    }

    /// Takes a part of a response. Returns whether it gives up the rest, because it has to send again first.
    pub fn receive(&mut self, bytes: &Bytes) -> bool {
        let mut gives_up = false;
        self.reader.push(bytes);
        while let Ok(Some(frame)) = self.reader.next_frame() {
            match Message::read(&frame) {
                Ok(Message::PushResult(result)) => {
                    self.acked = self.acked.max((result.upto_no as usize).min(self.outbox.len()));
                    self.told.extend(result.results.iter().map(|result| (result.no, result.outcome)));
                    gives_up |= result.demand.is_some();
                }
                // A server that went back in time gets everything again.
                Ok(Message::Welcome(welcome)) => {
                    gives_up |= (welcome.last_no as usize) < self.acked;
                    self.acked = self.acked.min(welcome.last_no as usize);
                }
                _ => {}
            }
        }
        gives_up
    }

    /// Takes the end of a response.
    pub fn end(&mut self) {
        self.request += 1;
    }
}

/// Returns the mutation as one of a kind that nobody knows yet.
fn of_newer_kind(mutation: &Mutation) -> Vec<u8> {
    let mut bytes = mutation.encode();
    // array(12), number, operation, kind: the kind is the fourth element and takes one byte here.
    let at = 1 + if mutation.no < 24 { 1 } else { 2 } + 1;
    bytes.splice(at..=at, [0x18, 0xc8]);
    bytes
}
