//! Measures the store against raw SQLite with the same encryption and settings.
//!
//! `cargo run --release -p client-sdk --example measure_store [rows]`

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{AcceptAll, Account, Page, Store, StoreOptions, Tokens};
use client_sdk::world::SystemWorld;
use rusqlite::Connection;
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::id::UserId;
use sync_protocol::patch::empty_row;
use sync_protocol::rows::{self, VersionedRow};
use sync_protocol::time::Timestamp;
use sync_protocol::value::{FieldType, Value};
use sync_protocol::wire::{Checkpoint, Commit, PushResult};
use uuid::Uuid;
use zeroize::Zeroizing;

const KIND: EntityKind = EntityKind::Visit;
const PAGE_ROWS: usize = 1_000;
const COMMITS: usize = 1_000;

fn main() -> Result<()> {
    let rows: usize = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir_in(".")?;
    let pages = pages(rows);
    let bytes: usize = pages.iter().map(Vec::len).sum();
    println!("{rows} rows of {} columns, {} bytes each on the wire", KIND.def().fields.len(), bytes / rows);

    let raw = bulk_raw(&folder.path().join("raw.db"), &pages)?;
    let store = open(&folder.path().join("store"))?;
    let before_kib = resident_kib();
    let applied = bulk_store(&store, &pages)?;
    println!("bulk upsert: raw {raw:.0} rows/s, store {applied:.0} rows/s ({:.0} %)", 100.0 * applied / raw);
    println!("memory while applying: {} KiB more than before", resident_kib().saturating_sub(before_kib));

    let raw = commits_raw(&folder.path().join("raw_outbox.db"))?;
    let written = commits_store(&store)?;
    println!("one-row commits: raw {raw:.0}/s, store {written:.0}/s ({:.0} %)", 100.0 * written / raw);
    batch_and_answer(&store)
}

