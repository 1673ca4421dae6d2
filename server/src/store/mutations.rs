//! Mutations and their results, and what is known of the devices that send them.

use std::collections::BTreeMap;

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::patch::empty_row;
use sync_protocol::time::Timestamp;
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use super::log::chain_of;
use super::{Conn, Sql, StoreError, Tx};

/// Whose outbox a mutation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// The programme.
    pub programme: Uuid,
    /// The device; nil for the office.
    pub device: Uuid,
    /// The incarnation; for the office the client's mutation id.
    pub incarnation: Uuid,
}

/// A mutation with its result, as it is kept.
#[derive(Clone, Debug)]
pub struct MutationRecord {
    /// The number.
    pub no: u64,
    /// The chain up to it.
    pub hash: ChainHash,
    /// The number of the kind of row.
    pub kind: u16,
    /// The row.
    pub row_id: Uuid,
    /// Who made it.
    pub author_id: Uuid,
    /// When, by the device's clock.
    pub captured_at: Timestamp,
    /// When the server received it.
    pub received_at: Timestamp,
    /// `A` applied, `M` merged, `C` conflict, `H` held, `R` rejected.
    pub outcome: char,
    /// The details as JSON, when it was not simply applied.
    pub result: Option<String>,
    /// The bytes, when the row as created does not say it all.
    pub payload: Option<Vec<u8>>,
}

/// The result of a mutation that was sent before.
#[derive(Clone, Debug)]
pub struct PastResult {
    /// The number.
    pub no: u64,
    /// The chain up to it.
    pub hash: ChainHash,
    /// The details as JSON.
    pub result: Option<String>,
    /// The commit that applied it; 0 when none did.
    pub seq: u64,
    /// Whether that commit left the rows as the device shows them.
    pub verbatim: bool,
}

/// Locks the state of an outbox, so that one device pushes at a time, and returns its last number and hash.
pub async fn lock_outbox(tx: &mut Tx, outbox: &Outbox) -> Result<(u64, ChainHash), StoreError> {
    const LOCK: &str = "INSERT INTO device_state AS d (programme_id, device_id, incarnation, last_no, last_hash) \
         VALUES ($1, $2, $3, 0, $4) \
         ON CONFLICT (programme_id, device_id, incarnation) DO UPDATE SET last_no = d.last_no \
         RETURNING last_no, last_hash";
    let sql = Sql::new(LOCK).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    let found = tx.query_opt(sql.bind(ChainHash::START.0.as_slice())).await?;
    found.map_or(Ok((0, ChainHash::START)), |record| Ok((record.int(0)? as u64, chain_of(&record.bytes(1)?))))
}

/// Reads the state of an outbox without locking it.
pub async fn outbox_state(conn: &mut Conn, outbox: &Outbox) -> Result<(u64, ChainHash), StoreError> {
    const STATE: &str = "SELECT last_no, last_hash FROM device_state \
         WHERE programme_id = $1 AND device_id = $2 AND incarnation = $3";
    let sql = Sql::new(STATE).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    let found = conn.query_opt(sql).await?;
    found.map_or(Ok((0, ChainHash::START)), |record| Ok((record.int(0)? as u64, chain_of(&record.bytes(1)?))))
}

/// Moves the state of an outbox that this transaction holds locked.
pub async fn advance_outbox(tx: &mut Tx, outbox: &Outbox, no: u64, hash: ChainHash) -> Result<(), StoreError> {
    const ADVANCE: &str = "UPDATE device_state SET last_no = $4, last_hash = $5 \
         WHERE programme_id = $1 AND device_id = $2 AND incarnation = $3";
    let sql = Sql::new(ADVANCE).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    tx.execute(sql.bind(no as i64).bind(hash.0.as_slice())).await?;
    Ok(())
}

