//! What the parts can do by themselves, with the same rows and the same settings.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::types::{ToSqlOutput, Value as Sqlite};
use rusqlite::{Connection, Statement, ToSql};
use server::store::{Bind, Db, Sql};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::EntityDef;
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use super::measure::rate;

/// Rows of one transaction, as many as a page of the sync.
const PAGE_ROWS: usize = 2_000;
const KIND: EntityKind = EntityKind::FollowUpAction;

/// Returns rows a second of a bulk upsert into an encrypted SQLite table like the client's.
pub(crate) fn sqlite_bulk(folder: &Path, rows: &[Row]) -> Result<f64> {
    let mut conn = open(&folder.join("limit-bulk.db"), "NORMAL")?;
    conn.execute_batch("PRAGMA cache_size = -12288; PRAGMA wal_autocheckpoint = 4000;")?;
    let sql = make_table(&conn, KIND.def())?;
    let start = Instant::now();
    for page in rows.chunks(PAGE_ROWS) {
        let tx = conn.transaction()?;
        {
            let mut upsert = tx.prepare_cached(&sql)?;
            for row in page {
                write(&mut upsert, row)?;
            }
        }
        tx.commit()?;
    }
    Ok(rate(rows.len(), start.elapsed()))
}

/// One-row commits into an encrypted SQLite file with `synchronous = FULL`, in blocks: the disk's rate moves from
/// second to second, so that the two sides of the comparison must take turns.
pub(crate) struct RawCommits {
    conn: Connection,
    upsert: String,
    rows: usize,
    spent: Duration,
}

impl RawCommits {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let conn = open(&folder.join("limit-commits.db"), "FULL")?;
        conn.execute_batch("PRAGMA secure_delete = ON; PRAGMA cache_size = -2048;")?;
        let upsert = make_table(&conn, KIND.def())?;
        Ok(Self { conn, upsert, rows: 0, spent: Duration::ZERO })
    }

    /// Commits each row by itself.
    pub(crate) fn block(&mut self, rows: &[Row]) -> Result<()> {
        let mut upsert = self.conn.prepare_cached(&self.upsert)?;
        let start = Instant::now();
        for row in rows {
            write(&mut upsert, row)?;
        }
        self.spent += start.elapsed();
        self.rows += rows.len();
        Ok(())
    }

    /// Returns rows a second.
    pub(crate) fn rate(&self) -> f64 {
        rate(self.rows, self.spent)
    }
}

fn open(path: &Path, synchronous: &str) -> Result<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch(&format!("PRAGMA key = \"x'{}'\"", "5a".repeat(32)))?;
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA temp_store = MEMORY; \
         PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA fullfsync = ON; \
         PRAGMA checkpoint_fullfsync = ON;"
    ))?;
    Ok(conn)
}

/// Makes the client's table with the client's indexes, and returns its upsert.
fn make_table(conn: &Connection, def: &EntityDef) -> Result<String> {
    let affinity = |field_type| match field_type {
        FieldType::Bool | FieldType::Int | FieldType::Date | FieldType::Timestamp => "INTEGER",
        FieldType::Decimal | FieldType::Text | FieldType::Code | FieldType::Json => "TEXT",
        FieldType::Uuid => "BLOB",
    };
    let columns: Vec<String> =
        def.fields.iter().map(|field| format!("\"{}\" {}", field.name, affinity(field.field_type))).collect();
    conn.execute_batch(&format!(
        "CREATE TABLE raw (id BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL, {}); \
         CREATE INDEX raw_enterprise ON raw (enterprise_id); CREATE INDEX raw_visit ON raw (visit_id); \
         CREATE INDEX raw_due ON raw (due_on);",
        columns.join(", ")
    ))?;
    let names: Vec<String> = def.fields.iter().map(|field| format!("\"{}\"", field.name)).collect();
    let marks: Vec<String> = (1..=names.len() + 2).map(|at| format!("?{at}")).collect();
    let sets: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    Ok(format!(
        "INSERT INTO raw (id, seq, {}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, {} \
         WHERE excluded.seq >= seq",
        names.join(", "),
        marks.join(", "),
        sets.join(", ")
    ))
}

