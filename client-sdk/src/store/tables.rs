//! The tables of the cache, made from the field tables, and the SQL for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use sync_protocol::entity::EntityKind;
use sync_protocol::field::{EntityDef, Field};
use sync_protocol::value::FieldType;

use super::meta;
use crate::error::{Doing as _, Result};

/// The setting with the fingerprint of the field tables that the file was last opened with.
const FIELDS: &str = "fields";

/// Tells field tables from older and newer ones.
static FINGERPRINT: LazyLock<i64> = LazyLock::new(|| {
    let digest =
        EntityKind::ALL.iter().fold(Sha256::new(), |sha, kind| sha.chain_update(create(kind.def()))).finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | i64::from(*byte))
});

/// The SQL for one kind.
pub(super) struct Table {
    /// Writes a row unless a newer version of it is there. Binds: id, seq, then the fields.
    pub(super) upsert: String,
    /// Writes a row whatever is there.
    pub(super) replace: String,
    /// Reads one row by its id: seq, then the fields.
    pub(super) get: String,
    /// Deletes one row by its id.
    pub(super) delete: String,
    /// Sets the version of one row. Binds: id, seq.
    pub(super) set_seq: String,
    /// `id, seq, <fields>`, for selections.
    pub(super) columns: String,
}

static TABLES: LazyLock<Vec<Table>> =
    LazyLock::new(|| EntityKind::ALL.iter().map(|kind| Table::new(kind.def())).collect());

/// Returns the SQL for a kind.
pub(super) fn table(kind: EntityKind) -> &'static Table {
    let at = EntityKind::ALL.iter().position(|other| *other == kind).unwrap_or_default();
    &TABLES[at]
}

impl Table {
    fn new(def: &EntityDef) -> Self {
        let name = def.name;
        let fields: Vec<String> = def.fields.iter().map(|field| format!("\"{}\"", field.name)).collect();
        let columns = format!("id, seq, {}", fields.join(", "));
        let marks: Vec<String> = (1..=fields.len() + 2).map(|at| format!("?{at}")).collect();
        let sets: Vec<String> = fields.iter().map(|field| format!("{field} = excluded.{field}")).collect();
        let replace = format!(
            "INSERT INTO \"{name}\" ({columns}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, {}",
            marks.join(", "),
            sets.join(", "),
        );
        Self {
            upsert: format!("{replace} WHERE excluded.seq >= seq"),
            replace,
            get: format!("SELECT seq, {} FROM \"{name}\" WHERE id = ?1", fields.join(", ")),
            delete: format!("DELETE FROM \"{name}\" WHERE id = ?1"),
            set_seq: format!("UPDATE \"{name}\" SET seq = ?2 WHERE id = ?1"),
            columns,
        }
    }
}

/// Makes missing tables, columns and indexes. Returns whether rows already here may lack values: an application with
/// other field tables has written them, an older one, or a newer one that went away again.
pub(super) fn make(conn: &Connection) -> Result<bool> {
    let last: Option<i64> = meta::get(conn, FIELDS)?;
    if last == Some(*FINGERPRINT) {
        return Ok(false);
    }
    let has_grown = add_missing(conn)?;
    meta::set(conn, FIELDS, *FINGERPRINT)?;
    Ok(has_grown || last.is_some())
}

/// Makes what is missing. Returns whether an existing file lacked any.
fn add_missing(conn: &Connection) -> Result<bool> {
    let mut has_grown = false;
    let existing = names(conn, "SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let is_fresh = !EntityKind::ALL.iter().any(|kind| existing.contains(kind.def().name));
    for kind in EntityKind::ALL {
        let def = kind.def();
        if !existing.contains(def.name) {
            conn.execute_batch(&create(def)).doing("make a table")?;
            has_grown = true;
            continue;
        }
        let columns = names(conn, &format!("SELECT name FROM pragma_table_info('{}')", def.name))?;
        for field in def.fields.iter().filter(|field| !columns.contains(field.name)) {
            let add = format!("ALTER TABLE \"{}\" ADD COLUMN \"{}\" {}", def.name, field.name, affinity(field));
            conn.execute_batch(&add).doing("add a column")?;
            has_grown = true;
        }
    }
    Ok(has_grown && !is_fresh)
}

fn names(conn: &Connection, sql: &str) -> Result<BTreeSet<String>> {
    let mut statement = conn.prepare(sql).doing("read the schema")?;
    let names = statement.query_map([], |row| row.get(0)).doing("read the schema")?;
    names.collect::<rusqlite::Result<_>>().doing("read the schema")
}

/// Rows are appended in the order of arrival and found through the index of their id: identifiers come in no
/// order, and rows kept in their order would spread every page of a download over the whole file.
fn create(def: &EntityDef) -> String {
    let mut sql = format!("CREATE TABLE \"{}\" (id BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL", def.name);
    for field in def.fields {
        // Writing into a string cannot fail.
        let _ = write!(sql, ", \"{}\" {}", field.name, affinity(field));
    }
    sql.push_str(");");
    for field in indexed(def) {
        let _ = write!(sql, "CREATE INDEX \"{0}_{1}\" ON \"{0}\" (\"{1}\");", def.name, field.name);
    }
    sql
}

/// Every index costs on each row of a download. A phone holds few thousand rows of most kinds, so only
/// references to parents with many children, and the first date, are worth it.
fn indexed(def: &EntityDef) -> impl Iterator<Item = &'static Field> {
    let date = def.fields.iter().find(|field| field.indexed && is_time(field));
    let parents = def.fields.iter().filter(|field| {
        field.indexed && field.reference.is_some_and(|to| !matches!(to, EntityKind::User | EntityKind::Programme))
    });
    parents.chain(date)
}

fn is_time(field: &Field) -> bool {
    matches!(field.field_type, FieldType::Date | FieldType::Timestamp)
}

fn affinity(field: &Field) -> &'static str {
    match field.field_type {
        FieldType::Bool | FieldType::Int | FieldType::Date | FieldType::Timestamp => "INTEGER",
        FieldType::Decimal | FieldType::Text | FieldType::Code | FieldType::Json => "TEXT",
        FieldType::Uuid => "BLOB",
    }
}
