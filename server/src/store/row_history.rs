//! What happened to rows after the numbers that someone had seen of them: who changed which fields, and what is deleted.

use std::collections::BTreeMap;

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch::empty_row;
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use super::mutations::Outbox;
use super::{Conn, Record, Sql, StoreError};

/// Who changed which fields of a row after a number.
#[derive(Clone, Debug)]
pub struct FieldChange {
    /// The row.
    pub row_id: Uuid,
    /// When.
    pub seq: u64,
    /// The fields with their values before; empty for the creation of the row, which sets all of them.
    pub old: BTreeMap<String, Value>,
    /// From which outbox; `None` in the office or by another writer.
    pub outbox: Option<Outbox>,
    /// The last number of that outbox which the commit took. Where only a part of the commit is known to the sender:
    /// the last one that touched the row.
    pub no: u64,
    /// Who.
    pub actor: Option<Uuid>,
    /// Whether the commit left the rows as that device shows them.
    pub is_verbatim: bool,
    /// By which names that device changed the row: its own, or those of rows that were merged into it.
    pub names: Vec<Uuid>,
}

/// What a commit did to a row, and what was held before and is in it.
pub type Committed = (FieldChange, Vec<Released>);

/// Returns what happened to rows after the numbers that a sender had seen of them, oldest first, the creation of a row
/// before what the same commit changed of it. `earlier` are incarnations of which the sender knows the numbers up to one.
pub async fn changes_since(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    bases: &[(Uuid, u64)],
    earlier: &[(Uuid, u64)],
) -> Result<Vec<Committed>, StoreError> {
    // What was changed under the name of a merged row is not what its device shows, so that only other commits than
    // verbatim ones hold it. A row that was brought back after its deletion was forgotten has a number of its own, which
    // is no creation to someone who has seen it: who brought it back did not write what it says.
    const CHANGES: &str = "\
        SELECT c.row_id, c.seq, c.fields, s.device_id, s.actor_id, coalesce(s.verbatim, false), s.incarnation, \
            coalesce(CASE \
                WHEN e.upto_no >= s.first_no AND e.upto_no < s.last_no THEN (SELECT max(t.no) FROM mutation t \
                    WHERE t.programme_id = $1 AND t.device_id = s.device_id AND t.incarnation = s.incarnation \
                      AND t.no BETWEEN s.first_no AND s.last_no AND t.kind = $2::int AND t.row_id = c.row_id) \
                END, s.last_no, 0), \
            CASE WHEN NOT s.verbatim AND EXISTS ( \
                SELECT FROM merge_proposal p WHERE p.programme_id = $1 AND p.survivor_id = c.row_id \
            ) THEN (SELECT jsonb_agg(DISTINCT t.row_id) FROM mutation_line t \
                    WHERE t.programme_id = $1 AND t.device_id = s.device_id AND t.incarnation = s.incarnation \
                      AND t.no BETWEEN s.first_no AND s.last_no AND t.kind = $2::int \
                      AND (t.row_id = c.row_id OR EXISTS (SELECT FROM merge_proposal p \
                           WHERE p.programme_id = $1 AND p.alias_id = t.row_id AND p.survivor_id = c.row_id))) \
            END, \
            m.device_id, m.incarnation, m.no, m.author_id, m.payload \
        FROM ( \
            SELECT c.row_id, c.seq, c.old AS fields \
            FROM unnest($3::uuid[], $4::bigint[]) AS b(row_id, seq) \
            JOIN change_log c ON c.programme_id = $1 AND c.kind = $2::int AND c.row_id = b.row_id AND c.seq > b.seq \
            WHERE c.operation = 'U' \
            UNION ALL \
            SELECT h.row_id, h.created_seq, '{}'::jsonb \
            FROM unnest($3::uuid[], $4::bigint[]) AS b(row_id, seq) \
            JOIN sync_head h ON h.programme_id = $1 AND h.kind = $2::int AND h.row_id = b.row_id AND h.created_seq > b.seq \
            WHERE b.seq = 0 OR NOT EXISTS (SELECT FROM change_log d WHERE d.programme_id = $1 AND d.kind = $2::int \
                AND d.row_id = h.row_id AND d.seq <= h.created_seq AND d.operation = 'D') \
        ) c \
        LEFT JOIN seal_log s ON s.programme_id = $1 AND s.seq = c.seq \
        LEFT JOIN unnest($5::uuid[], $6::bigint[]) AS e(incarnation, upto_no) ON e.incarnation = s.incarnation \
        LEFT JOIN LATERAL ( \
            SELECT m.device_id, m.incarnation, m.no, m.author_id, m.payload, m.received_at FROM mutation_line m \
            WHERE m.programme_id = $1 AND m.row_id = c.row_id AND m.applied_seq = c.seq AND m.outcome IN ('A', 'M', 'C') \
            ORDER BY m.received_at, m.no) m ON true \
        ORDER BY c.seq, c.row_id, c.fields <> '{}'::jsonb, m.received_at, m.no";
    let sql = Sql::new(CHANGES)
        .bind(programme)
        .bind(i32::from(kind.number()))
        .bind(bases.iter().map(|base| base.0).collect::<Vec<_>>())
        .bind(bases.iter().map(|base| base.1 as i64).collect::<Vec<_>>())
        .bind(earlier.iter().map(|earlier| earlier.0).collect::<Vec<_>>())
        .bind(earlier.iter().map(|earlier| earlier.1 as i64).collect::<Vec<_>>());
    let mut found: Vec<Committed> = Vec::new();
    for record in conn.query(sql).await? {
        let change = change_of(programme, kind, &record)?;
        let is_same = |(last, _): &&mut Committed| {
            (last.row_id, last.seq, last.old.is_empty()) == (change.row_id, change.seq, change.old.is_empty())
        };
        let released = released_of(programme, kind, &record)?;
        match found.last_mut().filter(is_same) {
            Some((_, others)) => others.extend(released),
            None => found.push((change, released.into_iter().collect())),
        }
    }
    Ok(found)
}

