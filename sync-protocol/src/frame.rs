//! Frames: the bytes of a request or response body.
//!
//! `u32 length | u8 type | u8 flags | payload`, integers big-endian, `length` counting the payload. With flag 1
//! the payload is `u32 raw length | zstd`; with flag 2 it ends in a CRC-32 of everything of the frame before it,
//! and every frame that is written has that flag: a network that changes a single bit is noticed before anything
//! is read. A type with the high bit set may be skipped by who does not know it; any other unknown type ends the
//! session. Every limit is checked against the raw length before memory is spent, and against the bytes that
//! decompression really gives.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::cbor::Malformed;

/// The bytes before a payload.
pub const HEADER_BYTES: usize = 6;
/// The flag of a compressed payload.
const COMPRESSED: u8 = 1;
/// The flag of a payload that ends in a checksum.
const CHECKED: u8 = 2;
/// The bytes of a checksum.
const CHECKSUM_BYTES: usize = 4;
/// Payloads below this are sent as they are.
const COMPRESS_FROM_BYTES: usize = 256;
/// Level 1: on our rows, higher levels save under 10 % of the bytes for several times the CPU.
const ZSTD_LEVEL: i32 = 1;
/// Unknown types with this bit may be skipped.
pub const SKIPPABLE: u8 = 0x80;

/// A frame with its payload as it was before compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type.
    pub kind: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Appends a frame to a body, compressing it when that helps.
pub fn write(body: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    if payload.len() >= COMPRESS_FROM_BYTES
        && let Ok(packed) = compress(payload)
        && packed.len() + 4 < payload.len()
    {
        let raw_length = (payload.len() as u32).to_be_bytes();
        write_checked(body, kind, COMPRESSED, &[&raw_length, &packed]);
    } else {
        write_checked(body, kind, 0, &[payload]);
    }
}

fn write_checked(body: &mut Vec<u8>, kind: u8, flags: u8, parts: &[&[u8]]) {
    let start = body.len();
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + CHECKSUM_BYTES;
    body.extend_from_slice(&(length as u32).to_be_bytes());
    body.extend_from_slice(&[kind, flags | CHECKED]);
    parts.iter().for_each(|part| body.extend_from_slice(part));
    let sum = checksum(&[&body[start..]]);
    body.extend_from_slice(&sum.to_be_bytes());
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    start: usize,
    max_bytes: usize,
}

impl Reader {
    /// Returns a reader that refuses frames of more than `max_bytes`, compressed or not.
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, max_bytes }
    }

    /// Adds bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole frame, `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let bytes = &self.buffer[self.start..];
        let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length > self.max_bytes {
            return Err(Malformed(format!("a frame of {length} bytes is over the limit of {}", self.max_bytes)));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let flags = head[5];
        let payload = if flags & CHECKED == 0 { payload } else { without_checksum(head, payload)? };
        let payload = match flags & !CHECKED {
            0 => payload.to_vec(),
            COMPRESSED => decompress(payload, self.max_bytes)?,
            flags => return Err(Malformed(format!("frame flags {flags} are not known"))),
        };
        self.start += HEADER_BYTES + length;
        Ok(Some(Frame { kind: head[4], payload }))
    }

    /// Returns whether nothing of an incomplete frame is left over.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }
}

/// Returns the payload of a frame that ends in its checksum.
fn without_checksum<'p>(head: &[u8], payload: &'p [u8]) -> Result<&'p [u8], Malformed> {
    let short = || Malformed("a checked frame lacks its checksum".to_owned());
    let (payload, sum) = payload.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(short)?;
    if checksum(&[head, payload]) == u32::from_be_bytes(*sum) {
        Ok(payload)
    } else {
        Err(Malformed("a frame was damaged on its way: its checksum differs".to_owned()))
    }
}

