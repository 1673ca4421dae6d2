//! Reading the frames of a request. Pure, and bounded before anything is kept.

use sync_protocol::frame::Reader;
use sync_protocol::wire::{Hello, Message, PROTOCOL, Push};

use crate::error::ApiError;

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

/// Reads a body: a hello and then pushes, whole or not at all.
pub fn parse(bytes: &[u8], limits: &FrameLimits) -> Result<(Hello, Vec<Push>), ApiError> {
    let bad = |message: String| ApiError::bad_request(message);
    let damaged = |message: String| ApiError::damaged(message);
    let mut reader = Reader::new(limits.max_frame_bytes);
    reader.push(bytes);
    let mut hello = None;
    let mut pushes = Vec::new();
    let mut unpacked_bytes = 0;
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
            Message::Skipped(_) => {}
            _ => return Err(bad("A request is a hello and then pushes.".to_owned())),
        }
    }
    match hello {
        Some(hello) if reader.is_empty() => Ok((hello, pushes)),
        _ => Err(damaged("The request is not complete.".to_owned())),
    }
}