/// Reads what the commit as a whole did to a row.
fn change_of(programme: Uuid, kind: EntityKind, record: &Record) -> Result<FieldChange, StoreError> {
    let outbox = record.opt_uuid(3)?.zip(record.opt_uuid(6)?);
    let (row_id, names) = (record.uuid(0)?, record.opt_json(8)?);
    Ok(FieldChange {
        row_id,
        seq: record.int(1)? as u64,
        old: values_of(kind, &record.json(2)?),
        outbox: outbox.map(|(device, incarnation)| Outbox { programme, device, incarnation }),
        no: record.int(7)? as u64,
        actor: record.opt_uuid(4)?,
        is_verbatim: record.bool(5)?,
        names: names.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_else(|| vec![row_id]),
    })
}

fn released_of(programme: Uuid, kind: EntityKind, record: &Record) -> Result<Option<Released>, StoreError> {
    let (Some(device), Some(incarnation)) = (record.opt_uuid(9)?, record.opt_uuid(10)?) else { return Ok(None) };
    let outbox = Outbox { programme, device, incarnation };
    let (is_creation, values) = record.opt_bytes(13)?.map(|payload| told_by(kind, &payload)).unwrap_or_default();
    Ok(Some(Released { outbox, no: record.int(11)? as u64, author: record.uuid(12)?, is_creation, values }))
}

/// Returns whether a mutation creates its row, and what it sets.
pub fn told_by(kind: EntityKind, payload: &[u8]) -> (bool, BTreeMap<&'static str, Value>) {
    let Ok(mutation) = Mutation::decode(payload) else { return Default::default() };
    let named = |(at, value): (usize, Value)| kind.def().fields.get(at).map(|field| (field.name, value));
    (mutation.op == Op::Put, mutation.patch.into_iter().filter_map(named).collect())
}

/// A mutation that was held, and that another commit applied.
#[derive(Clone, Debug)]
pub struct Released {
    /// From which outbox.
    pub outbox: Outbox,
    /// Its number.
    pub no: u64,
    /// Who.
    pub author: Uuid,
    /// Whether it creates its row.
    pub is_creation: bool,
    /// What it set, by the names of the fields.
    pub values: BTreeMap<&'static str, Value>,
}

/// Reads the values of a row or of a part of it, as Postgres writes them.
fn values_of(kind: EntityKind, json: &str) -> BTreeMap<String, Value> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let typed = fields.into_iter().filter_map(|(name, json)| {
        // Postgres writes exact numbers as numbers.
        let json = if json.is_number() { json.to_string().into() } else { json };
        let field_type = kind.def().field(&name)?.field_type;
        let value = match field_type {
            FieldType::Int => Value::Int(json.as_str()?.parse().ok()?),
            _ => Value::from_json(field_type, &json)?,
        };
        Some((name, value))
    });
    typed.collect()
}

/// A row that was deleted.
#[derive(Clone, Debug)]
pub struct Grave {
    /// The row as it was.
    pub row: Row,
    /// When it was deleted.
    pub seq: u64,
    /// Who deleted it.
    pub actor: Option<Uuid>,
}

/// Returns which of the rows were deleted, as they were.
pub async fn graves(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    ids: &[Uuid],
) -> Result<Vec<Grave>, StoreError> {
    const GRAVES: &str = "SELECT DISTINCT ON (c.row_id) c.row_id, c.seq, c.old, s.actor_id \
        FROM change_log c LEFT JOIN seal_log s ON s.programme_id = $1 AND s.seq = c.seq \
        WHERE c.programme_id = $1 AND c.kind = $2::int AND c.row_id = ANY($3) AND c.operation = 'D' \
        ORDER BY c.row_id, c.seq DESC, c.part DESC";
    let sql = Sql::new(GRAVES).bind(programme).bind(i32::from(kind.number())).bind(ids);
    let records = conn.query(sql).await?;
    records
        .iter()
        .map(|record| {
            let (mut row, mut old) = (empty_row(kind.def(), record.uuid(0)?), values_of(kind, &record.json(2)?));
            for (field, value) in kind.def().fields.iter().zip(&mut row.values) {
                *value = old.remove(field.name).unwrap_or(Value::Null);
            }
            Ok(Grave { row, seq: record.int(1)? as u64, actor: record.opt_uuid(3)? })
        })
        .collect()
}
