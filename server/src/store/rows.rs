//! Rows of any entity, read and written in bulk by their field tables.
//!
//! The text of every statement is made once for each kind, out of static names; values travel as arrays. One
//! statement writes a whole batch: measured here, `unnest` writes 20 to 30 times as many rows a second as one
//! statement a row. It stands among what is selected, where the arrays are read side by side: in FROM, each of them
//! is first copied to a list of its own, which costs 1.2 µs for a row of 15 fields.

use std::sync::OnceLock;

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::EntityDef;
use sync_protocol::rows::VersionedRow;
use sync_protocol::time::Date;
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use super::{Bind, Conn, Record, Sql, StoreError, Tx};

/// A row as it is in the database.
#[derive(Clone, Debug)]
pub struct StoredRow {
    /// The row.
    pub row: Row,
    /// The number of its last change; 0 in the transaction that creates it.
    pub seq: u64,
}

/// The statements of one kind.
struct Statements {
    lock: String,
    load: String,
    read_page: String,
    insert: String,
    update: String,
    delete: String,
    existing: String,
}

/// Returns the statements of a kind, made at first use.
fn statements(kind: EntityKind) -> &'static Statements {
    static ALL: OnceLock<Vec<Statements>> = OnceLock::new();
    let all = ALL.get_or_init(|| EntityKind::ALL.iter().map(|kind| Statements::of(kind.def())).collect());
    // The list has one entry for each kind, in the order of `ALL`, which is that of the numbers from 1.
    &all[usize::from(kind.number()) - 1]
}

impl Statements {
    fn of(def: &EntityDef) -> Self {
        let table = format!("\"{}\"", def.name);
        let kind = def.kind.number();
        let columns = names(def, |field| format!("\"{field}\""));
        let selected = names(def, |field| format!("r.\"{field}\""));
        let assigned = names(def, |field| format!("\"{field}\" = u.\"{field}\""));
        let given: Vec<String> = (def.fields.iter().enumerate())
            .map(|(at, field)| unnested(at + 3, field.field_type) + &format!(" AS \"{}\"", field.name))
            .collect();
        let given = format!("unnest($2::uuid[]) AS id, {}", given.join(", "));
        // With a limit it stays one look-up for each identifier. `id = ANY` may be planned as a filter on everything
        // that the programme has, while the table is small or its size is not known, and such a plan is kept.
        let found = format!("SELECT * FROM {table} t WHERE t.programme_id = $1 AND t.id = k.id LIMIT 1");
        Self {
            lock: format!("SELECT r.id FROM unnest($2::uuid[]) AS k(id) CROSS JOIN LATERAL ({found} FOR UPDATE) r"),
            // The place in the log comes by subquery: a join may be planned as a scan of the whole log.
            load: format!(
                "SELECT (SELECT h.seq FROM sync_head h \
                     WHERE h.programme_id = $1 AND h.kind = {kind} AND h.row_id = r.id), r.id, {selected} \
                 FROM unnest($2::uuid[]) AS k(id) CROSS JOIN LATERAL ({found}) r"
            ),
            read_page: format!(
                "SELECT k.seq, r.id, {selected} FROM unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY k(id, seq, n) \
                 CROSS JOIN LATERAL ({found}) r ORDER BY k.n"
            ),
            insert: format!("INSERT INTO {table} (programme_id, id, {columns}) SELECT $1, {given}"),
            update: format!(
                "UPDATE {table} r SET {assigned} FROM (SELECT {given}) u WHERE r.programme_id = $1 AND r.id = u.id"
            ),
            delete: format!("DELETE FROM {table} WHERE programme_id = $1 AND id = ANY($2)"),
            existing: format!("SELECT r.id FROM unnest($2::uuid[]) AS k(id) CROSS JOIN LATERAL ({found}) r"),
        }
    }
}

fn names(def: &EntityDef, write: impl Fn(&str) -> String) -> String {
    def.fields.iter().map(|field| write(field.name)).collect::<Vec<_>>().join(", ")
}

/// The values of an array, one for each row; JSON travels as text.
fn unnested(placeholder: usize, field_type: FieldType) -> String {
    let array = match field_type {
        FieldType::Bool => "boolean",
        FieldType::Int => "integer",
        FieldType::Decimal => "numeric",
        FieldType::Text | FieldType::Code | FieldType::Json => "text",
        FieldType::Uuid => "uuid",
        FieldType::Date => "date",
        FieldType::Timestamp => "timestamptz",
    };
    let cast = if field_type == FieldType::Json { "::jsonb" } else { "" };
    format!("unnest(${placeholder}::{array}[]){cast}")
}

fn row_of(record: Record, id_at: usize) -> Result<Row, StoreError> {
    let id = record.uuid(id_at)?;
    Ok(Row { id, values: record.into_values(id_at + 1)? })
}

/// Locks rows until the transaction ends, in the order of their identifiers, and reads them.
///
/// Two statements: the second one sees what a writer committed while the first one waited for it. In one
/// statement the row would be new and its place in the log old, and the other writer's edit would go unnoticed.
pub async fn load_for_update(
    tx: &mut Tx,
    programme: Uuid,
    kind: EntityKind,
    ids: &[Uuid],
) -> Result<Vec<StoredRow>, StoreError> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let locked = tx.query(Sql::new(statements(kind).lock.as_str()).bind(programme).bind(ids)).await?;
    if locked.is_empty() {
        return Ok(Vec::new());
    }
    let ids = locked.iter().map(|record| record.uuid(0)).collect::<Result<Vec<_>, _>>()?;
    let records = tx.query(Sql::new(statements(kind).load.as_str()).bind(programme).bind(ids)).await?;
    records
        .into_iter()
        .map(|record| Ok(StoredRow { seq: record.opt_int(0)?.unwrap_or(0) as u64, row: row_of(record, 1)? }))
        .collect()
}