/// Returns the results of mutations `first..=last` that were received before.
pub async fn past_results(
    conn: &mut Conn,
    outbox: &Outbox,
    first: u64,
    last: u64,
) -> Result<Vec<PastResult>, StoreError> {
    const PAST: &str = "SELECT m.no, m.hash, m.result, coalesce(m.applied_seq, s.seq, 0), coalesce(s.verbatim, false) \
         FROM ( \
             SELECT no, hash, result, applied_seq FROM mutation_line \
             WHERE programme_id = $1 AND device_id = $2 AND incarnation = $3 AND no BETWEEN $4 AND $5 \
             UNION ALL \
             SELECT n.no, substr(r.hashes, (n.no - r.first_no)::int * 16 + 1, 16), NULL, NULL FROM mutation_run r \
             CROSS JOIN LATERAL generate_series(greatest($4, r.first_no), least($5, r.last_no)) AS n(no) \
             WHERE r.programme_id = $1 AND r.device_id = $2 AND r.incarnation = $3 \
               AND r.last_no >= $4 AND r.first_no <= $5 \
         ) m \
         LEFT JOIN seal_log s ON s.programme_id = $1 AND s.device_id = $2 AND s.incarnation = $3 \
              AND m.no BETWEEN s.first_no AND s.last_no \
         ORDER BY m.no";
    let sql = Sql::new(PAST).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    let records = conn.query(sql.bind(first as i64).bind(last as i64)).await?;
    records
        .iter()
        .map(|record| {
            Ok(PastResult {
                no: record.int(0)? as u64,
                hash: chain_of(&record.bytes(1)?),
                result: record.opt_json(2)?,
                seq: record.int(3)? as u64,
                verbatim: record.bool(4)?,
            })
        })
        .collect()
}

/// So many mutations in a row make a run.
const RUN_MIN: usize = 8;

/// Keeps mutations with their results: runs of those that were simply applied in one line each.
pub async fn record(tx: &mut Tx, outbox: &Outbox, records: &[MutationRecord]) -> Result<(), StoreError> {
    let mut lines = Vec::new();
    for chunk in records.chunk_by(|a, b| a.is_plain() && b.is_plain() && a.author_id == b.author_id) {
        match chunk {
            [first, .., last] if first.is_plain() && chunk.len() >= RUN_MIN => {
                record_run(tx, outbox, chunk, (first, last)).await?;
            }
            _ => lines.extend(chunk),
        }
    }
    if lines.is_empty() { Ok(()) } else { record_lines(tx, outbox, &lines).await }
}

impl MutationRecord {
    /// Returns whether the row as created says everything else about it.
    fn is_plain(&self) -> bool {
        self.outcome == 'A' && self.result.is_none() && self.payload.is_none()
    }
}

async fn record_run(
    tx: &mut Tx,
    outbox: &Outbox,
    run: &[MutationRecord],
    (first, last): (&MutationRecord, &MutationRecord),
) -> Result<(), StoreError> {
    const RECORD: &str = "INSERT INTO mutation_run (programme_id, device_id, incarnation, first_no, last_no, \
             author_id, received_at, hashes, kinds, row_ids, captured_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::int[]::smallint[], $10, $11)";
    let sql = Sql::new(RECORD)
        .bind(outbox.programme)
        .bind(outbox.device)
        .bind(outbox.incarnation)
        .bind(first.no as i64)
        .bind(last.no as i64)
        .bind(first.author_id)
        .bind(first.received_at)
        .bind(run.iter().flat_map(|r| r.hash.0).collect::<Vec<u8>>())
        .bind(run.iter().map(|r| i32::from(r.kind)).collect::<Vec<_>>())
        .bind(run.iter().map(|r| r.row_id).collect::<Vec<_>>())
        .bind(run.iter().map(|r| r.captured_at).collect::<Vec<_>>());
    tx.execute(sql).await?;
    Ok(())
}

