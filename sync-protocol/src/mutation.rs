//! Mutations: one change that a person made, identified for ever.
//!
//! A mutation is (device, incarnation, number). The number is durable on the phone before the first send. Each
//! mutation is hashed together with the hash of the one before it, so that the same number with other content
//! (a restored backup, a cloned phone) is noticed before anything is overwritten.

use std::fmt;

use minicbor::{Decoder, Encoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::cbor::{Malformed, bounded, read_uuid, read_value, write_value, written};
use crate::entity::EntityKind;
use crate::field::EntityDef;
use crate::id::UserId;
use crate::patch::Patch;
use crate::time::Timestamp;

/// What a mutation does to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Creates the row. Fields that are absent are null.
    Put,
    /// Changes some fields.
    Patch,
    /// Voids the row.
    Delete,
}

impl Op {
    const fn number(self) -> u8 {
        match self {
            Self::Put => 0,
            Self::Patch => 1,
            Self::Delete => 2,
        }
    }
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The number within the incarnation of the device's outbox, from 1 without gaps.
    pub no: u64,
    /// What it does.
    pub op: Op,
    /// The kind of row.
    pub kind: EntityKind,
    /// The row.
    pub row_id: Uuid,
    /// Who made the change, bound at capture.
    pub author: UserId,
    /// When, by the device's own clock.
    pub captured_at: Timestamp,
    /// Milliseconds since the device started, which no change of its clock moves.
    pub uptime_ms: u64,
    /// The version of the row that the person had seen; 0 for a new row.
    pub base_seq: u64,
    /// The versions of single fields where they differ from `base_seq`, by position.
    pub field_bases: Vec<(usize, u64)>,
    /// The new values.
    pub patch: Patch,
    /// Mutations with the same group are applied together or not at all.
    pub group: Option<u64>,
    /// Why the change was made, where a reason is asked for.
    pub reason: Option<String>,
    /// Fields of a newer version, as they came: (name, CBOR).
    pub unknown: Vec<(String, Vec<u8>)>,
}

/// The elements of an encoded mutation; later versions append.
const ELEMENTS: u64 = 12;

impl Mutation {
    /// Returns the canonical bytes, which are what is stored, hashed and sent.
    pub fn encode(&self) -> Vec<u8> {
        let def = self.kind.def();
        let mut bytes = Vec::with_capacity(128 + 32 * self.patch.len());
        let mut out = Encoder::new(&mut bytes);
        written(out.array(ELEMENTS));
        written(out.u64(self.no));
        written(out.u8(self.op.number()));
        written(out.u16(self.kind.number()));
        written(out.bytes(self.row_id.as_bytes()));
        written(out.bytes(self.author.0.as_bytes()));
        written(out.i64(self.captured_at.0));
        written(out.u64(self.uptime_ms));
        written(out.u64(self.base_seq));
        written(out.map(self.field_bases.len() as u64));
        for (at, seq) in &self.field_bases {
            written(out.str(name_of(def, *at)));
            written(out.u64(*seq));
        }
        written(out.map((self.patch.len() + self.unknown.len()) as u64));
        for (at, value) in &self.patch {
            written(out.str(name_of(def, *at)));
            write_value(&mut out, value);
        }
        for (name, value) in &self.unknown {
            written(out.str(name));
            out.writer_mut().extend_from_slice(value);
        }
        match self.group {
            Some(group) => written(out.u64(group)),
            None => written(out.null()),
        }
        match &self.reason {
            Some(reason) => written(out.str(reason)),
            None => written(out.null()),
        }
        bytes
    }

    /// Reads canonical bytes. Fails on a kind or operation of a newer version, which the caller then holds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        let elements = bounded(input.array()?, &input)? as u64;
        if elements < ELEMENTS {
            return Err(Malformed(format!("a mutation has {ELEMENTS} elements, not {elements}")));
        }
        let no = input.u64()?;
        let op = match input.u8()? {
            0 => Op::Put,
            1 => Op::Patch,
            2 => Op::Delete,
            other => return Err(Malformed(format!("operation {other} is not known"))),
        };
        let number = input.u16()?;
        let kind = EntityKind::from_number(number).ok_or_else(|| Malformed(format!("kind {number} is not known")))?;
        let def = kind.def();
        let row_id = read_uuid(&mut input)?;
        let author = UserId(read_uuid(&mut input)?);
        let captured_at = Timestamp(input.i64()?);
        let uptime_ms = input.u64()?;
        let base_seq = input.u64()?;
        let field_bases = read_field_bases(&mut input, def)?;
        let (patch, unknown) = read_fields(&mut input, def)?;
        let group = read_optional(&mut input, |input| Ok(input.u64()?))?;
        let reason = read_optional(&mut input, |input| Ok(input.str()?.to_owned()))?;
        Ok(Self {
            no,
            op,
            kind,
            row_id,
            author,
            captured_at,
            uptime_ms,
            base_seq,
            field_bases,
            patch,
            group,
            reason,
            unknown,
        })
    }

    /// Returns whether it sets the field at `position`.
    pub fn sets(&self, position: usize) -> bool {
        self.patch.iter().any(|(at, _)| *at == position)
    }

    /// Returns the version that the person had seen of the field at `position`.
    pub fn base_of(&self, position: usize) -> u64 {
        let own = self.field_bases.iter().find(|(at, _)| *at == position);
        own.map_or(self.base_seq, |(_, seq)| *seq)
    }

    /// Returns the oldest version that the person had seen of anything in the row.
    pub fn oldest_base(&self) -> u64 {
        self.field_bases.iter().map(|(_, seq)| *seq).fold(self.base_seq, u64::min)
    }
}