/// A visit with 15 fields filled in.
fn visit(n: usize) -> Row {
    let def = KIND.def();
    let mut row = empty_row(def, spread_id(n));
    for (at, field) in def.fields.iter().enumerate().take(15) {
        row.values[at] = match field.field_type {
            FieldType::Uuid => Value::Uuid(Uuid::from_u128(n as u128 % 200 + at as u128)),
            FieldType::Timestamp => Value::Timestamp(Timestamp(1_711_966_205_120 + n as i64 * 60_000)),
            FieldType::Code => Value::Text(field.codes[n % field.codes.len()].to_owned()),
            FieldType::Json => Value::Json(format!(r#"{{"latitude":45.75{n},"longitude":21.22,"accuracy_m":8}}"#)),
            _ => Value::Text(format!("Vizita {n}: {}", "text despre atelier. ".repeat(5))),
        };
    }
    row
}

/// Identifiers as phones make them: by time, and mixed between phones.
fn spread_id(n: usize) -> Uuid {
    let time = 1_711_966_205_120 + (n as u64 * 7_919) % 1_000_000_007;
    let mut random = [0; 10];
    random[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(time, &random).into_uuid()
}

fn pages(rows: usize) -> Vec<Vec<u8>> {
    let all: Vec<VersionedRow> = (0..rows).map(|n| VersionedRow { seq: n as u64 / 10 + 1, row: visit(n) }).collect();
    all.chunks(PAGE_ROWS).map(|page| rows::encode(KIND, page)).collect()
}

fn raw_connection(path: &Path, synchronous: &str) -> Result<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch(&format!(
        "PRAGMA key = \"x'{}'\"; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA cache_size = -12288; PRAGMA temp_store = MEMORY;",
        "07".repeat(32)
    ))?;
    Ok(conn)
}

/// The bare minimum: decoded rows, one prepared upsert, a key and no other index.
fn bulk_raw(path: &Path, pages: &[Vec<u8>]) -> Result<f64> {
    let conn = raw_connection(path, "NORMAL")?;
    let names: Vec<String> = KIND.def().fields.iter().map(|field| format!("\"{}\"", field.name)).collect();
    conn.execute_batch(&format!("CREATE TABLE visit (id BLOB PRIMARY KEY, seq INTEGER, {})", names.join(", ")))?;
    let marks = vec!["?"; names.len() + 2].join(", ");
    let sets: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let sql = format!(
        "INSERT INTO visit VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, {}",
        sets.join(", ")
    );
    let decoded: Vec<_> = pages.iter().map(|page| rows::decode(page)).collect::<Result<_, _>>()?;
    let started = Instant::now();
    let mut count = 0;
    for page in &decoded {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut statement = conn.prepare_cached(&sql)?;
        for row in &page.rows {
            bind(&mut statement, row)?;
            statement.raw_execute()?;
            count += 1;
        }
        drop(statement);
        conn.execute_batch("COMMIT")?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

fn bind(statement: &mut rusqlite::Statement<'_>, row: &VersionedRow) -> Result<()> {
    statement.raw_bind_parameter(1, row.row.id.as_bytes())?;
    statement.raw_bind_parameter(2, row.seq as i64)?;
    for (at, value) in row.row.values.iter().enumerate() {
        match value {
            Value::Text(text) | Value::Json(text) => statement.raw_bind_parameter(at + 3, text)?,
            Value::Uuid(id) => statement.raw_bind_parameter(at + 3, id.as_bytes())?,
            Value::Timestamp(time) => statement.raw_bind_parameter(at + 3, time.0)?,
            _ => statement.raw_bind_parameter(at + 3, rusqlite::types::Null)?,
        }
    }
    Ok(())
}

fn open(folder: &Path) -> Result<Store> {
    let store = Store::open(StoreOptions {
        folder: folder.to_owned(),
        keys: Arc::new(FixedKeyProvider([7; 32])),
        world: Arc::new(SystemWorld::new()),
        validator: Arc::new(AcceptAll),
    })?;
    let token = || Zeroizing::new(String::new());
    let account = Account { user: UserId(Uuid::from_u128(1)), programme: Uuid::from_u128(2) };
    store.set_account(account, &Tokens { access: token(), refresh: token() })?;
    Ok(store)
}

/// Decodes each page and applies it, as the driver does, but on one thread.
fn bulk_store(store: &Store, pages: &[Vec<u8>]) -> Result<f64> {
    let started = Instant::now();
    let mut count = 0;
    for page in pages {
        let rows = rows::decode(page)?;
        let cursor = Some(Cursor { seq: count, ..Cursor::default() });
        let checkpoint = Checkpoint { cursor, behind: Vec::new(), rows_sent: 0, rows_expected: 0 };
        count += store.apply_page(&Page { rows: vec![rows], gone: Vec::new(), checkpoint })?.rows;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// A table with a key and one blob of about the size of a mutation, one durable commit for each row.
fn commits_raw(path: &Path) -> Result<f64> {
    let conn = raw_connection(path, "FULL")?;
    conn.execute_batch("CREATE TABLE outbox (no INTEGER PRIMARY KEY, payload BLOB)")?;
    let payload = vec![7u8; 500];
    let started = Instant::now();
    for _ in 0..COMMITS {
        conn.prepare_cached("INSERT INTO outbox (payload) VALUES (?1)")?.execute([&payload])?;
    }
    Ok(COMMITS as f64 / started.elapsed().as_secs_f64())
}

fn commits_store(store: &Store) -> Result<f64> {
    let started = Instant::now();
    for n in 0..COMMITS {
        store.write(|batch| batch.put(KIND, visit(10_000_000 + n)))?;
    }
    Ok(COMMITS as f64 / started.elapsed().as_secs_f64())
}

/// 10,000 changes in one batch, and the server's answer that it has them as sent.
fn batch_and_answer(store: &Store) -> Result<()> {
    let started = Instant::now();
    store.write(|batch| (0..10_000).try_for_each(|n| batch.put(KIND, visit(20_000_000 + n)).map(|_| ())))?;
    println!("10,000 changes in one batch: {:.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let mut confirmed = 0;
    loop {
        let pushes = store.pushes()?;
        let Some(last) = pushes.last() else { break };
        let upto_no = last.first_no + last.mutations.len() as u64 - 1;
        let upto_hash = last.mutations.iter().fold(last.prev_hash, |hash, payload| hash.then(payload));
        let commits = vec![Commit { first_no: pushes[0].first_no, last_no: upto_no, seq: 9_000_000, verbatim: true }];
        let result = PushResult { upto_no, upto_hash, demand: None, commits, results: Vec::new() };
        confirmed += store.apply_result(&result)?.pushed;
    }
    println!("{confirmed} changes read for the push and confirmed: {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Returns the memory in use, where the system tells.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