fn decompress(payload: &[u8], max_bytes: usize) -> Result<Vec<u8>, Malformed> {
    let short = || Malformed("a compressed frame lacks its length".to_owned());
    let (head, packed) = payload.split_first_chunk::<4>().ok_or_else(short)?;
    let raw = u32::from_be_bytes(*head) as usize;
    if raw > max_bytes {
        return Err(Malformed(format!("a frame of {raw} bytes is over the limit of {max_bytes}")));
    }
    let unpacked = unpack(packed, raw).map_err(|error| Malformed(error.to_string()))?;
    if unpacked.len() != raw {
        return Err(Malformed(format!("a frame holds {} bytes instead of {raw}", unpacked.len())));
    }
    Ok(unpacked)
}

/// Each thread keeps its compressor: to make one costs more than to compress a small frame.
fn compress(payload: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local!(static KEPT: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) });
    KEPT.with_borrow_mut(|kept| match kept {
        Some(compressor) => compressor.compress(payload),
        None => kept.insert(Compressor::new(ZSTD_LEVEL)?).compress(payload),
    })
}

fn unpack(packed: &[u8], raw: usize) -> std::io::Result<Vec<u8>> {
    thread_local!(static KEPT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) });
    KEPT.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompressor.decompress(packed, raw),
        None => kept.insert(Decompressor::new()?).decompress(packed, raw),
    })
}

/// The CRC-32 of zip and Ethernet: it notices every change of up to 32 bits in a row, which a compressed text does not.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Vec<u8> {
        let mut body = Vec::new();
        write(&mut body, 1, b"small");
        write(&mut body, 2, &b"large and repetitive ".repeat(100));
        body
    }

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let body = body();
        for cut in 0..=body.len() {
            let mut reader = Reader::new(10_000);
            let mut frames = Vec::new();
            for part in [&body[..cut], &body[cut..]] {
                reader.push(part);
                while let Some(frame) = reader.next_frame().unwrap() {
                    frames.push((frame.kind, frame.payload.len()));
                }
            }
            assert_eq!(frames, [(1, 5), (2, 2_100)], "cut at {cut}");
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn limits_hold_for_what_a_frame_unpacks_to() {
        let mut reader = Reader::new(1_000);
        reader.push(&body());
        assert_eq!(reader.next_frame().unwrap().unwrap().kind, 1);
        assert!(reader.next_frame().is_err());

        let mut bomb = Vec::new();
        let packed = zstd::bulk::compress(&vec![0; 1 << 20], 19).unwrap();
        write_checked(&mut bomb, 1, COMPRESSED, &[&100u32.to_be_bytes(), &packed]);
        let mut reader = Reader::new(1_000);
        reader.push(&bomb);
        assert!(reader.next_frame().is_err(), "a bomb that lies about its size was unpacked");
    }

    /// Reads everything, and says whether all of it was sound.
    fn read(body: &[u8]) -> (Vec<Frame>, bool) {
        let mut reader = Reader::new(10_000);
        reader.push(body);
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = reader.next_frame() {
            frames.push(frame);
        }
        (frames, reader.is_empty())
    }

    #[test]
    fn a_flipped_bit_is_refused_wherever_it_is() {
        let body = body();
        let (sent, _) = read(&body);
        for bit in 0..body.len() * 8 {
            let mut damaged = body.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (frames, is_sound) = read(&damaged);
            let unchecked_end = |frame: &Frame, sent: &Frame| frame.payload.starts_with(&sent.payload);
            let is_flag = [5, 5 + 15].contains(&(bit / 8)) && bit % 8 == 1;
            let as_sent = frames.iter().zip(&sent).all(|(f, s)| f == s || is_flag && unchecked_end(f, s));
            assert!(as_sent, "bit {bit} made another frame");
            assert!(!is_sound || is_flag, "bit {bit} was not noticed");
        }
    }

    #[test]
    fn frames_without_a_checksum_are_read_as_they_always_were() {
        let (frames, is_sound) = read(&[0, 0, 0, 2, 7, 0, b'o', b'k']);
        assert!(is_sound);
        assert_eq!(frames, [Frame { kind: 7, payload: b"ok".to_vec() }]);
    }
}
