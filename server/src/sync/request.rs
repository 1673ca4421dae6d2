//! Reading the frames of a request. Pure, and bounded before anything is kept.

use sync_protocol::frame::Reader;
use sync_protocol::wire::{Hello, Message, PROTOCOL, Push};

use super::verify::Checks;
use crate::error::ApiError;

/// The most parts of scopes that one request compares.
const MAX_SUMS: usize = 64;
/// The most rows that one request asks for one by one.
const MAX_WANTED: usize = 4_000;

/// What a device says in one request.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// Who it is and where it stands.
    pub hello: Hello,
    /// What it sends.
    pub pushes: Vec<Push>,
    /// What it asks besides its rows.
    pub checks: Checks,
}

/// What a request may hold.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// The most bytes of one frame.
    pub max_frame_bytes: usize,
    /// The most mutations of one push.
    pub max_mutations: usize,
    /// The most bytes of all frames together, as they are after decompression.
    pub max_bytes: usize,
}

/// Reads a body: a hello, then pushes, then what is asked; whole or not at all.
pub fn parse(bytes: &[u8], limits: &FrameLimits) -> Result<SyncRequest, ApiError> {
    let bad = |message: String| ApiError::bad_request(message);
    let damaged = |message: String| ApiError::damaged(message);
    let mut reader = Reader::new(limits.max_frame_bytes);
    reader.push(bytes);
    let mut hello = None;
    let mut pushes = Vec::new();
    let mut unpacked_bytes = 0;
    let mut checks = Checks::default();
    while let Some(frame) = reader.next_frame().map_err(|error| damaged(error.to_string()))? {
        unpacked_bytes += frame.payload.len();
        if unpacked_bytes > limits.max_bytes {
            return Err(ApiError::too_large(format!(
                "A sync request holds at most {} bytes, unpacked.",
                limits.max_bytes
            )));
        }
        match Message::read(&frame).map_err(|error| bad(error.to_string()))? {
            Message::Hello(message) if hello.is_none() && message.protocol == PROTOCOL => hello = Some(message),
            Message::Hello(message) if message.protocol != PROTOCOL => {
                let text = format!("Protocol {} is not spoken here; update the application.", message.protocol);
                return Err(ApiError::upgrade_required(text));
            }
            Message::Push(push) if push.mutations.len() > limits.max_mutations => {
                return Err(ApiError::too_large(format!("A push holds at most {} mutations.", limits.max_mutations)));
            }
            Message::Push(push) if hello.is_some() => pushes.push(push),
            Message::Sums(_) if checks.sums.len() == MAX_SUMS => {
                return Err(ApiError::too_large(format!("A request compares at most {MAX_SUMS} parts of scopes.")));
            }
            Message::Sums(sums) => checks.sums.push(sums),
            Message::Want(want) if checks.wanted.len() + want.rows.len() > MAX_WANTED => {
                return Err(ApiError::too_large(format!("A request asks for at most {MAX_WANTED} rows one by one.")));
            }
            Message::Want(want) => checks.wanted.extend(want.rows),
            Message::Skipped(_) => {}
            _ => return Err(bad("A request is a hello and then pushes.".to_owned())),
        }
    }
    match hello {
        Some(hello) if reader.is_empty() => Ok(SyncRequest { hello, pushes, checks }),
        _ => Err(damaged("The request is not complete.".to_owned())),
    }
}
