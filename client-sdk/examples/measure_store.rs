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

    let store = open(&folder.path().join("store"))?;
    let applied = bulk_store(&store, &pages)?;
    let raw = bulk_raw(&folder.path().join("raw.db"), &pages)?;
    compare("bulk upsert, rows", raw, applied);
    let decoded = decode_only(&pages)?;
    println!("of which decoding alone: {:.0} rows/s by the wall, {:.0} by the processor", decoded.0, decoded.1);

    let (raw, written) = commits(&store, &folder.path().join("raw_outbox.db"))?;
    compare("one-row durable commits", raw, written);
    batch_and_answer(&store)
}

fn compare(what: &str, raw: (f64, f64), store: (f64, f64)) {
    let line = |by: &str, raw: f64, store: f64| {
        println!("{what}/s by the {by}: raw {raw:.0}, store {store:.0} ({:.0} %)", 100.0 * store / raw);
    };
    line("wall", raw.0, store.0);
    line("processor", raw.1, store.1);
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

/// A visit with the identifier that a phone gives after all the others.
fn recorded_now(n: usize) -> Row {
    let later = 1_800_000_000_000 + n as u64 * 1_000;
    let id = uuid::Builder::from_unix_timestamp_millis(later, &[n as u8; 10]).into_uuid();
    Row { id, ..visit(n) }
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
fn bulk_raw(path: &Path, pages: &[Vec<u8>]) -> Result<(f64, f64)> {
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
    let clock = Clock::start();
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
    Ok(clock.rates(count))
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
        vfs: None,
        ballast_bytes: 0,
    })?;
    let token = || Zeroizing::new(String::new());
    let account = Account { user: UserId(Uuid::from_u128(1)), programme: Uuid::from_u128(2) };
    store.set_account(account, &Tokens { access: token(), refresh: token() })?;
    Ok(store)
}

/// Decodes each page and applies it, as the driver does, but on one thread.
fn bulk_store(store: &Store, pages: &[Vec<u8>]) -> Result<(f64, f64)> {
    let clock = Clock::start();
    let mut count = 0;
    for page in pages {
        let rows = rows::decode(page)?;
        let cursor = Some(Cursor { seq: count, ..Cursor::default() });
        let checkpoint = Checkpoint { cursor, behind: Vec::new(), rows_sent: 0, rows_expected: 0 };
        count += store.apply_page(&Page { rows: vec![rows], gone: Vec::new(), checkpoint })?.rows;
    }
    store.flush()?;
    Ok(clock.rates(count as usize))
}

fn decode_only(pages: &[Vec<u8>]) -> Result<(f64, f64)> {
    let clock = Clock::start();
    let counts = pages.iter().map(|page| rows::decode(page).map(|rows| rows.rows.len()));
    let count: usize = counts.sum::<Result<_, _>>()?;
    Ok(clock.rates(count))
}

/// One durable commit for each row: into a table with a key and one blob of the size of a change, and through the
/// store. Turn by turn in small rounds, because the disk is not equally fast all the time.
fn commits(store: &Store, path: &Path) -> Result<((f64, f64), (f64, f64))> {
    const ROUND: usize = 50;
    let conn = raw_connection(path, "FULL")?;
    conn.execute_batch("CREATE TABLE outbox (no INTEGER PRIMARY KEY, payload BLOB)")?;
    let payload = vec![7u8; 640];
    let mut sums = [(0.0, 0.0); 2];
    for round in 0..COMMITS / ROUND {
        let clock = Clock::start();
        for _ in 0..ROUND {
            conn.prepare_cached("INSERT INTO outbox (payload) VALUES (?1)")?.execute([&payload])?;
        }
        add(&mut sums[0], clock.rates(ROUND));
        let rows: Vec<Row> = (0..ROUND).map(|n| recorded_now(round * ROUND + n)).collect();
        let clock = Clock::start();
        for row in rows {
            store.write(|batch| batch.put(KIND, row))?;
        }
        add(&mut sums[1], clock.rates(ROUND));
    }
    let rounds = (COMMITS / ROUND) as f64;
    let mean = |sum: (f64, f64)| (rounds / sum.0, rounds / sum.1);
    Ok((mean(sums[0]), mean(sums[1])))
}

/// Adds seconds per row, so that slow rounds count for what they took.
fn add(sum: &mut (f64, f64), rates: (f64, f64)) {
    sum.0 += 1.0 / rates.0;
    sum.1 += 1.0 / rates.1;
}

/// 10,000 changes in one batch, and the server's answer that it has them as sent.
fn batch_and_answer(store: &Store) -> Result<()> {
    let started = Instant::now();
    store.write(|batch| (COMMITS..COMMITS + 10_000).try_for_each(|n| batch.put(KIND, recorded_now(n)).map(|_| ())))?;
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

/// The wall clock and the processor time of this thread, side by side: the wall is honest on a machine that does
/// nothing else, the processor on any.
struct Clock {
    wall: Instant,
    cpu_ns: u64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu_ns: cpu_ns() }
    }

    /// Returns how many per second there were, by the wall and by the processor.
    fn rates(&self, count: usize) -> (f64, f64) {
        let cpu_s = (cpu_ns() - self.cpu_ns) as f64 / 1e9;
        (count as f64 / self.wall.elapsed().as_secs_f64(), count as f64 / cpu_s)
    }
}

fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