/// A value as SQLite takes it.
struct Bound<'v>(&'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::ValueRef;
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Owned(Sqlite::Null),
            Value::Bool(value) => ToSqlOutput::Owned(Sqlite::Integer(i64::from(*value))),
            Value::Int(value) => ToSqlOutput::Owned(Sqlite::Integer(*value)),
            Value::Date(value) => ToSqlOutput::Owned(Sqlite::Integer(i64::from(value.0))),
            Value::Timestamp(value) => ToSqlOutput::Owned(Sqlite::Integer(value.0)),
            Value::Decimal(value) => ToSqlOutput::Owned(Sqlite::Text(value.to_string())),
            Value::Text(value) | Value::Json(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Value::Uuid(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value.as_bytes())),
        })
    }
}

fn write(upsert: &mut Statement<'_>, row: &Row) -> rusqlite::Result<()> {
    upsert.raw_bind_parameter(1, row.id.as_bytes().as_slice())?;
    upsert.raw_bind_parameter(2, 1)?;
    for (at, value) in row.values.iter().enumerate() {
        upsert.raw_bind_parameter(at + 3, Bound(value))?;
    }
    upsert.raw_execute()?;
    Ok(())
}

/// Returns rows a second of a bulk upsert into a Postgres table like the server's, without log or triggers.
pub(crate) async fn postgres_bulk(db: &Db, rows_to_write: &[Row]) -> Result<f64> {
    let mut conn = db.conn().await?;
    conn.batch(
        "DROP TABLE IF EXISTS raw_follow_up_action; \
         CREATE TABLE raw_follow_up_action (LIKE follow_up_action INCLUDING ALL)",
    )
    .await?;
    let statement = upsert_statement();
    let mut spent = Duration::ZERO;
    for chunk in rows_to_write.chunks(1_000) {
        let start = Instant::now();
        let mut sql = Sql::new(statement.as_str()).bind(Uuid::from_u128(7));
        sql = sql.bind(chunk.iter().map(|row| row.id).collect::<Vec<_>>());
        for (at, field) in KIND.def().fields.iter().enumerate() {
            sql = sql.bind(Bind::column(field.field_type, chunk.iter().map(|row| &row.values[at])));
        }
        conn.execute(sql).await?;
        spent += start.elapsed();
    }
    Ok(rate(rows_to_write.len(), spent))
}

/// One statement for a thousand rows, prepared once. The server's own statement reads its arrays side by side, which
/// would save this one about 1.2 of its 12 to 18 µs a row and raise the limit by a tenth; it is left as it was first
/// measured, so that figures of different versions compare.
fn upsert_statement() -> String {
    let fields = KIND.def().fields;
    let list = |write: &dyn Fn(&str) -> String| fields.iter().map(|f| write(f.name)).collect::<Vec<_>>().join(", ");
    let columns = list(&|name| name.to_owned());
    let arrays: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let array = match field.field_type {
                FieldType::Uuid => "uuid[]",
                FieldType::Date => "date[]",
                FieldType::Timestamp => "timestamptz[]",
                FieldType::Bool => "boolean[]",
                FieldType::Int => "integer[]",
                FieldType::Decimal => "numeric[]",
                FieldType::Text | FieldType::Code | FieldType::Json => "text[]",
            };
            format!("${}::{array}", at + 3)
        })
        .collect();
    format!(
        "INSERT INTO raw_follow_up_action (programme_id, id, {columns}) \
         SELECT $1, u.* FROM unnest($2::uuid[], {}) AS u(id, {columns}) \
         ON CONFLICT (programme_id, id) DO UPDATE SET {}",
        arrays.join(", "),
        list(&|name| format!("{name} = excluded.{name}"))
    )
}