async fn record_lines(tx: &mut Tx, outbox: &Outbox, records: &[&MutationRecord]) -> Result<(), StoreError> {
    const RECORD: &str = "INSERT INTO mutation_line (programme_id, device_id, incarnation, no, hash, kind, row_id, \
             author_id, captured_at, received_at, outcome, result, payload) \
         SELECT $1, $2, $3, unnest($4::bigint[]), unnest($5::bytea[]), unnest($6::int[]), unnest($7::uuid[]), \
             unnest($8::uuid[]), unnest($9::timestamptz[]), unnest($10::timestamptz[]), \
             unnest($11::text[])::\"char\", unnest($12::text[])::jsonb, unnest($13::bytea[])";
    let sql = Sql::new(RECORD)
        .bind(outbox.programme)
        .bind(outbox.device)
        .bind(outbox.incarnation)
        .bind(records.iter().map(|r| r.no as i64).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.hash.0.to_vec()).collect::<Vec<_>>())
        .bind(records.iter().map(|r| i32::from(r.kind)).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.row_id).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.author_id).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.captured_at).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.received_at).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.outcome.to_string()).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.result.clone()).collect::<Vec<_>>())
        .bind(super::Bind::ByteArrays(records.iter().map(|r| r.payload.clone()).collect()));
    tx.execute(sql).await?;
    Ok(())
}

/// A mutation that the server keeps until something else happens.
#[derive(Clone, Debug)]
pub struct HeldMutation {
    /// Whose outbox it came from.
    pub outbox: Outbox,
    /// Its number.
    pub no: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The held item that shows it to people.
    pub held_item_id: Uuid,
    /// The row that it waited for.
    pub waits_for_id: Option<Uuid>,
    /// Since when.
    pub held_at: Timestamp,
    /// The server's clock minus the device's when it was sent, to the second.
    pub clock_offset_ms: i64,
    /// When it was captured, by the server's clock; `None` when nobody can tell.
    pub corrected_at: Option<Timestamp>,
}

/// Returns the mutations that wait for one of the rows, oldest first, and locks them.
pub async fn held_for(tx: &mut Tx, programme: Uuid, rows: &[Uuid]) -> Result<Vec<HeldMutation>, StoreError> {
    const HELD: &str = "SELECT m.device_id, m.incarnation, m.no, m.payload, h.id, h.waits_for_id, h.held_at, \
             h.clock_offset_s, h.corrected_at \
         FROM held_item h \
         JOIN mutation_line m ON m.programme_id = h.programme_id AND m.device_id = h.device_id \
              AND m.incarnation = h.incarnation AND m.no = h.mutation_no \
         WHERE h.programme_id = $1 AND h.waits_for_id = ANY($2) AND h.state = 'HELD' AND m.payload IS NOT NULL \
         ORDER BY m.received_at, m.device_id, m.no FOR UPDATE";
    held(programme, &tx.query(Sql::new(HELD).bind(programme).bind(rows)).await?)
}

/// Returns the mutations of an outbox with numbers `first..=last` that are held, in order, and locks them.
pub async fn held_between(
    tx: &mut Tx,
    outbox: &Outbox,
    first: u64,
    last: u64,
) -> Result<Vec<HeldMutation>, StoreError> {
    const HELD: &str = "SELECT m.device_id, m.incarnation, m.no, m.payload, h.id, h.waits_for_id, h.held_at, \
             h.clock_offset_s, h.corrected_at \
         FROM mutation_line m \
         JOIN held_item h ON h.programme_id = m.programme_id AND h.author_id = m.author_id \
              AND h.device_id = m.device_id AND h.incarnation = m.incarnation AND h.mutation_no = m.no \
         WHERE m.programme_id = $1 AND m.device_id = $2 AND m.incarnation = $3 AND m.no BETWEEN $4 AND $5 \
              AND h.state = 'HELD' AND m.payload IS NOT NULL \
         ORDER BY m.no FOR UPDATE";
    let sql = Sql::new(HELD).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    held(outbox.programme, &tx.query(sql.bind(first as i64).bind(last as i64)).await?)
}

