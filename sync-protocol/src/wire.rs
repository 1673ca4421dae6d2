//! What a device and the server say to each other, in the order in which it is said.
//!
//! One `POST /sync/v1`. The request is [`Hello`], then any number of [`Push`]. The response is [`Welcome`], one
//! [`PushResult`] for each push, [`Scopes`] when they changed, then rows and [`Checkpoint`]s until everything
//! is there, and [`End`]. Messages are self-describing maps: unknown fields are ignored, missing ones take
//! their default.
//!
//! A device that wants to know whether it holds what the server holds says so in its hello and gets [`Digests`]
//! before the end. Where they differ, its next requests carry [`Sums`] after the pushes, each answered with a
//! [`Listing`], and then [`Want`], answered with rows before the last checkpoint.

mod verify;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use verify::{Digests, Listing, Sums, Want};

use crate::cbor::{self, Malformed};
use crate::cursor::{Cursor, Position};
use crate::frame::{self, Frame};
use crate::id::{DeviceId, UserId};
use crate::mutation::ChainHash;
use crate::rows::{self, Gone, Rows};
use crate::time::Timestamp;

/// The version of the protocol.
pub const PROTOCOL: u16 = 1;
/// The media type of both bodies.
pub const MEDIA_TYPE: &str = "application/vnd.teren.sync";

/// The code of a refusal of bytes that are not what was sent: the network has changed or cut them. Sending them again
/// helps.
pub const DAMAGED: &str = "DAMAGED";

/// The first message of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: u16,
    /// The application and its version.
    #[serde(default)]
    pub app: String,
    /// The device.
    pub device: DeviceId,
    /// The incarnation of its outbox: a restored or cloned phone gets a new one.
    pub incarnation: Uuid,
    /// How far the device has everything.
    #[serde(default)]
    pub cursor: Cursor,
    /// The fingerprint of the scopes that the device holds.
    #[serde(default)]
    pub scopes_hash: ChainHash,
    /// How many scopes it holds.
    #[serde(default)]
    pub scope_count: u32,
    /// Scopes that it does not yet have up to the cursor, and where to go on.
    #[serde(default)]
    pub behind: Vec<(Uuid, Position)>,
    /// What waits in the outbox.
    #[serde(default)]
    pub outbox: OutboxSummary,
    /// The device's wall clock now.
    #[serde(default)]
    pub wall_clock: Timestamp,
    /// How long the server may wait for news before it answers that there are none.
    #[serde(default)]
    pub wait_ms: u32,
    /// Set when the server is to send the digests of the scopes: the highest number of a kind that the device knows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub verify_kinds: u16,
    /// With changes to send: the device's clock that nobody can set, of which each mutation has the reading at its
    /// capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Whether the next request brings more changes without waiting for the end of the answer: the server leaves the
    /// rows for that one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// Earlier incarnations of this outbox, each with the last number that this outbox has of it: what they changed up
    /// to there is known here. Left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<(Uuid, u64)>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What waits on a device, so that the office sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutboxSummary {
    /// Changes not yet acknowledged.
    #[serde(default)]
    pub pending: u32,
    /// Changes that the server rejected and the person has not dealt with.
    #[serde(default)]
    pub rejected: u32,
    /// The age of the oldest pending change.
    #[serde(default)]
    pub oldest_ms: u64,
    /// Changes that were saved out of a damaged outbox; left out when there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub salvaged: u32,
    /// Changes that could not be saved out of one; left out when there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u32,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// Mutations in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The number of the first one.
    pub first_no: u64,
    /// The hash before the first one.
    pub prev_hash: ChainHash,
    /// The mutations, encoded.
    #[serde(with = "byte_strings")]
    pub mutations: Vec<Vec<u8>>,
}

/// The first message of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the protocol.
    pub protocol: u16,
    /// The server's clock now.
    pub now: Timestamp,
    /// Who the server believes to talk to.
    pub user: UserId,
    /// The programme.
    pub programme: Uuid,
    /// The history.
    pub epoch: Uuid,
    /// The newest number.
    pub head: u64,
    /// Whether the device's cursor belongs to this history.
    pub history: History,
    /// The last mutation that the server has from this incarnation.
    pub last_no: u64,
    /// The hash of that mutation.
    pub last_hash: ChainHash,
    /// With [`History::Other`]: up to where the device's history is the server's too. The device goes on from here
    /// and lets its digests be compared, instead of fetching everything again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<Cursor>,
    /// Up to where everything is in a verified backup: the device need not keep what was acknowledged up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable_seq: Option<u64>,
    /// Only said to a device that stands below it: deletions up to this number are no longer told, so that a
    /// difference of its digests is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<u64>,
    /// With [`History::Other`], or when the device's cursor is of another epoch: the last number that the server has of
    /// each earlier incarnation of the hello. What it lacks is sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<(Uuid, u64)>,
}

