//! An import that registers an enterprise a second time, under another code, is told so with both rows.

use server::store::{Db, StoreError, rows};
use sync_protocol::entity::{Enterprise, Entity as _, EntityKind};
use sync_protocol::id::EnterpriseId;
use tests::TestServer;
use tests::programme::{self, ANA, PROGRAMME};
use tests::state::{number, psql};
use uuid::Uuid;

async fn started() -> (TestServer, Db) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let db = server.app.office.clone();
    (server, db)
}

fn enterprise(code: &str, cui: Option<&str>) -> Enterprise {
    let (code, cui) = (code.to_owned(), cui.map(str::to_owned));
    Enterprise { id: EnterpriseId(Uuid::now_v7()), code, cui, ..programme::enterprise(0, ANA) }
}

async fn write(db: &Db, enterprises: &[&Enterprise], is_update: bool) -> Result<(), StoreError> {
    let rows: Vec<_> = enterprises.iter().map(|enterprise| enterprise.to_row()).collect();
    let (kind, rows) = (EntityKind::Enterprise, rows.iter().collect::<Vec<_>>());
    let mut tx = db.conn().await?.write_tx().await?;
    match is_update {
        true => rows::update(&mut tx, PROGRAMME, kind, &rows).await?,
        false => rows::insert(&mut tx, PROGRAMME, kind, &rows).await?,
    }
    tx.commit().await.map(|_| ())
}

fn assert_names_both(outcome: Result<(), StoreError>, one: &Enterprise, other: &Enterprise) {
    let Err(StoreError::Constraint { constraint, message }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(constraint, "enterprise_fiscal_code");
    for part in [&one.code, &one.id.to_string(), &other.code, &other.id.to_string()] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_fiscal_code_under_two_codes_is_refused_with_both_rows() {
    let (_server, db) = started().await;
    let first = enterprise("ENT-101", Some("RO 4123456"));
    let unknown = enterprise("ENT-102", None);
    write(&db, &[&first, &unknown, &enterprise("ENT-103", None)], false).await.unwrap();
    let again = enterprise("ENT-104", Some("4123456"));
    let other = enterprise("ENT-105", Some("4123457"));
    assert_names_both(write(&db, &[&other, &again], false).await, &again, &first);
    assert_eq!(number(&db, "SELECT count(*) FROM enterprise WHERE code = 'ENT-105'").await, 0, "all or nothing");
    let twins = [enterprise("ENT-106", Some("5000001")), enterprise("ENT-107", Some("ro5000001"))];
    assert_names_both(write(&db, &[&twins[0], &twins[1]], false).await, &twins[0], &twins[1]);
    let named = Enterprise { cui: Some("ro4123456".to_owned()), ..unknown };
    assert_names_both(write(&db, &[&named], true).await, &named, &first);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programme_and_rows_that_were_doubled_before_are_left_alone() {
    let (_server, db) = started().await;
    let (first, again) = (enterprise("ENT-101", Some("4123456")), enterprise("ENT-102", Some("4123456")));
    psql(&db, "ALTER TABLE enterprise DISABLE TRIGGER refuse_twice_inserted").await;
    write(&db, &[&first, &again], false).await.unwrap();
    psql(&db, "ALTER TABLE enterprise ENABLE TRIGGER refuse_twice_inserted").await;
    write(&db, &[&Enterprise { name: "Alt nume".to_owned(), ..again.clone() }], true).await.unwrap();
    write(&db, &[&Enterprise { cui: Some("4123457".to_owned()), ..again }], true).await.unwrap();
    let elsewhere = "INSERT INTO enterprise SELECT (jsonb_populate_record(e, \
        jsonb_build_object('programme_id', gen_random_uuid()))).* FROM enterprise e WHERE code = 'ENT-101'";
    psql(&db, elsewhere).await;
    assert_eq!(number(&db, "SELECT count(*) FROM enterprise WHERE cui = '4123456'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_imports_at_once_one_is_refused() {
    let (_server, db) = started().await;
    for round in 0..10 {
        let cui = format!("410000{round}");
        let pair = ["A", "B"].map(|letter| enterprise(&format!("ENT-{letter}{round}"), Some(&cui)));
        let (one, other) = ([&pair[0]], [&pair[1]]);
        let (one, other) = tokio::join!(write(&db, &one, false), write(&db, &other, false));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }
}
