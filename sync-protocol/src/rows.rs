//! Rows on the wire: one header that names the columns, then the values column by column.
//!
//! Columns are named, so that a receiver of another version takes those it knows and keeps the others. Values
//! of one column stand together, which compresses better than row by row.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use uuid::Uuid;

use crate::cbor::{Malformed, bounded, read_uuid, read_value, write_value, written};
use crate::entity::{EntityKind, Row};
use crate::value::{FieldType, Value};

/// A row with the number of its last change.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionedRow {
    /// The number of the last change.
    pub seq: u64,
    /// The row.
    pub row: Row,
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The kind; `None` for one of a newer version, whose rows cannot be read.
    pub kind: Option<EntityKind>,
    /// The rows, with the values in the order of our field table.
    pub rows: Vec<VersionedRow>,
    /// Columns of a newer version: the name and, for each row, its CBOR.
    pub unknown: Vec<(String, Vec<Vec<u8>>)>,
}

/// Writes rows of one kind.
pub fn encode(kind: EntityKind, rows: &[VersionedRow]) -> Vec<u8> {
    let fields = kind.def().fields;
    let mut bytes = Vec::with_capacity(64 + rows.len() * fields.len() * 16);
    let mut out = Encoder::new(&mut bytes);
    written(out.array(4 + fields.len() as u64));
    written(out.u16(kind.number()));
    let ids: Vec<u8> = rows.iter().flat_map(|row| *row.row.id.as_bytes()).collect();
    written(out.bytes(&ids));
    written(out.array(rows.len() as u64));
    let mut last = 0;
    for row in rows {
        // Pages are ordered by number: differences are small.
        written(out.i64(row.seq as i64 - last));
        last = row.seq as i64;
    }
    written(out.array(fields.len() as u64));
    for field in fields {
        written(out.str(field.name));
    }
    for at in 0..fields.len() {
        if rows.iter().all(|row| row.row.values[at].is_null()) {
            written(out.null());
            continue;
        }
        written(out.array(rows.len() as u64));
        for row in rows {
            write_value(&mut out, &row.row.values[at]);
        }
    }
    bytes
}

/// Reads rows of one kind.
pub fn decode(bytes: &[u8]) -> Result<Rows, Malformed> {
    let mut input = Decoder::new(bytes);
    bounded(input.array()?, &input)?;
    let Some(kind) = EntityKind::from_number(input.u16()?) else {
        return Ok(Rows { kind: None, rows: Vec::new(), unknown: Vec::new() });
    };
    let fields = kind.def().fields;
    let mut rows = read_heads(&mut input, fields.len())?;
    let columns = bounded(input.array()?, &input)?;
    let names = (0..columns).map(|_| Ok(input.str()?.to_owned())).collect::<Result<Vec<_>, Malformed>>()?;
    let mut unknown = Vec::new();
    for name in names {
        match fields.iter().position(|field| field.name == name) {
            Some(at) => read_column(&mut input, fields[at].field_type, &mut rows, at)?,
            None => unknown.push((name, read_unknown_column(&mut input, rows.len())?)),
        }
    }
    Ok(Rows { kind: Some(kind), rows, unknown })
}

fn read_heads(input: &mut Decoder<'_>, fields: usize) -> Result<Vec<VersionedRow>, Malformed> {
    let ids = input.bytes()?;
    let count = bounded(input.array()?, input)?;
    if ids.len() != count * 16 {
        return Err(Malformed("as many identifiers as numbers are needed".to_owned()));
    }
    let mut seq = 0i64;
    let mut rows = Vec::with_capacity(count);
    for id in ids.chunks_exact(16) {
        seq = seq.saturating_add(input.i64()?);
        let id = Uuid::from_slice(id).unwrap_or_default();
        rows.push(VersionedRow { seq: seq.max(0) as u64, row: Row { id, values: vec![Value::Null; fields] } });
    }
    Ok(rows)
}

fn read_column(
    input: &mut Decoder<'_>,
    field_type: FieldType,
    rows: &mut [VersionedRow],
    at: usize,
) -> Result<(), Malformed> {
    if input.datatype()? == Type::Null {
        return Ok(input.null()?);
    }
    check_length(bounded(input.array()?, input)?, rows.len())?;
    for row in rows {
        row.row.values[at] = read_value(input, field_type)?;
    }
    Ok(())
}