/// Whether a cursor belongs to the server's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// It does.
    Same,
    /// It does not: the server was restored, or the device talks to another one. Everything is sent again, or
    /// repaired from [`Welcome::common`] on.
    Other,
}

/// What became of the mutations of one push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushResult {
    /// The last number that the server now has; 0 when it has none.
    pub upto_no: u64,
    /// The hash at that number.
    pub upto_hash: ChainHash,
    /// What the device has to do before anything else.
    #[serde(default)]
    pub demand: Option<Demand>,
    /// The numbers covered and the sequence number of the commit that applied them, ascending.
    #[serde(default)]
    pub commits: Vec<Commit>,
    /// Results other than "applied as sent".
    #[serde(default)]
    pub results: Vec<MutationResult>,
}

/// Mutations that one commit applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The first number.
    pub first_no: u64,
    /// The last number.
    pub last_no: u64,
    /// The sequence number of the commit; 0 when nothing was written.
    pub seq: u64,
    /// Whether the rows are now exactly what the device shows: then they are not sent back.
    pub verbatim: bool,
}

/// What a device must do about its outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The server lacks mutations: send again from this number.
    ResendFrom(u64),
    /// A number was used for something else: this outbox is a copy or went back in time. Take a new
    /// incarnation and number everything after `last_no` again.
    NewIncarnation,
    /// The server is busy: keep everything and come back.
    Retry {
        /// When to come back.
        after_ms: u32,
    },
}

/// The result of one mutation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MutationResult {
    /// The number.
    pub no: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The stable code, such as `REJECT_RULE`.
    pub code: String,
    /// The rule that refused, such as `I19`.
    #[serde(default)]
    pub rule: Option<String>,
    /// The field that it is about.
    #[serde(default)]
    pub field: Option<String>,
    /// The key of the text for people.
    #[serde(default)]
    pub message: Option<String>,
    /// What the text mentions: (name, value).
    #[serde(default)]
    pub args: Vec<(String, String)>,
}

/// What became of a mutation. There is no "error": work is never lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// It took effect together with what others changed.
    Merged,
    /// It met a concurrent edit; both values are in a conflict row.
    Conflict,
    /// The server keeps it until something else happens.
    Held,
    /// It stays on the phone, editable, with the reason.
    Rejected,
    /// An outcome of a newer version: shown as held.
    #[serde(other)]
    Unknown,
}

/// The scopes that the device may hold now. Those it holds beyond these are dropped, new ones start at zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    /// Every scope.
    pub scopes: Vec<Uuid>,
}

/// Everything before this frame belongs together: it is applied in one transaction with this position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Set when everything up to this cursor was sent: what is shown is then the server's state at it.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// Scopes that are still behind, and how far they are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub behind: Vec<(Uuid, Position)>,
    /// Rows sent so far in this session.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rows_sent: u64,
    /// Rows that were expected at the start of the session, for a progress bar.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rows_expected: u64,
}

/// The last message of a response.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct End {
    /// When to come back at the earliest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_after_ms: u32,
    /// Whether there is more: come back at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub more: bool,
}

/// What a device does when a response is not a response of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: String,
    /// What happened, for a developer.
    pub message: String,
    /// The id under which the server logged it.
    #[serde(default)]
    pub request_id: String,
}

/// Whether a field may be left out, because whoever reads the message takes the default for it.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Any message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Hello(Hello),
    Push(Push),
    Welcome(Welcome),
    PushResult(PushResult),
    Scopes(Scopes),
    Rows(Rows),
    Gone(Gone),
    Checkpoint(Checkpoint),
    End(End),
    Fault(Fault),
    Sums(Sums),
    Want(Want),
    Digests(Digests),
    Listing(Listing),
    /// A frame of a newer version that may be skipped.
    Skipped(u8),
}

