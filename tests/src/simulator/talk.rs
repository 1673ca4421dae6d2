//! What is said between phones and the server, as the simulator reads it: each answer once.

use bytes::Bytes;
use sync_protocol::frame::{self, Frame, Reader};
use sync_protocol::mutation::Mutation;
use sync_protocol::wire::{Hello, Message, Push};

use super::dice::Dice;
use super::tally::{Met, Tally};

/// As the server reads requests.
const MAX_FRAME_BYTES: usize = 8 << 20;

/// What the server said to a request.
#[derive(Debug)]
pub struct Answer {
    /// What it sent, piece by piece.
    pub chunks: Vec<Bytes>,
    /// Whether it came to the end.
    pub is_whole: bool,
    /// What the pieces say.
    messages: Vec<Vec<Message>>,
}

impl Answer {
    /// Reads an answer.
    pub fn new(chunks: Vec<Bytes>, is_whole: bool) -> Self {
        let read = |chunk: &Bytes| frames(chunk).iter().filter_map(|frame| Message::read(frame).ok()).collect();
        let messages = chunks.iter().map(read).collect();
        Self { chunks, is_whole, messages }
    }

    /// Returns everything that was said.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().flatten()
    }

    /// Returns what was said, in a few words.
    pub fn words(&self) -> String {
        let chunk = |messages: &Vec<Message>| messages.iter().map(describe).collect::<Vec<_>>().join(", ");
        self.messages.iter().map(chunk).collect::<Vec<_>>().join(" | ")
    }
}

/// Returns the first message of a request.
pub fn hello_of(body: &[u8]) -> Option<Hello> {
    let mut reader = Reader::new(MAX_FRAME_BYTES);
    reader.push(body);
    match Message::read(&reader.next_frame().ok()??).ok()? {
        Message::Hello(hello) => Some(hello),
        _ => None,
    }
}

/// Returns the changes that a request sends, as far as they can be read.
pub fn mutations(body: &[u8]) -> Vec<Mutation> {
    let pushed = frames(body).into_iter().filter_map(|frame| match Message::read(&frame).ok()? {
        Message::Push(push) => Some(push.mutations),
        _ => None,
    });
    pushed.flatten().filter_map(|bytes| Mutation::decode(&bytes).ok()).collect()
}

/// Returns the frames of a body, as far as they can be read.
pub fn frames(body: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(MAX_FRAME_BYTES);
    reader.push(body);
    std::iter::from_fn(|| reader.next_frame().ok().flatten()).collect()
}

/// Returns a request that does not wait for news: waiting is done by the history.
pub fn at_once(hello: &Hello, body: &[u8]) -> Vec<u8> {
    if hello.wait_ms == 0 {
        return body.to_vec();
    }
    rewritten(body, |message| match message {
        Message::Hello(hello) => vec![Message::Hello(Hello { wait_ms: 0, ..hello })],
        other => vec![other],
    })
}

/// Adds frames of a newer version that an older application skips.
pub fn with_newer_frames(chunks: Vec<Bytes>, chance: u32, dice: &mut Dice, tally: &mut Tally) -> Vec<Bytes> {
    if chance == 0 || chunks.is_empty() {
        return chunks;
    }
    let mut add = |chunk: Bytes| {
        let mut bytes = Vec::new();
        for frame in frames(&chunk) {
            frame::write(&mut bytes, frame.kind, &frame.payload);
            if dice.per_mille(chance) {
                tally.count(Met::NewerFrames);
                frame::write(&mut bytes, frame::SKIPPABLE | 0x21, b"something new");
            }
        }
        Bytes::from(bytes)
    };
    chunks.into_iter().map(&mut add).collect()
}

/// The planted mistake: every mutation is a push of its own.
pub fn torn_apart(body: &[u8]) -> Vec<u8> {
    rewritten(body, |message| match message {
        Message::Push(push) => singles(push),
        other => vec![other],
    })
}

fn singles(push: Push) -> Vec<Message> {
    let mut hash = push.prev_hash;
    let numbered = (push.first_no..).zip(push.mutations);
    let single = numbered.map(|(first_no, mutation)| {
        let prev_hash = hash;
        hash = prev_hash.then(&mutation);
        Message::Push(Push { first_no, prev_hash, mutations: vec![mutation] })
    });
    single.collect()
}

fn rewritten(body: &[u8], change: impl Fn(Message) -> Vec<Message>) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames(body) {
        match Message::read(&frame) {
            Ok(message @ (Message::Hello(_) | Message::Push(_))) => {
                change(message).iter().for_each(|message| message.write(&mut out));
            }
            _ => frame::write(&mut out, frame.kind, &frame.payload),
        }
    }
    out
}

fn describe(message: &Message) -> String {
    match message {
        Message::Welcome(w) => format!("welcome {:?} head {} last_no {}", w.history, w.head, w.last_no),
        Message::PushResult(r) => {
            let results: Vec<String> =
                r.results.iter().map(|r| format!("{}:{:?}:{}", r.no, r.outcome, r.code)).collect();
            format!("result upto {} {:?} {}", r.upto_no, r.demand, results.join(","))
        }
        Message::Scopes(s) => format!("scopes {}", s.scopes.len()),
        Message::Rows(r) => format!("{} {}", r.rows.len(), r.kind.map_or("?", |kind| kind.def().name)),
        Message::Gone(g) => format!("gone {}", g.rows.len()),
        Message::Checkpoint(c) => format!("checkpoint {:?}", c.cursor.map(|cursor| cursor.seq)),
        Message::End(e) => format!("end {}", if e.more { "more" } else { "" }),
        Message::Fault(f) => format!("fault {}", f.code),
        Message::Digests(d) => format!("digests of {} scopes", d.scopes.len()),
        Message::Listing(l) => format!("listing of {} rows", l.versions.len()),
        other => format!("{:?}", std::mem::discriminant(other)),
    }
}