fn read_unknown_column(input: &mut Decoder<'_>, rows: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    if input.datatype()? == Type::Null {
        input.null()?;
        return Ok(Vec::new());
    }
    check_length(bounded(input.array()?, input)?, rows)?;
    (0..rows)
        .map(|_| {
            let start = input.position();
            input.skip()?;
            Ok(input.input()[start..input.position()].to_vec())
        })
        .collect()
}

fn check_length(found: usize, expected: usize) -> Result<(), Malformed> {
    if found == expected { Ok(()) } else { Err(Malformed(format!("a column has {found} values for {expected} rows"))) }
}

/// Rows that a device must drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// For each row: its kind number, its identifier, and why.
    pub rows: Vec<(u16, Uuid, GoneReason)>,
}

/// Why a row is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// It was voided.
    Deleted,
    /// It moved to a scope that the device does not hold.
    Left,
}

impl Gone {
    /// Writes the rows.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.rows.len() * 22);
        let mut out = Encoder::new(&mut bytes);
        written(out.array(self.rows.len() as u64));
        for (kind, id, reason) in &self.rows {
            written(out.array(3));
            written(out.u16(*kind));
            written(out.bytes(id.as_bytes()));
            written(out.u8(match reason {
                GoneReason::Deleted => 0,
                GoneReason::Left => 1,
            }));
        }
        bytes
    }

    /// Reads the rows.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        let count = bounded(input.array()?, &input)?;
        let rows = (0..count).map(|_| {
            let elements = bounded(input.array()?, &input)?;
            let kind = input.u16()?;
            let id = read_uuid(&mut input)?;
            let reason = if input.u8()? == 0 { GoneReason::Deleted } else { GoneReason::Left };
            (3..elements).try_for_each(|_| input.skip())?;
            Ok((kind, id, reason))
        });
        rows.collect::<Result<_, Malformed>>().map(|rows| Self { rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<VersionedRow> {
        let fields = EntityKind::Finding.def().fields.len();
        (0..3u64)
            .map(|n| {
                let mut values = vec![Value::Null; fields];
                values[0] = Value::Uuid(Uuid::from_u128(9));
                values[4] = Value::Text(format!("constatarea {n}"));
                VersionedRow { seq: 100 + n / 2, row: Row { id: Uuid::from_u128(u128::from(n)), values } }
            })
            .collect()
    }

    #[test]
    fn rows_survive_the_wire() {
        let decoded = decode(&encode(EntityKind::Finding, &rows())).unwrap();
        assert_eq!(decoded.kind, Some(EntityKind::Finding));
        assert_eq!(decoded.rows, rows());
        assert!(decoded.unknown.is_empty());
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encode(EntityKind::Finding, &rows());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} of {} bytes were accepted", bytes.len());
        }
    }

    #[test]
    fn columns_of_a_newer_version_are_kept() {
        let mut bytes = Vec::new();
        let mut out = Encoder::new(&mut bytes);
        written(out.array(5));
        written(out.u16(EntityKind::Attendee.number()));
        written(out.bytes(&[7; 16]));
        written(out.array(1));
        written(out.i64(3));
        written(out.array(2));
        written(out.str("mood"));
        written(out.str("name"));
        written(out.array(1));
        written(out.str("good"));
        written(out.array(1));
        written(out.str("Rodica Ardelean"));
        let decoded = decode(&bytes).unwrap();
        let name = EntityKind::Attendee.def().position("name").unwrap();
        assert_eq!(decoded.rows[0].row.values[name], Value::Text("Rodica Ardelean".to_owned()));
        assert_eq!(decoded.unknown, [("mood".to_owned(), vec![vec![0x64, b'g', b'o', b'o', b'd']])]);
    }

    #[test]
    fn gone_rows_survive_the_wire() {
        let gone =
            Gone { rows: vec![(13, Uuid::from_u128(1), GoneReason::Deleted), (13, Uuid::max(), GoneReason::Left)] };
        assert_eq!(Gone::decode(&gone.encode()).unwrap(), gone);
    }
}