/// The numbers of the frame types, which never change.
pub mod frame_type {
    pub const HELLO: u8 = 1;
    pub const PUSH: u8 = 2;
    pub const WELCOME: u8 = 16;
    pub const PUSH_RESULT: u8 = 17;
    pub const SCOPES: u8 = 18;
    pub const ROWS: u8 = 19;
    pub const GONE: u8 = 20;
    pub const CHECKPOINT: u8 = 21;
    pub const END: u8 = 22;
    pub const FAULT: u8 = 23;
    // Added later, and therefore skipped by those who do not know them.
    pub const SUMS: u8 = 130;
    pub const WANT: u8 = 131;
    pub const DIGESTS: u8 = 144;
    pub const LISTING: u8 = 145;
}

impl Message {
    /// Appends the message to a body. Rows are written with [`write_rows`], which does not copy them.
    pub fn write(&self, body: &mut Vec<u8>) {
        use frame_type as t;
        let (kind, payload) = match self {
            Self::Hello(message) => (t::HELLO, cbor::to_vec(message)),
            Self::Push(message) => (t::PUSH, cbor::to_vec(message)),
            Self::Welcome(message) => (t::WELCOME, cbor::to_vec(message)),
            Self::PushResult(message) => (t::PUSH_RESULT, cbor::to_vec(message)),
            Self::Scopes(message) => (t::SCOPES, cbor::to_vec(message)),
            Self::Gone(message) => (t::GONE, message.encode()),
            Self::Checkpoint(message) => (t::CHECKPOINT, cbor::to_vec(message)),
            Self::End(message) => (t::END, cbor::to_vec(message)),
            Self::Fault(message) => (t::FAULT, cbor::to_vec(message)),
            Self::Sums(message) => (t::SUMS, cbor::to_vec(message)),
            Self::Want(message) => (t::WANT, message.encode()),
            Self::Digests(message) => (t::DIGESTS, cbor::to_vec(message)),
            Self::Listing(message) => (t::LISTING, message.encode()),
            Self::Rows(message) => match message.kind {
                Some(kind) => (t::ROWS, rows::encode(kind, &message.rows)),
                None => return,
            },
            Self::Skipped(kind) => (*kind, Vec::new()),
        };
        frame::write(body, kind, &payload);
    }

    /// Reads a frame.
    pub fn read(frame: &Frame) -> Result<Self, Malformed> {
        use frame_type as t;
        let payload = &frame.payload;
        Ok(match frame.kind {
            t::HELLO => Self::Hello(cbor::from_slice(payload)?),
            t::PUSH => Self::Push(cbor::from_slice(payload)?),
            t::WELCOME => Self::Welcome(cbor::from_slice(payload)?),
            t::PUSH_RESULT => Self::PushResult(cbor::from_slice(payload)?),
            t::SCOPES => Self::Scopes(cbor::from_slice(payload)?),
            t::ROWS => Self::Rows(rows::decode(payload)?),
            t::GONE => Self::Gone(Gone::decode(payload)?),
            t::CHECKPOINT => Self::Checkpoint(cbor::from_slice(payload)?),
            t::END => Self::End(cbor::from_slice(payload)?),
            t::FAULT => Self::Fault(cbor::from_slice(payload)?),
            t::SUMS => Self::Sums(cbor::from_slice(payload)?),
            t::WANT => Self::Want(Want::decode(payload)?),
            t::DIGESTS => Self::Digests(cbor::from_slice(payload)?),
            t::LISTING => Self::Listing(Listing::decode(payload)?),
            kind if kind & frame::SKIPPABLE != 0 => Self::Skipped(kind),
            kind => return Err(Malformed(format!("frame type {kind} is not known; the application is too old"))),
        })
    }
}

/// Appends rows to a body.
pub fn write_rows(body: &mut Vec<u8>, kind: crate::entity::EntityKind, rows: &[rows::VersionedRow]) {
    frame::write(body, frame_type::ROWS, &rows::encode(kind, rows));
}

/// A list of byte strings: without this, serde writes each byte as a number.
mod byte_strings {
    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeSeq as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Bytes<'b>(&'b [u8]);
    impl Serialize for Bytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    struct OwnedBytes(Vec<u8>);
    impl<'de> Deserialize<'de> for OwnedBytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Owned;
            impl Visitor<'_> for Owned {
                type Value = OwnedBytes;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<OwnedBytes, E> {
                    Ok(OwnedBytes(bytes.to_vec()))
                }
            }
            deserializer.deserialize_bytes(Owned)
        }
    }

    pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_seq(Some(list.len()))?;
        for bytes in list {
            out.serialize_element(&Bytes(bytes))?;
        }
        out.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Vec<Vec<u8>>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of bytes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(OwnedBytes(bytes)) = seq.next_element()? {
                    list.push(bytes);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(List)
    }
}
