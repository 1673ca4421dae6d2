//! Damaged and hostile frames: refused, never half applied, and bounded in memory.

use std::panic::{AssertUnwindSafe, catch_unwind};

use client_sdk::store::Page;
use server::sync::{FrameLimits, parse};
use sync_protocol::entity::{Entity as _, EntityKind};
use sync_protocol::frame::{self, Frame, Reader};
use sync_protocol::mutation::Mutation;
use sync_protocol::rows::{self, Rows, VersionedRow};
use sync_protocol::wire::{Checkpoint, Message, Push, frame_type};
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::programme::{self, ENTERPRISES};
use tests::{Device, Phone, TestServer, request_body, sample};

const LIMITS: FrameLimits = FrameLimits { max_frame_bytes: 1 << 20, max_mutations: 2_000, max_bytes: 16 << 20 };
/// Every message of the protocol is read in these tests.
const KINDS: std::ops::RangeInclusive<u8> = 0..=40;
const MOST_GROWTH_BYTES: usize = 64 << 20;

/// Returns a request of about 4 KiB.
async fn request(server: &TestServer) -> Vec<u8> {
    programme::load(&server.app).await;
    let mut device = Device::enrol(server.address, programme::ANA).await;
    device.sync().await;
    let visit = sample::visit(ENTERPRISES[0], programme::ANA);
    device.create(&visit);
    for at in 0..105 {
        device.create(&sample::finding(&visit, &format!("{at} {}", uuid::Uuid::new_v4())));
    }
    let pushes: Vec<Message> = device.pending().into_iter().map(Message::Push).collect();
    let body = request_body(device.hello(), &pushes);
    assert!((3_000..8_000).contains(&body.len()), "{} bytes", body.len());
    body
}

fn flipped(body: &[u8], bit: usize) -> Vec<u8> {
    let mut damaged = body.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    damaged
}

