//! The log that triggers keep: whoever writes, whatever the statement, a committed change is delivered.

use server::store::log::{Entry, ProgrammeSnapshot, head_of};
use server::store::{Db, Sql};
use sync_protocol::cursor::Position;
use sync_protocol::entity::EntityKind;
use sync_protocol::rows::GoneReason;
use tests::programme::{self, ANA, ENTERPRISES, PROGRAMME};
use tests::state::{head, number, psql};
use tests::{TestServer, sample};
use uuid::Uuid;

async fn started() -> (TestServer, Db) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let db = server.app.office.clone();
    (server, db)
}

/// Returns what a device that holds these scopes is told after a number.
async fn after(db: &Db, scopes: &[Uuid], seq: i64) -> Vec<Entry> {
    let mut snapshot = ProgrammeSnapshot::open(db, PROGRAMME).await.unwrap();
    let lanes: Vec<_> = scopes.iter().map(|scope| (*scope, Position::after(seq as u64))).collect();
    snapshot.entries(&lanes, scopes, None, 1_000).await.unwrap()
}

fn told(entries: &[Entry]) -> Vec<(Uuid, Option<GoneReason>)> {
    entries.iter().map(|entry| (entry.position.row_id, entry.gone)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_plain_sql_is_delivered_and_one_that_changes_nothing_is_not() {
    let (_server, db) = started().await;
    let before = head(&db).await;
    let [first, ..] = ENTERPRISES;
    psql(&db, &format!("UPDATE enterprise SET name = 'Alt nume' WHERE id = '{first}'")).await;
    assert_eq!(told(&after(&db, &[first.0], before).await), [(first.0, None)]);
    assert_eq!(head(&db).await, before + 1);
    psql(&db, &format!("UPDATE enterprise SET name = 'Alt nume' WHERE id = '{first}'")).await;
    psql(&db, "DELETE FROM enterprise WHERE id = gen_random_uuid()").await;
    assert_eq!(head(&db).await, before + 1, "nothing changed, but a number was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_leaves_a_tombstone_and_a_copy_of_the_row() {
    let (_server, db) = started().await;
    let before = head(&db).await;
    let [first, ..] = ENTERPRISES;
    psql(&db, &format!("DELETE FROM enterprise WHERE id = '{first}'")).await;
    assert_eq!(told(&after(&db, &[first.0], before).await), [(first.0, Some(GoneReason::Deleted))]);
    let kept = "SELECT count(*) FROM change_log WHERE operation = 'D' AND old->>'name' = 'Brutăria 1 (demo)'";
    assert_eq!(number(&db, kept).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moves_leaves_an_exit_for_those_who_do_not_follow_it() {
    let (_server, db) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&db, std::slice::from_ref(&visit)).await;
    let before = head(&db).await;
    let [from, to, _] = ENTERPRISES;
    psql(&db, &format!("UPDATE visit SET enterprise_id = '{to}' WHERE id = '{}'", visit.id)).await;
    let left = [(visit.id.0, Some(GoneReason::Left))];
    let here = [(visit.id.0, None)];
    assert_eq!(told(&after(&db, &[from.0], before).await), left);
    assert_eq!(told(&after(&db, &[to.0], before).await), here);
    assert_eq!(told(&after(&db, &[from.0, to.0], before).await), here, "who holds both keeps the row");
    psql(&db, &format!("UPDATE visit SET enterprise_id = '{from}' WHERE id = '{}'", visit.id)).await;
    assert_eq!(told(&after(&db, &[from.0], before).await), here, "it came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_deleted_before_takes_its_old_place_when_it_is_made_again() {
    let (_server, db) = started().await;
    let [from, to, _] = ENTERPRISES;
    let (visit, other) = (sample::visit(from, ANA), sample::visit(to, ANA));
    programme::import(&db, std::slice::from_ref(&visit)).await;
    psql(&db, &format!("DELETE FROM visit WHERE id = '{}'", visit.id)).await;
    let before = head(&db).await;
    let moved = sync_protocol::entity::Visit { enterprise_id: to, ..visit.clone() };
    programme::import(&db, &[moved, other.clone()]).await;
    assert_eq!(told(&after(&db, &[from.0], before).await), [(visit.id.0, Some(GoneReason::Left))]);
    let mut here = told(&after(&db, &[to.0], before).await);
    here.sort_by_key(|(row, _)| *row != visit.id.0);
    assert_eq!(here, [(visit.id.0, None), (other.id.0, None)]);
    let places = format!("SELECT count(*) FROM sync_head WHERE row_id = '{}' AND NOT deleted", visit.id);
    assert_eq!(number(&db, &places).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_deleted_and_made_again_elsewhere_leaves_an_exit() {
    let (_server, db) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&db, std::slice::from_ref(&visit)).await;
    let before = head(&db).await;
    let again = format!(
        "BEGIN; CREATE TEMP TABLE moved ON COMMIT DROP AS SELECT * FROM visit WHERE id = '{id}'; \
         DELETE FROM visit WHERE id = '{id}'; UPDATE moved SET enterprise_id = '{to}'; \
         INSERT INTO visit SELECT * FROM moved; COMMIT",
        id = visit.id,
        to = ENTERPRISES[1],
    );
    psql(&db, &again).await;
    let told = told(&after(&db, &[ENTERPRISES[0].0], before).await);
    assert_eq!(told, [(visit.id.0, Some(GoneReason::Left))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncate_and_new_keys_are_refused_on_every_entity() {
    let (_server, db) = started().await;
    for kind in EntityKind::ALL {
        let table = kind.def().name;
        for statement in [
            format!("TRUNCATE \"{table}\""),
            format!("UPDATE \"{table}\" SET id = gen_random_uuid()"),
            format!("UPDATE \"{table}\" SET programme_id = gen_random_uuid()"),
        ] {
            let refused = db.conn().await.unwrap().batch(&statement).await;
            assert!(refused.is_err(), "{statement} went through");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_takes_one_number_in_each_programme_that_it_touches() {
    let (_server, db) = started().await;
    let other = Uuid::from_u128(0xe000);
    let copy = |programme: Uuid, text: &str| {
        format!(
            "INSERT INTO code (programme_id, id, list, code, label) \
             VALUES ('{programme}', gen_random_uuid(), 'SIRUTA', '{text}', '{{}}');"
        )
    };
    let before = head(&db).await;
    let many: String = (0..3).flat_map(|n| [copy(PROGRAMME, &n.to_string()), copy(other, &n.to_string())]).collect();
    psql(&db, &format!("BEGIN; {many} COMMIT")).await;
    assert_eq!(head(&db).await, before + 1);
    let mut conn = db.conn().await.unwrap();
    assert_eq!(head_of(&mut conn, other).await.unwrap().seq, 1);
    drop(conn);
    let entries = after(&db, &[PROGRAMME], before).await;
    assert_eq!(entries.len(), 3, "rows of another programme were delivered, or rows were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_takes_no_number_and_numbers_have_no_gaps() {
    let (server, db) = started().await;
    let before = head(&db).await;
    let rename = |name: &str| format!("UPDATE enterprise SET name = '{name}' WHERE id = '{}';", ENTERPRISES[0]);
    psql(&db, &format!("BEGIN; {} ROLLBACK", rename("pierdut"))).await;
    assert_eq!(head(&db).await, before);
    psql(
        &db,
        &format!(
            "BEGIN; SAVEPOINT a; {} ROLLBACK TO a; UPDATE enterprise SET name = 'doi' WHERE id = '{}'; COMMIT",
            rename("pierdut"),
            ENTERPRISES[1]
        ),
    )
    .await;
    assert_eq!(told(&after(&db, &[ENTERPRISES[0].0, ENTERPRISES[1].0], before).await), [(ENTERPRISES[1].0, None)]);
    // The tables of the session may be made inside a savepoint that is rolled back, on a connection of its own.
    let fresh = server.db.db();
    psql(&fresh, &format!("BEGIN; SAVEPOINT a; {} ROLLBACK TO a; COMMIT", rename("pierdut"))).await;
    psql(&fresh, &rename("trei")).await;
    assert_eq!(head(&db).await, before + 2);
    let gaps = format!(
        "SELECT count(*) FROM generate_series(1, {}) n WHERE NOT EXISTS \
         (SELECT FROM seal_log WHERE programme_id = '{PROGRAMME}' AND seq = n)",
        before + 2
    );
    assert_eq!(number(&db, &gaps).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_log_keeps_the_old_value_of_each_change() {
    let (_server, db) = started().await;
    for name in ["unu", "doi"] {
        psql(&db, &format!("UPDATE enterprise SET name = '{name}' WHERE id = '{}'", ENTERPRISES[0])).await;
    }
    let old = "SELECT old->>'name' FROM change_log ORDER BY seq, part";
    assert_eq!(tests::state::texts(&db, old).await, ["Brutăria 1 (demo)", "unu"]);
    let fields = "SELECT count(*) FROM change_log, jsonb_object_keys(old)";
    assert_eq!(number(&db, fields).await, 2, "fields that did not change were kept too");
}

#[tokio::test(flavor = "multi_thread")]
async fn sealing_twice_numbers_what_came_in_between_and_a_connection_is_used_again_clean() {
    let (_server, db) = started().await;
    let before = head(&db).await;
    for round in 0..3 {
        let mut tx = db.conn().await.unwrap().write_tx().await.unwrap();
        let mut seals = Vec::new();
        for step in ["a", "b"] {
            let name = format!("{round}{step}");
            let rename = Sql::new("UPDATE enterprise SET name = $1 WHERE id = $2").bind(name).bind(ENTERPRISES[0].0);
            tx.execute(rename).await.unwrap();
            let sealed = tx.query_opt(Sql::new("SELECT sync_seal()")).await.unwrap().unwrap();
            seals.push(sealed.int(0).unwrap());
            let empty = tx.query_opt(Sql::new("SELECT sync_seal()")).await.unwrap().unwrap();
            assert_eq!(empty.int(0).unwrap(), 0, "nothing was touched, but a number was taken");
        }
        assert_eq!(seals, [before + 2 * round + 1, before + 2 * round + 2]);
        tx.commit().await.unwrap();
    }
    assert_eq!(head(&db).await, before + 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_did_last_with_a_row_is_what_counts() {
    let (_server, db) = started().await;
    let before = head(&db).await;
    let [first, second, ..] = ENTERPRISES;
    let (gone, back) = (first.0, second.0);
    // The one is renamed and deleted, the other deleted and made again.
    psql(
        &db,
        &format!(
            "BEGIN; UPDATE enterprise SET name = 'Alt nume' WHERE id = '{gone}'; \
             CREATE TEMP TABLE aside AS SELECT * FROM enterprise WHERE id = '{back}'; \
             DELETE FROM enterprise WHERE id IN ('{gone}', '{back}'); INSERT INTO enterprise SELECT * FROM aside; COMMIT"
        ),
    )
    .await;
    let mut told = told(&after(&db, &[gone, back], before).await);
    told.sort_unstable_by_key(|(id, _)| *id != gone);
    assert_eq!(told, [(gone, Some(GoneReason::Deleted)), (back, None)]);
    assert_eq!(head(&db).await, before + 1);
    assert_eq!(number(&db, "SELECT count(*) FROM sync_touch").await, 0, "a sealed transaction left something behind");
    assert_eq!(number(&db, "SELECT count(*) FROM sync_unsealed").await, 0);
}
