//! Mutations and their results, and what is known of the devices that send them.

use sync_protocol::entity::EntityKind;
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::time::Timestamp;
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

impl Outbox {
    /// Returns whose edits are shown where two phones set one field: those of the higher one. The order is arbitrary but
    /// the same for everyone.
    pub fn rank(&self) -> (Uuid, Uuid) {
        (self.device, self.incarnation)
    }
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

/// Returns what was changed of the row of a held mutation since, from the same outbox; `None` for a creation of it, of
/// which only the row tells.
pub async fn later_changes(
    conn: &mut Conn,
    held: &HeldMutation,
    kind: EntityKind,
    row: Uuid,
) -> Result<Vec<Option<Mutation>>, StoreError> {
    const LATER: &str = "SELECT payload FROM mutation_line \
         WHERE programme_id = $1 AND device_id = $2 AND kind = $3::int AND row_id = $4 \
             AND outcome IN ('A', 'M', 'C') AND incarnation = $5 AND no > $6 \
         UNION ALL SELECT NULL FROM mutation_run \
         WHERE programme_id = $1 AND device_id = $2 AND incarnation = $5 AND $4 = ANY(row_ids) \
             AND first_no + array_position(row_ids, $4) - 1 > $6";
    let outbox = &held.outbox;
    let sql = Sql::new(LATER).bind(outbox.programme).bind(outbox.device).bind(i32::from(kind.number())).bind(row);
    conn.query(sql.bind(outbox.incarnation).bind(held.no as i64)).await?.iter().map(said).collect()
}

/// Reads a mutation from the first column, as far as it is still kept what it said.
fn said(record: &super::Record) -> Result<Option<Mutation>, StoreError> {
    Ok(record.opt_bytes(0)?.and_then(|payload| Mutation::decode(&payload).ok()))
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
    let mut refused = all_said(&conn.query(sql).await?)?;
    refused.retain(|mutation| mutation.op == Op::Put);
    Ok(refused)
}

/// Returns every change of a kind that was refused, as far as it is still kept what it said. Few are refused.
pub async fn refused(conn: &mut Conn, programme: Uuid, kind: EntityKind) -> Result<Vec<Mutation>, StoreError> {
    const REFUSED: &str = "SELECT payload FROM mutation_line \
        WHERE programme_id = $1 AND kind = $2::int AND outcome = 'R' AND payload IS NOT NULL";
    let records = conn.query(Sql::new(REFUSED).bind(programme).bind(i32::from(kind.number()))).await?;
    all_said(&records)
}

fn all_said(records: &[super::Record]) -> Result<Vec<Mutation>, StoreError> {
    records.iter().filter_map(|record| said(record).transpose()).collect()
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