/// Returns what was changed of the row of a held mutation since, from the same outbox.
pub async fn later_changes(
    conn: &mut Conn,
    held: &HeldMutation,
    kind: EntityKind,
    row: Uuid,
) -> Result<Vec<Mutation>, StoreError> {
    const LATER: &str = "SELECT payload FROM mutation_line \
         WHERE programme_id = $1 AND device_id = $2 AND kind = $3::int AND row_id = $4 \
             AND outcome IN ('A', 'M', 'C') AND payload IS NOT NULL AND incarnation = $5 AND no > $6";
    let outbox = &held.outbox;
    let sql = Sql::new(LATER).bind(outbox.programme).bind(outbox.device).bind(i32::from(kind.number())).bind(row);
    let records = conn.query(sql.bind(outbox.incarnation).bind(held.no as i64)).await?;
    let mut later = Vec::with_capacity(records.len());
    for record in records {
        later.extend(Mutation::decode(&record.bytes(0)?).ok());
    }
    Ok(later)
}

fn held(programme: Uuid, records: &[super::Record]) -> Result<Vec<HeldMutation>, StoreError> {
    records
        .iter()
        .map(|record| {
            let outbox = Outbox { programme, device: record.uuid(0)?, incarnation: record.uuid(1)? };
            Ok(HeldMutation {
                outbox,
                no: record.int(2)? as u64,
                payload: record.bytes(3)?,
                held_item_id: record.uuid(4)?,
                waits_for_id: record.opt_uuid(5)?,
                held_at: record.timestamp(6)?,
                clock_offset_ms: record.opt_int(7)?.unwrap_or(0) * 1_000,
                corrected_at: record.opt_timestamp(8)?,
            })
        })
        .collect()
}

/// Notes that a mutation that was held has now another outcome, in the commit `seq`.
pub async fn settle_held(
    tx: &mut Tx,
    held: &HeldMutation,
    outcome: char,
    result: Option<String>,
    seq: u64,
) -> Result<(), StoreError> {
    const SETTLE: &str = "UPDATE mutation_line SET outcome = $5::text::\"char\", result = $6::text::jsonb, applied_seq = $7 \
         WHERE programme_id = $1 AND device_id = $2 AND incarnation = $3 AND no = $4";
    let outbox = &held.outbox;
    let sql = Sql::new(SETTLE).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    tx.execute(sql.bind(held.no as i64).bind(outcome.to_string()).bind(result).bind(seq as i64)).await?;
    Ok(())
}

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