fn name_of(def: &EntityDef, position: usize) -> &'static str {
    def.fields.get(position).map_or("", |field| field.name)
}

/// Finds a field, trying first the one after the last: senders write fields in table order.
fn position_after(def: &EntityDef, last: Option<usize>, name: &str) -> Option<usize> {
    let next = last.map_or(0, |last| last + 1);
    let (head, tail) = def.fields.split_at(next.min(def.fields.len()));
    let found = tail.iter().position(|field| field.name == name).map(|at| at + head.len());
    found.or_else(|| head.iter().position(|field| field.name == name))
}

fn read_field_bases(input: &mut Decoder<'_>, def: &EntityDef) -> Result<Vec<(usize, u64)>, Malformed> {
    let count = bounded(input.map()?, input)?;
    let mut bases = Vec::with_capacity(count);
    for _ in 0..count {
        let position = def.position(input.str()?);
        let seq = input.u64()?;
        bases.extend(position.map(|at| (at, seq)));
    }
    Ok(bases)
}

type Fields = (Patch, Vec<(String, Vec<u8>)>);

fn read_fields(input: &mut Decoder<'_>, def: &EntityDef) -> Result<Fields, Malformed> {
    let count = bounded(input.map()?, input)?;
    let mut patch = Patch::with_capacity(count);
    let mut unknown = Vec::new();
    for _ in 0..count {
        let name = input.str()?;
        match position_after(def, patch.last().map(|(at, _)| *at), name) {
            Some(at) => patch.push((at, read_value(input, def.fields[at].field_type)?)),
            None => {
                let start = input.position();
                input.skip()?;
                unknown.push((name.to_owned(), input.input()[start..input.position()].to_vec()));
            }
        }
    }
    Ok((patch, unknown))
}

fn read_optional<'b, T>(
    input: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    if input.datatype()? == minicbor::data::Type::Null {
        input.null()?;
        return Ok(None);
    }
    read(input).map(Some)
}

/// The hash of a mutation and of all before it: 128 bits of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainHash(#[serde(with = "crate::bytes16")] pub [u8; 16]);

impl ChainHash {
    /// The hash before the first mutation.
    pub const START: Self = Self([0; 16]);

    /// Returns the hash after one more mutation.
    pub fn then(self, payload: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(self.0).chain_update(payload).finalize();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self(hash)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn mutation() -> Mutation {
        Mutation {
            no: 7,
            op: Op::Patch,
            kind: EntityKind::Finding,
            row_id: Uuid::from_u128(1),
            author: UserId(Uuid::from_u128(2)),
            captured_at: Timestamp(1_711_966_205_120),
            uptime_ms: 5_000,
            base_seq: 42,
            field_bases: vec![(4, 40)],
            patch: vec![(3, Value::Text("MAJOR".to_owned())), (4, Value::Text("Panoul lipsește".to_owned()))],
            group: None,
            reason: Some("greșeală de tastare".to_owned()),
            unknown: vec![("mood".to_owned(), vec![0x63, b'b', b'a', b'd'])],
        }
    }

    #[test]
    fn encoding_and_decoding_keep_everything_even_unknown_fields() {
        let original = mutation();
        let decoded = Mutation::decode(&original.encode()).unwrap();
        assert_eq!(decoded, original);
        assert_eq!(decoded.encode(), original.encode());
        assert_eq!((decoded.base_of(4), decoded.base_of(3)), (40, 42));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = mutation().encode();
        for length in 0..bytes.len() {
            assert!(Mutation::decode(&bytes[..length]).is_err(), "{length} bytes were accepted");
        }
    }

    #[test]
    fn the_chain_tells_content_and_order_apart() {
        let (a, b) = (b"a".as_slice(), b"b".as_slice());
        assert_ne!(ChainHash::START.then(a).then(b), ChainHash::START.then(b).then(a));
        assert_ne!(ChainHash::START.then(a), ChainHash::START.then(b));
    }
}
