//! One sample of everything that is said, with fixed content.

use std::fmt::Write as _;

use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::digest::{Digest, Version};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::Field;
use sync_protocol::id::{DeviceId, UserId};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch;
use sync_protocol::rows::{Gone, GoneReason, Rows, VersionedRow};
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::{FieldType, Value};
use sync_protocol::wire::*;
use uuid::Uuid;

/// 2024-04-01T10:10:05.120Z.
const NOW: Timestamp = Timestamp(1_711_966_205_120);

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

fn hash(byte: u8) -> ChainHash {
    ChainHash([byte; 16])
}

fn cursor() -> Cursor {
    Cursor { epoch: id(1), seq: 812, chain: hash(0xcc) }
}

fn position() -> Position {
    Position { seq: 700, kind: 13, row_id: id(2) }
}

/// Every message under the name of its file; one that holds choices comes once for each.
pub(super) fn messages() -> Vec<(&'static str, Message)> {
    let demand = |demand| Message::PushResult(PushResult { demand: Some(demand), ..push_result() });
    vec![
        ("hello", Message::Hello(hello())),
        ("push", push(vec![vec![1, 2, 3], vec![0xff; 3]])),
        ("welcome", Message::Welcome(welcome())),
        ("push_result", Message::PushResult(push_result())),
        ("push_result_resend", demand(Demand::ResendFrom(7))),
        ("push_result_incarnation", demand(Demand::NewIncarnation)),
        ("push_result_retry", demand(Demand::Retry { after_ms: 2_000 })),
        ("scopes", Message::Scopes(Scopes { scopes: vec![id(3), id(4)] })),
        ("rows", rows_message()),
        ("gone", Message::Gone(gone())),
        ("checkpoint", Message::Checkpoint(checkpoint(None))),
        ("checkpoint_complete", Message::Checkpoint(checkpoint(Some(cursor())))),
        ("end", end()),
        ("fault", Message::Fault(fault())),
        ("hello_verify", Message::Hello(Hello { verify_kinds: 21, ..hello() })),
        ("hello_uptime", Message::Hello(Hello { uptime_ms: Some(7_200_000), ..hello() })),
        ("hello_more", Message::Hello(Hello { more: true, ..hello() })),
        ("hello_earlier", Message::Hello(Hello { earlier: vec![(Uuid::from_u128(0xe1), 57)], ..hello() })),
        (
            "welcome_restored",
            Message::Welcome(Welcome {
                history: History::Other,
                common: Some(cursor()),
                durable_seq: Some(640),
                ..welcome()
            }),
        ),
        ("welcome_earlier", Message::Welcome(Welcome { earlier: vec![(Uuid::from_u128(0xe1), 55)], ..welcome() })),
        ("welcome_below_the_floor", Message::Welcome(Welcome { floor: Some(790), ..welcome() })),
        ("sums", Message::Sums(sums(false))),
        ("sums_expected", Message::Sums(sums(true))),
        ("want", Message::Want(Want { rows: vec![(13, id(2)), (16, id(3))] })),
        ("digests", Message::Digests(Digests { scopes: vec![(id(3), digest(5)), (id(4), digest(0))] })),
        ("listing", Message::Listing(listing())),
        ("skippable", Message::Skipped(0x81)),
    ]
}

/// Returns the end of a response.
pub(super) fn end() -> Message {
    Message::End(End { retry_after_ms: 30_000, more: true })
}

/// Returns a push of these payloads.
pub(super) fn push(mutations: Vec<Vec<u8>>) -> Message {
    Message::Push(Push { first_no: 5, prev_hash: hash(0xaa), mutations })
}

fn digest(count: u32) -> Digest {
    Digest { count, sum: [count as u8; 16] }
}

fn sums(is_expected: bool) -> Sums {
    Sums { scope: id(3), prefix: vec![0x2a], buckets: vec![(0, digest(1)), (255, digest(70))], kinds: 21, is_expected }
}

fn listing() -> Listing {
    let version = |kind, number| Version { kind, row_id: id(number), seq: 700 + number as u64 };
    Listing {
        scope: id(3),
        prefix: vec![0x2a],
        listed: vec![0, 9],
        deeper: vec![255],
        versions: vec![version(13, 2), version(16, 3)],
    }
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        app: "teren 1.4.0".to_owned(),
        device: DeviceId(id(5)),
        incarnation: id(6),
        cursor: cursor(),
        scopes_hash: hash(0xbb),
        scope_count: 4,
        behind: vec![(id(7), position())],
        outbox: OutboxSummary { pending: 3, rejected: 1, oldest_ms: 86_400_000, ..OutboxSummary::default() },
        wall_clock: NOW,
        wait_ms: 25_000,
        verify_kinds: 0,
        uptime_ms: None,
        more: false,
        earlier: Vec::new(),
    }
}

fn welcome() -> Welcome {
    Welcome {
        protocol: PROTOCOL,
        now: NOW,
        user: UserId(id(8)),
        programme: id(9),
        epoch: id(1),
        head: 815,
        history: History::Same,
        last_no: 6,
        last_hash: hash(0xdd),
        common: None,
        durable_seq: None,
        floor: None,
        earlier: Vec::new(),
    }
}

