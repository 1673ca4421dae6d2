//! The records on the pages of SQLite's trees, read page by page. Nothing here trusts a length or an offset.

use rusqlite::types::Value;

use super::cipher::{PAGE_BYTES, RESERVED_BYTES};
use super::pages::{Page, Pages};

/// What of a page holds content.
const USABLE_BYTES: usize = PAGE_BYTES - RESERVED_BYTES;
/// No change is larger; a longer one is a damaged length.
const LARGEST_BYTES: usize = 64 << 20;

const TABLE_LEAF: u8 = 13;
const INDEX_LEAF: u8 = 10;
const INDEX_INTERIOR: u8 = 2;

/// One record: a row of a table, or an entry of an index, which has no number.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) rowid: Option<i64>,
    pub(super) values: Vec<Value>,
}

/// Calls `each` with every record on a page, as often as it can be put together from different versions of the pages
/// that it goes on, the best last.
pub(super) fn records(pages: &Pages, page: &Page, each: &mut impl FnMut(Record)) {
    let bytes = &page.bytes[..USABLE_BYTES];
    let start = if page.number == 1 { 100 } else { 0 };
    let Some(kind) = bytes.get(start).copied() else { return };
    let pointers = start + if kind == INDEX_INTERIOR { 12 } else { 8 };
    if !matches!(kind, TABLE_LEAF | INDEX_LEAF | INDEX_INTERIOR) {
        return;
    }
    for at in 0..u16_at(bytes, start + 3).unwrap_or(0) {
        let Some(cell) = u16_at(bytes, pointers + 2 * at).and_then(|cell| bytes.get(cell..)) else { continue };
        let Some(cell) = Cell::read(kind, cell) else { continue };
        // Older versions first, so that the best one is the last word.
        for rank in (0..2).rev() {
            let record = cell.payload(pages, rank).and_then(|payload| record(&payload));
            if let Some(values) = record {
                each(Record { rowid: cell.rowid, values });
            }
            if cell.overflow.is_none() {
                break;
            }
        }
    }
}

/// A cell: what is on its page, and where it goes on.
struct Cell<'p> {
    rowid: Option<i64>,
    length: usize,
    local: &'p [u8],
    overflow: Option<u32>,
}

impl<'p> Cell<'p> {
    fn read(kind: u8, mut cell: &'p [u8]) -> Option<Self> {
        if kind == INDEX_INTERIOR {
            cell = cell.get(4..)?;
        }
        let length = usize::try_from(varint(&mut cell)?).ok().filter(|length| *length <= LARGEST_BYTES)?;
        let rowid = if kind == TABLE_LEAF { Some(varint(&mut cell)?) } else { None };
        let on_page = local_length(kind, length);
        let local = cell.get(..on_page)?;
        let next = cell.get(on_page..on_page + 4).map(|next| u32::from_be_bytes([next[0], next[1], next[2], next[3]]));
        Some(Self { rowid, length, local, overflow: if on_page < length { Some(next?) } else { None } })
    }

    /// Puts the payload together, from the `rank`-th best version of each further page.
    fn payload(&self, pages: &Pages, rank: usize) -> Option<Vec<u8>> {
        let mut payload = self.local.to_vec();
        let mut next = self.overflow;
        while payload.len() < self.length {
            let number = next?;
            let page = pages.of(number).nth(rank).or_else(|| pages.of(number).next())?;
            next = Some(u32::from_be_bytes(page.bytes[..4].try_into().ok()?));
            let more = (self.length - payload.len()).min(USABLE_BYTES - 4);
            payload.extend_from_slice(&page.bytes[4..4 + more]);
        }
        Some(payload)
    }
}

/// Returns how much of a payload is on its page, by the file format of SQLite.
fn local_length(kind: u8, length: usize) -> usize {
    let most = if kind == TABLE_LEAF { USABLE_BYTES - 35 } else { (USABLE_BYTES - 12) * 64 / 255 - 23 };
    if length <= most {
        return length;
    }
    let least = (USABLE_BYTES - 12) * 32 / 255 - 23;
    let whole_pages = least + (length - least) % (USABLE_BYTES - 4);
    if whole_pages <= most { whole_pages } else { least }
}

fn record(payload: &[u8]) -> Option<Vec<Value>> {
    let mut rest = payload;
    let header_length = usize::try_from(varint(&mut rest)?).ok()?;
    let mut types = payload.get(payload.len() - rest.len()..header_length)?;
    let mut body = payload.get(header_length..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        values.push(value(varint(&mut types)?, &mut body)?);
    }
    Some(values)
}

fn value(serial_type: i64, body: &mut &[u8]) -> Option<Value> {
    let length = match serial_type {
        0 | 8 | 9 => 0,
        1..=4 => serial_type as usize,
        5 => 6,
        6 | 7 => 8,
        12.. => usize::try_from((serial_type - 12) / 2).ok()?,
        _ => return None,
    };
    let (bytes, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(match serial_type {
        0 => Value::Null,
        8 | 9 => Value::Integer(serial_type - 8),
        1..=6 => Value::Integer(integer(bytes)),
        7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ if serial_type % 2 == 0 => Value::Blob(bytes.to_vec()),
        _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
    })
}

fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))
}

/// Reads a number of up to nine bytes, seven bits in each but the last.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut number: u64 = 0;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        let is_last = at == 8 || byte < 0x80;
        number = if at == 8 { (number << 8) | u64::from(byte) } else { (number << 7) | u64::from(byte & 0x7f) };
        if is_last {
            *bytes = &bytes[at + 1..];
            return Some(number as i64);
        }
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_sqlite_writes_them() {
        for (bytes, expected) in [
            (&[0x7f][..], 0x7f),
            (&[0x81, 0x00], 0x80),
            (&[0xff; 9], -1),
            (&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 1 << 57),
        ] {
            let mut rest = bytes;
            assert_eq!((varint(&mut rest), rest.len()), (Some(expected), 0));
        }
        assert_eq!(varint(&mut &[0x80, 0x80][..]), None);
        assert_eq!((integer(&[0xff]), integer(&[0x00, 0xff]), integer(&[])), (-1, 255, 0));
    }

    #[test]
    fn no_bytes_make_the_reading_of_a_record_fail_otherwise_than_by_saying_so() {
        let mut bytes = vec![4, 1, 23, 12, 7, b'h', b'e', b'l', b'l', b'o'];
        let whole = vec![Value::Integer(7), Value::Text("hello".to_owned()), Value::Blob(Vec::new())];
        assert_eq!(record(&bytes), Some(whole));
        for at in 0..bytes.len() {
            record(&bytes[..at]);
            for byte in 0..=255 {
                let kept = std::mem::replace(&mut bytes[at], byte);
                record(&bytes);
                bytes[at] = kept;
            }
        }
    }
}