/// Reads the rows of a page, in the order of the page.
pub async fn read_page(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    entries: &[(Uuid, u64)],
) -> Result<Vec<VersionedRow>, StoreError> {
    let ids: Vec<Uuid> = entries.iter().map(|(id, _)| *id).collect();
    let seqs: Vec<i64> = entries.iter().map(|(_, seq)| *seq as i64).collect();
    let sql = Sql::new(statements(kind).read_page.as_str()).bind(programme).bind(ids).bind(seqs);
    let records = conn.query(sql).await?;
    records.into_iter().map(|record| Ok(VersionedRow { seq: record.int(0)? as u64, row: row_of(record, 1)? })).collect()
}

/// Returns which of the identifiers are rows of the kind.
pub async fn existing(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let sql = Sql::new(statements(kind).existing.as_str()).bind(programme).bind(ids);
    conn.query(sql).await?.iter().map(|record| record.uuid(0)).collect()
}

/// Returns the rows of a kind whose field `field` is one of `parents`.
pub async fn children(
    conn: &mut Conn,
    programme: Uuid,
    kind: EntityKind,
    field: &'static str,
    parents: &[Uuid],
) -> Result<Vec<Row>, StoreError> {
    let def = kind.def();
    let selected = names(def, |field| format!("\"{field}\""));
    let text = format!(
        "SELECT id, {selected} FROM \"{}\" WHERE programme_id = $1 AND \"{field}\" = ANY($2) ORDER BY id",
        def.name
    );
    let records = conn.query(Sql::new(text).bind(programme).bind(parents)).await?;
    records.into_iter().map(|record| row_of(record, 0)).collect()
}

/// Makes who registers something in one of the scopes wait for others that do, until the transaction ends. What they
/// have committed is seen by the next statement.
pub async fn lock_scopes(tx: &mut Tx, programme: Uuid, scopes: &[Uuid]) -> Result<(), StoreError> {
    // Sorted, so that two batches never wait for each other in a circle.
    const LOCK: &str = "SELECT count(pg_advisory_xact_lock(hashtextextended($1::uuid::text || k.id::text, 0))) \
         FROM (SELECT unnest($2::uuid[]) AS id ORDER BY 1) k";
    tx.query(Sql::new(LOCK).bind(programme).bind(scopes)).await?;
    Ok(())
}

/// Returns every reporting period when one of them overlaps the days `from..=until`, none otherwise, and keeps
/// those that do from being locked until the transaction ends.
///
/// Two statements, like [`load_for_update`]: the second one sees what was committed while the first one waited.
pub async fn periods(tx: &mut Tx, programme: Uuid, from: Date, until: Date) -> Result<Vec<Row>, StoreError> {
    const SHARE: &str = "SELECT id FROM reporting_period \
         WHERE programme_id = $1 AND from_on <= date '1970-01-01' + $3::int AND until_on >= date '1970-01-01' + $2::int \
         ORDER BY id FOR SHARE";
    // Years that Postgres knows.
    let [from, until] = [from, until].map(|day| day.0.clamp(-700_000, 2_000_000));
    if tx.query(Sql::new(SHARE).bind(programme).bind(from).bind(until)).await?.is_empty() {
        return Ok(Vec::new());
    }
    let def = EntityKind::ReportingPeriod.def();
    let selected = names(def, |field| format!("\"{field}\""));
    let text = format!("SELECT id, {selected} FROM reporting_period WHERE programme_id = $1 ORDER BY from_on, id");
    let records = tx.query(Sql::new(text).bind(programme)).await?;
    records.into_iter().map(|record| row_of(record, 0)).collect()
}

/// Creates rows. Fails with a constraint error when one exists.
pub async fn insert(conn: &mut Conn, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> Result<(), StoreError> {
    write_all(conn, &statements(kind).insert, programme, kind, rows).await
}

/// Replaces all fields of rows that are locked by this transaction.
pub async fn update(conn: &mut Conn, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> Result<(), StoreError> {
    write_all(conn, &statements(kind).update, programme, kind, rows).await
}

/// Deletes rows. Their place in the log stays, as a tombstone without content.
pub async fn delete(conn: &mut Conn, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Result<(), StoreError> {
    if !ids.is_empty() {
        conn.execute(Sql::new(statements(kind).delete.as_str()).bind(programme).bind(ids)).await?;
    }
    Ok(())
}

async fn write_all(
    conn: &mut Conn,
    statement: &str,
    programme: Uuid,
    kind: EntityKind,
    rows: &[&Row],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut sql = Sql::new(statement).bind(programme).bind(ids);
    for (at, field) in kind.def().fields.iter().enumerate() {
        let values = rows.iter().map(|row| row.values.get(at).unwrap_or(&Value::Null));
        sql = sql.bind(Bind::column(field.field_type, values));
    }
    conn.execute(sql).await?;
    Ok(())
}