fn push_result() -> PushResult {
    let results = [
        (7, Outcome::Merged, "ACK_MERGED"),
        (8, Outcome::Conflict, "CONFLICT"),
        (9, Outcome::Held, "HELD_PARENT_MISSING"),
    ];
    let plain = results.map(|(no, outcome, code)| MutationResult {
        no,
        outcome,
        code: code.to_owned(),
        rule: None,
        field: None,
        message: None,
        args: Vec::new(),
    });
    let rejected = MutationResult {
        no: 10,
        outcome: Outcome::Rejected,
        code: "REJECT_RULE".to_owned(),
        rule: Some("I28".to_owned()),
        field: Some("due_on".to_owned()),
        message: Some("due_before_visit".to_owned()),
        args: vec![("field".to_owned(), "due_on".to_owned()), ("limit".to_owned(), "2024-04-01".to_owned())],
    };
    PushResult {
        upto_no: 10,
        upto_hash: hash(0xee),
        demand: None,
        commits: vec![
            Commit { first_no: 5, last_no: 6, seq: 813, verbatim: true },
            Commit { first_no: 7, last_no: 10, seq: 814, verbatim: false },
        ],
        results: plain.into_iter().chain([rejected]).collect(),
    }
}

fn rows_message() -> Message {
    let rows = self::rows(EntityKind::Finding);
    Message::Rows(Rows { kind: Some(EntityKind::Finding), rows, unknown: Vec::new() })
}

fn gone() -> Gone {
    Gone { rows: vec![(13, id(10), GoneReason::Deleted), (16, id(11), GoneReason::Left)] }
}

fn checkpoint(cursor: Option<Cursor>) -> Checkpoint {
    Checkpoint { cursor, behind: vec![(id(7), position())], rows_sent: 2_000, rows_expected: 5_321 }
}

fn fault() -> Fault {
    Fault {
        code: "UNAVAILABLE".to_owned(),
        message: "The server could not finish.".to_owned(),
        request_id: "req-1".to_owned(),
    }
}

/// Returns three rows of a kind: one full, one with only what must be there, one full again under a later number.
pub(super) fn rows(kind: EntityKind) -> Vec<VersionedRow> {
    let fields = kind.def().fields;
    let full = |n: u128| fields.iter().enumerate().map(move |(at, field)| value(field, at, n)).collect();
    let sparse =
        fields.iter().enumerate().map(|(at, f)| if f.nullable { Value::Null } else { value(f, at, 2) }).collect();
    vec![
        VersionedRow { seq: 700, row: Row { id: id(101), values: full(1) } },
        VersionedRow { seq: 700, row: Row { id: id(102), values: sparse } },
        VersionedRow { seq: 812, row: Row { id: id(103), values: full(3) } },
    ]
}

/// Returns a value of the type of a field that is different in each place.
fn value(field: &Field, at: usize, n: u128) -> Value {
    let number = (at as i64 + 1) * 10 + n as i64;
    match field.field_type {
        FieldType::Bool => Value::Bool(number % 2 == 0),
        FieldType::Int => Value::Int(number * if n == 3 { -1 } else { 1_000 }),
        FieldType::Decimal => Value::Decimal(format!("{number}.50").parse().expect("a number")),
        FieldType::Text => Value::Text(format!("{} ăâîșț {number}", field.name)),
        FieldType::Code => Value::Text(field.codes[n as usize % field.codes.len()].to_owned()),
        FieldType::Json => Value::Json(format!("{{\"ro\": \"ț{number}\"}}")),
        FieldType::Uuid => Value::Uuid(id(1_000 + number as u128)),
        FieldType::Date => Value::Date(Date(19_000 + number as i32)),
        FieldType::Timestamp => Value::Timestamp(NOW.plus_ms(number)),
    }
}

/// Returns rows as people read them.
pub(super) fn rendered(kind: EntityKind, rows: &[VersionedRow]) -> String {
    let mut out = format!("{} {}", kind.number(), kind.def().name);
    for row in rows {
        let _ = write!(out, "\n{} at {}", row.row.id, row.seq);
        for (field, value) in kind.def().fields.iter().zip(&row.row.values) {
            let _ = write!(out, "\n    {}: {}", field.name, value.to_json());
        }
    }
    out
}

/// Returns one mutation for each kind, numbered from 1; between them they have everything a mutation may have.
pub(super) fn mutations() -> Vec<Mutation> {
    let numbered = (1..).zip(EntityKind::ALL.iter().copied());
    numbered
        .map(|(no, kind)| {
            let op = [Op::Put, Op::Patch, Op::Delete][no as usize % 3];
            let row = rows(kind).remove(0).row;
            let patch = match op {
                Op::Put => patch::creation(&row),
                Op::Patch => patch::creation(&row).into_iter().take(2).chain([(2, Value::Null)]).take(3).collect(),
                Op::Delete => Vec::new(),
            };
            Mutation {
                no,
                op,
                kind,
                row_id: row.id,
                author: UserId(id(8)),
                captured_at: NOW.plus_ms(no as i64),
                uptime_ms: 5_000 + no,
                base_seq: if op == Op::Put { 0 } else { 812 },
                field_bases: if op == Op::Patch { vec![(1, 700)] } else { Vec::new() },
                patch,
                group: (no % 4 == 0).then_some(no),
                reason: (op == Op::Delete).then(|| "înregistrată de două ori".to_owned()),
                unknown: if no == 4 { vec![("mood".to_owned(), vec![0x63, b'b', b'a', b'd'])] } else { Vec::new() },
            }
        })
        .collect()
}
