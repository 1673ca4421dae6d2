//! The bytes of the protocol, for ever: a phone that was never updated must still be understood.
//!
//! Each file of `golden/` holds one message or one kind of row: first what it says, then its bytes. Run with
//! `BLESS=1` to write the files after a deliberate change, and read the difference before it is committed:
//! bytes that change are a break with every device out there.

#[path = "golden/reference.rs"]
mod reference;
#[path = "golden/samples.rs"]
mod samples;

use std::fmt::Write as _;
use std::path::PathBuf;

use sync_protocol::entity::EntityKind;
use sync_protocol::frame::{Frame, Reader, SKIPPABLE};
use sync_protocol::mutation::{ChainHash, Mutation};
use sync_protocol::rows;
use sync_protocol::wire::{Message, frame_type};

const LIMIT: usize = 1 << 20;

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(format!("{name}.txt"))
}

fn hex(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        chunk.iter().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    };
    bytes.chunks(32).map(line).collect::<Vec<_>>().join("\n")
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).expect("hexadecimal")).collect()
}

/// Compares with the stored file, or writes it. Returns the stored bytes.
fn compare(name: &str, says: &str, bytes: &[u8]) -> Vec<u8> {
    let text = format!("{says}\n\n{}\n", hex(bytes));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file(name), &text).expect("the file can be written");
    }
    let stored = std::fs::read_to_string(file(name))
        .unwrap_or_else(|_| panic!("there is no {name}.txt yet: run with BLESS=1 and commit the file"));
    assert_eq!(stored, text, "`{name}` is not what it was: devices in the field would not understand it");
    unhex(stored.rsplit_once("\n\n").expect("the file has two parts").1)
}

fn body_of(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    message.write(&mut body);
    body
}

fn frame_of(body: &[u8]) -> Frame {
    let mut reader = Reader::new(LIMIT);
    reader.push(body);
    let frame = reader.next_frame().expect("the frame is sound").expect("the frame is whole");
    assert!(reader.is_empty());
    frame
}

/// A frame is compared before compression: another version of zstd may pack the same payload into other bytes.
#[test]
fn every_message_has_the_bytes_that_it_always_had() {
    for (name, message) in samples::messages() {
        let Frame { kind, payload } = frame_of(&body_of(&message));
        let stored = compare(name, &format!("frame type {kind}\n{message:#?}"), &payload);
        assert_eq!(Message::read(&Frame { kind, payload: stored }).as_ref(), Ok(&message), "{name}");
    }
}

#[test]
fn frames_are_read_as_they_always_were() {
    let (_, hello) = samples::messages().remove(0);
    let plain = compare("frame_plain", "A frame that is not compressed: End.", &body_of(&samples::end()));
    assert_eq!(Message::read(&frame_of(&plain)), Ok(samples::end()));
    // Written once and never blessed again: only reading it has to work for ever.
    let stored =
        std::fs::read_to_string(file("frame_compressed")).expect("frame_compressed.txt is part of the sources");
    let packed = unhex(stored.rsplit_once("\n\n").expect("the file has two parts").1);
    assert_eq!((packed[5], Message::read(&frame_of(&packed))), (1, Ok(hello)));
}

#[test]
fn every_frame_type_has_a_sample() {
    use frame_type as t;
    let kinds: Vec<u8> = samples::messages().iter().map(|(_, message)| frame_of(&body_of(message)).kind).collect();
    let fixed =
        [t::HELLO, t::PUSH, t::WELCOME, t::PUSH_RESULT, t::SCOPES, t::ROWS, t::GONE, t::CHECKPOINT, t::END, t::FAULT];
    let skippable = [t::SUMS, t::WANT, t::DIGESTS, t::LISTING];
    assert!(fixed.iter().all(|kind| kind & SKIPPABLE == 0) && skippable.iter().all(|kind| kind & SKIPPABLE != 0));
    for kind in fixed.into_iter().chain(skippable) {
        assert!(kinds.contains(&kind), "frame type {kind} has no golden file: add a sample");
    }
}

#[test]
fn rows_of_every_kind_have_the_bytes_that_they_always_had() {
    for kind in EntityKind::ALL.iter().copied() {
        let page = samples::rows(kind);
        let bytes = rows::encode(kind, &page);
        let stored = compare(&format!("rows_{}", kind.def().name), &samples::rendered(kind, &page), &bytes);
        assert_eq!(rows::decode(&stored).expect("the rows are sound").rows, page, "{kind:?}");
    }
}

#[test]
fn mutations_of_every_kind_have_the_bytes_and_the_hash_that_they_always_had() {
    let mut hash = ChainHash::START;
    for mutation in samples::mutations() {
        let bytes = mutation.encode();
        hash = hash.then(&bytes);
        let name = format!("mutation_{}", mutation.kind.def().name);
        let stored = compare(&name, &format!("{mutation:#?}\nchain {hash:?}"), &bytes);
        assert_eq!(Mutation::decode(&stored).expect("the mutation is sound"), mutation);
    }
}

/// A frame of 4 KiB on the wire, and what it says.
fn large_frame() -> Vec<u8> {
    let mut state = 1u64;
    let mut mutations = Vec::new();
    loop {
        // Bytes that do not compress, so that the frame is as long as it looks.
        let noise = (0..64).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        });
        mutations.push(noise.collect::<Vec<u8>>());
        let body = body_of(&samples::push(mutations.clone()));
        if body.len() >= 4_096 {
            return body;
        }
    }
}

/// Reads whatever is there, as a server does with a request.
fn digest(bytes: &[u8]) {
    let mut reader = Reader::new(LIMIT);
    reader.push(bytes);
    while let Ok(Some(frame)) = reader.next_frame() {
        if let Ok(Message::Push(push)) = Message::read(&frame) {
            push.mutations.iter().for_each(|payload| drop(Mutation::decode(payload)));
        }
    }
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_large_frame_is_survived() {
    let body = large_frame();
    for length in 0..body.len() {
        let mut reader = Reader::new(LIMIT);
        reader.push(&body[..length]);
        assert!(matches!(reader.next_frame(), Ok(None)), "{length} bytes are no whole frame");
    }
    for bit in 0..body.len() * 8 {
        let mut damaged = body.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        digest(&damaged);
    }
}

#[test]
fn every_cut_and_every_flipped_bit_of_every_payload_is_survived() {
    for kind in EntityKind::ALL.iter().copied() {
        let bytes = rows::encode(kind, &samples::rows(kind));
        each_damage(&bytes, |damaged| drop(rows::decode(damaged)));
    }
    for mutation in samples::mutations() {
        each_damage(&mutation.encode(), |damaged| drop(Mutation::decode(damaged)));
    }
    for (_, message) in samples::messages() {
        let Frame { kind, payload } = frame_of(&body_of(&message));
        each_damage(&payload, |damaged| drop(Message::read(&Frame { kind, payload: damaged.to_vec() })));
    }
}

fn each_damage(bytes: &[u8], read: impl Fn(&[u8])) {
    (0..bytes.len()).for_each(|length| read(&bytes[..length]));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        read(&damaged);
    }
}
