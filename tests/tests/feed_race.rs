//! Twenty-four writers, three ways to read what they write. Only one of them loses nothing.
//!
//! Writers hold their transactions open for a random while between taking their place and becoming visible:
//! that is the window in which a reader can pass a row that it has not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::store::log::ProgrammeSnapshot;
use server::store::{Db, Sql};
use sync_protocol::cursor::Position;
use tests::programme::{self, ANA, ENTERPRISES, PROGRAMME};
use tests::{TestServer, sample, state};
use tokio::time::sleep;
use uuid::Uuid;

const WRITERS: u64 = 24;
const TRANSACTIONS: u32 = 25;
const READERS: usize = 4;

/// What a reader has seen: the number under which each row was last told.
type Seen = BTreeMap<Uuid, u64>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn our_reader_loses_nothing_where_plausible_ones_do() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let db = Db::new(&server.db.url, 48, Duration::from_secs(20)).unwrap();
    // The wrong readers get what they want: a number from a sequence, written in the same transaction.
    let side = "CREATE TABLE side (id bigserial PRIMARY KEY, row_id uuid NOT NULL)";
    state::psql(&db, side).await;

    let done = Arc::new(AtomicBool::new(false));
    let ours: Vec<_> = (0..READERS).map(|_| tokio::spawn(read_ours(db.clone(), done.clone()))).collect();
    let by_sequence = tokio::spawn(read_by_sequence(db.clone(), done.clone()));
    let rows_first = tokio::spawn(read_rows_then_head(db.clone(), done.clone()));
    let writers: Vec<_> = (0..WRITERS).map(|seed| tokio::spawn(write(db.clone(), seed))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);

    let expected = numbers(&db).await;
    assert!(expected.len() > 400, "only {} rows were written", expected.len());
    for reader in ours {
        let seen = reader.await.unwrap();
        let lost: Vec<_> = expected.iter().filter(|(row, seq)| seen.get(*row) != Some(seq)).collect();
        assert!(lost.is_empty(), "our reader lost {} of {} rows", lost.len(), expected.len());
    }
    let side_rows: BTreeSet<Uuid> = side_rows(&db).await;
    let seen = by_sequence.await.unwrap();
    assert!(
        side_rows.difference(&seen).count() > 0,
        "the reader by sequence should lose rows; the window is too small"
    );
    let seen = rows_first.await.unwrap();
    let lost = expected.iter().filter(|(row, seq)| seen.get(*row) != Some(seq)).count();
    assert!(lost > 0, "the reader of rows and then the head should lose rows; the window is too small");
}

/// Writes through plain SQL, without the code of the server: creates, changes, moves, deletes.
async fn write(db: Db, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut mine: Vec<Uuid> = Vec::new();
    for _ in 0..TRANSACTIONS {
        let mut tx = db.conn().await.unwrap().write_tx().await.unwrap();
        for _ in 0..random.random_range(1..4) {
            let row = change(&mut mine, &mut random);
            tx.execute(row.0).await.unwrap();
            tx.execute(Sql::new("INSERT INTO side (row_id) VALUES ($1)").bind(row.1)).await.unwrap();
            sleep(Duration::from_millis(random.random_range(0..6))).await;
        }
        if random.random_ratio(1, 8) {
            tx.rollback().await.unwrap();
            mine.clear();
        } else {
            tx.commit().await.unwrap();
        }
    }
}