/// Returns what happened to rows after the numbers that a sender had seen of them. `earlier` are incarnations of which
/// the sender knows the numbers up to one.
pub async fn changes_since(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    bases: &[(Uuid, u64)],
    earlier: &[(Uuid, u64)],
) -> Result<Vec<FieldChange>, StoreError> {
    // What was held before it was applied is the change of its author, whoever released it. What was changed under the
    // name of a merged row is not what its device shows, so that only other commits than verbatim ones hold it.
    const CHANGES: &str = "\
        SELECT c.row_id, c.seq, c.fields, coalesce(m.device_id, s.device_id), coalesce(m.author_id, s.actor_id), \
            coalesce(s.verbatim, false), coalesce(m.incarnation, s.incarnation), coalesce(m.no, CASE \
                WHEN e.upto_no >= s.first_no AND e.upto_no < s.last_no THEN (SELECT max(t.no) FROM mutation t \
                    WHERE t.programme_id = $1 AND t.device_id = s.device_id AND t.incarnation = s.incarnation \
                      AND t.no BETWEEN s.first_no AND s.last_no AND t.kind = $2::int AND t.row_id = c.row_id) \
                END, s.last_no, 0), \
            CASE WHEN NOT s.verbatim AND m.no IS NULL AND EXISTS ( \
                SELECT FROM merge_proposal p WHERE p.programme_id = $1 AND p.survivor_id = c.row_id \
            ) THEN (SELECT jsonb_agg(DISTINCT t.row_id) FROM mutation_line t \
                    WHERE t.programme_id = $1 AND t.device_id = s.device_id AND t.incarnation = s.incarnation \
                      AND t.no BETWEEN s.first_no AND s.last_no AND t.kind = $2::int \
                      AND (t.row_id = c.row_id OR EXISTS (SELECT FROM merge_proposal p \
                           WHERE p.programme_id = $1 AND p.alias_id = t.row_id AND p.survivor_id = c.row_id))) \
            END \
        FROM ( \
            SELECT c.row_id, c.seq, c.old AS fields \
            FROM unnest($3::uuid[], $4::bigint[]) AS b(row_id, seq) \
            JOIN change_log c ON c.programme_id = $1 AND c.kind = $2::int AND c.row_id = b.row_id AND c.seq > b.seq \
            WHERE c.operation = 'U' \
            UNION ALL \
            SELECT h.row_id, h.created_seq, '{}'::jsonb \
            FROM unnest($3::uuid[], $4::bigint[]) AS b(row_id, seq) \
            JOIN sync_head h ON h.programme_id = $1 AND h.kind = $2::int AND h.row_id = b.row_id AND h.created_seq > b.seq \
        ) c \
        LEFT JOIN seal_log s ON s.programme_id = $1 AND s.seq = c.seq \
        LEFT JOIN unnest($5::uuid[], $6::bigint[]) AS e(incarnation, upto_no) ON e.incarnation = s.incarnation \
        LEFT JOIN LATERAL ( \
            SELECT m.device_id, m.incarnation, m.no, m.author_id FROM mutation_line m \
            WHERE m.programme_id = $1 AND m.row_id = c.row_id AND m.applied_seq = c.seq \
            ORDER BY m.received_at, m.no LIMIT 1) m ON true \
        ORDER BY 2";
    let sql = Sql::new(CHANGES)
        .bind(programme)
        .bind(i32::from(kind.number()))
        .bind(bases.iter().map(|base| base.0).collect::<Vec<_>>())
        .bind(bases.iter().map(|base| base.1 as i64).collect::<Vec<_>>())
        .bind(earlier.iter().map(|earlier| earlier.0).collect::<Vec<_>>())
        .bind(earlier.iter().map(|earlier| earlier.1 as i64).collect::<Vec<_>>());
    let records = conn.query(sql).await?;
    records
        .iter()
        .map(|record| {
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
        })
        .collect()
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

/// Returns the changes by which devices would have created rows and which were refused.
pub async fn refused_creations(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    ids: &[Uuid],
) -> Result<Vec<Mutation>, StoreError> {
    const REFUSED: &str = "SELECT payload FROM mutation_line \
        WHERE programme_id = $1 AND row_id = ANY($2) AND kind = $3::int AND outcome = 'R' AND payload IS NOT NULL";
    let sql = Sql::new(REFUSED).bind(programme).bind(ids).bind(i32::from(kind.number()));
    let mut refused = Vec::new();
    for record in conn.query(sql).await? {
        refused.extend(Mutation::decode(&record.bytes(0)?).ok().filter(|mutation| mutation.op == Op::Put));
    }
    Ok(refused)
}

/// Gives the rows of this transaction their number, as the last statement before the commit.
pub async fn seal(
    tx: &mut Tx,
    outbox: &Outbox,
    actor: Uuid,
    numbers: Option<(u64, u64)>,
    verbatim: bool,
) -> Result<u64, StoreError> {
    let device = (!outbox.device.is_nil()).then_some(outbox.device);
    let number = |no: Option<u64>| super::Bind::OptBigInt(no.map(|no| no as i64));
    let taking = tx.meters().seal.start_timer();
    let sql = Sql::new("SELECT sync_seal($1, $2, $3, $4, $5, $6)")
        .bind(actor)
        .bind(device)
        .bind(outbox.incarnation)
        .bind(number(numbers.map(|numbers| numbers.0)))
        .bind(number(numbers.map(|numbers| numbers.1)))
        .bind(verbatim);
    let sealed = tx.query_opt(sql).await?;
    taking.observe_duration();
    sealed.map_or(Ok(0), |record| Ok(record.int(0)? as u64))
}