fn read_all(body: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(LIMITS.max_frame_bytes);
    reader.push(body);
    std::iter::from_fn(|| reader.next_frame().ok().flatten()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_and_every_flipped_bit_of_a_request_is_refused_whole() {
    let server = TestServer::new().await;
    let body = request(&server).await;
    let sent = parse(&body, &LIMITS).unwrap();
    // A request that ends after a whole frame is one; HTTP notices that bytes are missing.
    let ends: Vec<usize> = (0..body.len()).filter(|at| read_all(&body[..*at]).len() == 1).collect();
    let mut accepted = Vec::new();
    for length in (0..body.len()).filter(|length| *length != ends[0]) {
        accepted.extend(parse(&body[..length], &LIMITS).is_ok().then_some(length));
    }
    assert!(accepted.is_empty(), "cut at {accepted:?}");
    for bit in 0..body.len() * 8 {
        if let Ok(read) = parse(&flipped(&body, bit), &LIMITS) {
            // Without its flag the checksum is taken for bytes after the message: the message is as it was.
            assert!(read.hello == sent.hello && read.pushes == sent.pushes, "bit {bit} made another request");
        }
    }
}

/// Whoever computes the checksum anew gets as far as the messages.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_bit_below_the_checksum_makes_a_decoder_panic() {
    let server = TestServer::new().await;
    let body = request(&server).await;
    let (mut read, mut refused) = (0, 0);
    for frame in read_all(&body) {
        for bit in 0..frame.payload.len() * 8 {
            let damaged = Frame { kind: frame.kind, payload: flipped(&frame.payload, bit) };
            match Message::read(&damaged) {
                Ok(Message::Push(Push { mutations, .. })) => {
                    read += 1;
                    mutations.iter().for_each(|payload| drop(Mutation::decode(payload)));
                }
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} read, {refused} refused");
}

/// The server's rows, as a phone takes them: a bit that is flipped below the checksum changes a value or is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_applied_whole_or_not_at_all() {
    let server = TestServer::new().await;
    demo::load(&server.app).await;
    let phone = Phone::new(server.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    let kind = EntityKind::Finding;
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().unwrap().id;
    let visit = sample::visit(enterprise, programme::ANA);
    let page: Vec<VersionedRow> = (0..40)
        .map(|at| VersionedRow { seq: 1_000_000 + at, row: sample::finding(&visit, &format!("{at}")).to_row() })
        .collect();
    let payload = rows::encode(kind, &page);
    let (mut applied, mut refused) = (0, 0);
    for bit in (0..payload.len() * 8).step_by(11) {
        let damaged = Frame { kind: frame_type::ROWS, payload: flipped(&payload, bit) };
        let Ok(Message::Rows(rows)) = Message::read(&damaged) else {
            refused += 1;
            continue;
        };
        let before = (bit % 40 == 0).then(|| phone.rows());
        let page = Page { rows: vec![rows.clone()], gone: Vec::new(), checkpoint: checkpoint() };
        match catch_unwind(AssertUnwindSafe(|| phone.store().apply_page(&page))).expect("no panic") {
            Ok(_) => {
                applied += 1;
                assert_shown(&phone, &rows, bit);
            }
            Err(_) => {
                refused += 1;
                assert!(before.is_none_or(|before| phone.rows() == before), "bit {bit} was applied in part");
            }
        }
    }
    assert!(applied > 100 && refused > 100, "{applied} applied, {refused} refused");
}

fn checkpoint() -> Checkpoint {
    Checkpoint { cursor: None, behind: Vec::new(), rows_sent: 0, rows_expected: 0 }
}

fn assert_shown(phone: &Phone, rows: &Rows, bit: usize) {
    let Some(kind) = rows.kind else { return };
    let (first, last) = (rows.rows.first(), rows.rows.last());
    for row in first.into_iter().chain(last) {
        let shown = phone.store().get(kind, row.row.id).unwrap();
        assert!(shown.is_some(), "bit {bit}: a page was applied in part");
    }
}

/// Returns the memory of this process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// Payloads that ask for more than they bring: lengths of 4 GiB and more, and a megabyte of nesting.
fn hostile_payloads() -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for major in [0x40u8, 0x60, 0x80, 0xa0] {
        for length in [[0xff; 8], [0, 0, 0, 1, 0, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            let head = [&[major | 0x1b][..], &length].concat();
            payloads.push(head.clone());
            payloads.push([&[0x84, 0x01][..], &head].concat());
            payloads.push([&[0xa1, 0x61, b'x'][..], &head].concat());
        }
    }
    for (head, level) in [
        (vec![], 0x81u8),
        (vec![0xa1, 0x61, b'x'], 0x81),
        (vec![0xa1, 0x61, b'x'], 0x9f),
        (vec![0xa1, 0x61, b'x'], 0xc1),
    ] {
        payloads.push([head, vec![level; (1 << 20) - 8]].concat());
    }
    payloads.push([&[0xa1, 0x61, b'x'][..], &[0xa1, 0x61, b'y'].repeat(300_000)].concat());
    payloads
}

#[test]
fn hostile_frames_take_no_memory_and_no_stack() {
    let before = resident_bytes();
    for payload in hostile_payloads() {
        for kind in KINDS {
            let _ = Message::read(&Frame { kind, payload: payload.clone() });
        }
        let _ = Mutation::decode(&payload);
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MOST_GROWTH_BYTES, "{grown} bytes");
}

#[test]
fn frames_that_announce_more_than_they_may_hold_are_refused_at_once() {
    let before = resident_bytes();
    for announced in [u32::MAX, 1 << 31, LIMITS.max_frame_bytes as u32 + 1] {
        let mut reader = Reader::new(LIMITS.max_frame_bytes);
        reader.push(&[&announced.to_be_bytes()[..], &[frame_type::PUSH, 0]].concat());
        assert!(reader.next_frame().is_err(), "{announced} bytes were waited for");
    }
    // A megabyte of nothing has some hundred bytes: many of them in one request are too much all the same.
    let mut bombs = Vec::new();
    frame::write(&mut bombs, 200, &vec![0; LIMITS.max_frame_bytes]);
    let body = bombs.repeat(1_000);
    assert!(body.len() < 1 << 20, "{} bytes", body.len());
    assert_eq!(parse(&body, &LIMITS).unwrap_err().code, "PAYLOAD_TOO_LARGE");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MOST_GROWTH_BYTES, "{grown} bytes");
}