/// Returns a statement and the row that it touches.
fn change(mine: &mut Vec<Uuid>, random: &mut ChaCha8Rng) -> (Sql, Uuid) {
    let scope = ENTERPRISES[random.random_range(0..3)].0;
    let text = random.random::<u32>().to_string();
    let at = if mine.is_empty() { 0 } else { random.random_range(0..mine.len()) };
    match random.random_range(0..10) {
        0..=1 if !mine.is_empty() => {
            (Sql::new("UPDATE finding SET text = $1 WHERE id = $2").bind(text).bind(mine[at]), mine[at])
        }
        2 if !mine.is_empty() => {
            (Sql::new("UPDATE finding SET enterprise_id = $1 WHERE id = $2").bind(scope).bind(mine[at]), mine[at])
        }
        3 if !mine.is_empty() => {
            let row = mine.swap_remove(at);
            (Sql::new("DELETE FROM finding WHERE id = $1").bind(row), row)
        }
        _ => {
            let finding = sample::finding(&sample::visit(ENTERPRISES[0], ANA), &text);
            mine.push(finding.id.0);
            let insert = "INSERT INTO finding (programme_id, id, enterprise_id, visit_id, area, severity, text) \
                 VALUES ($1, $2, $3, $4, 'JOBS', 'MINOR', $5)";
            let sql = Sql::new(insert).bind(PROGRAMME).bind(finding.id.0).bind(scope);
            (sql.bind(finding.visit_id.0).bind(text), finding.id.0)
        }
    }
}

/// Returns the number of the last change of every finding, deleted ones included.
async fn numbers(db: &Db) -> Seen {
    let sql = Sql::new("SELECT row_id, seq FROM sync_head WHERE kind = 16");
    let records = db.conn().await.unwrap().query(sql).await.unwrap();
    records.iter().map(|record| (record.uuid(0).unwrap(), record.int(1).unwrap() as u64)).collect()
}

async fn side_rows(db: &Db) -> BTreeSet<Uuid> {
    let records = db.conn().await.unwrap().query(Sql::new("SELECT row_id FROM side")).await.unwrap();
    records.iter().map(|record| record.uuid(0).unwrap()).collect()
}

/// Our reader: pages out of one snapshot, with a place between two rows.
async fn read_ours(db: Db, done: Arc<AtomicBool>) -> Seen {
    let scopes: Vec<Uuid> = ENTERPRISES.iter().map(|enterprise| enterprise.0).collect();
    let mut seen = Seen::new();
    let mut position = Position::default();
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let mut snapshot = ProgrammeSnapshot::open(&db, PROGRAMME).await.unwrap();
        let lanes: Vec<_> = scopes.iter().map(|scope| (*scope, position)).collect();
        let entries = snapshot.entries(&lanes, &scopes, None, 7).await.unwrap();
        for entry in &entries {
            assert!(entry.position >= position, "an entry came out of order");
            if entry.position.kind == 16 {
                seen.insert(entry.position.row_id, entry.position.seq);
            }
        }
        let head = snapshot.head().seq;
        snapshot.close().await.unwrap();
        position = entries.last().map_or(Position::after(head), |last| last.position);
        if entries.is_empty() && last_round {
            return seen;
        }
    }
}

/// Wrong: a sequence is handed out before the row can be seen.
async fn read_by_sequence(db: Db, done: Arc<AtomicBool>) -> BTreeSet<Uuid> {
    let (mut seen, mut cursor) = (BTreeSet::new(), 0);
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let sql = Sql::new("SELECT id, row_id FROM side WHERE id > $1 ORDER BY id").bind(cursor);
        let records = db.conn().await.unwrap().query(sql).await.unwrap();
        for record in &records {
            cursor = record.int(0).unwrap();
            seen.insert(record.uuid(1).unwrap());
        }
        if records.is_empty() && last_round {
            return seen;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Wrong: what commits between the two statements is below the head, but was not among the rows.
async fn read_rows_then_head(db: Db, done: Arc<AtomicBool>) -> Seen {
    let (mut seen, mut cursor) = (Seen::new(), 0);
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let mut conn = db.conn().await.unwrap();
        let rows = Sql::new("SELECT row_id, seq FROM sync_head WHERE kind = 16 AND seq > $1 ORDER BY seq").bind(cursor);
        for record in conn.query(rows).await.unwrap() {
            seen.insert(record.uuid(0).unwrap(), record.int(1).unwrap() as u64);
        }
        // The answer travels; the server does other things.
        sleep(Duration::from_millis(3)).await;
        let head = Sql::new("SELECT seq FROM programme_head WHERE programme_id = $1").bind(PROGRAMME);
        let head = conn.query_opt(head).await.unwrap().unwrap().int(0).unwrap();
        if head == cursor && last_round {
            return seen;
        }
        cursor = head;
    }
}
