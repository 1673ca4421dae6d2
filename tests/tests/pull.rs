//! Pulls: a device gets exactly the rows of its scopes, from wherever it stands.

use std::time::{Duration, Instant};

use server::config::Config;
use server::store::Sql;
use server::world::SystemWorld;
use sync_protocol::code::ConflictState;
use sync_protocol::entity::{Conflict, Employment, EntityKind, ScopeGrant, Visit};
use sync_protocol::id::ConflictId;
use sync_protocol::wire::{History, Message};
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PROGRAMME, RADU};
use tests::state::{head, number, psql, rows_in};
use tests::{Answer, Cache, Device, Proxy, TestServer, Way, now, sample};
use uuid::Uuid;

/// A server with some work in each of the three enterprises.
async fn started(page_rows: usize) -> TestServer {
    let mut config = Config::default();
    config.sync.page_rows = page_rows;
    let server = TestServer::with(config, std::sync::Arc::new(SystemWorld)).await;
    programme::load(&server.app).await;
    let db = &server.app.office;
    for (enterprise, mentor) in [(0, ANA), (1, ANA), (2, RADU)] {
        let visit = sample::visit(ENTERPRISES[enterprise], mentor);
        programme::import(db, std::slice::from_ref(&visit)).await;
        programme::import(db, &["a", "b", "c"].map(|text| sample::finding(&visit, text))).await;
        programme::import(db, &["Q1", "Q2"].map(|code| sample::answer(&visit, code, "nu"))).await;
        let position = sample::position(ENTERPRISES[enterprise]);
        let employment = sample::employment(&position, mentor);
        programme::import(db, &[position]).await;
        programme::import(db, &[employment]).await;
    }
    server
}

/// Asserts that a device holds exactly what its scopes hold by the tables themselves.
async fn assert_complete(server: &TestServer, device: &Device, scopes: &[Uuid]) {
    let mut expected = rows_in(&server.app.office, scopes).await;
    for ((kind, _), row) in &mut expected {
        let masked = kind.def().fields.iter().enumerate().filter(|(_, field)| field.special);
        masked.for_each(|(at, _)| row.row.values[at] = sync_protocol::value::Value::Null);
    }
    let held = &device.cache.rows;
    let missing: Vec<_> = expected.keys().filter(|key| !held.contains_key(key)).collect();
    let beyond: Vec<_> = held.keys().filter(|key| !expected.contains_key(key)).collect();
    assert!(missing.is_empty() && beyond.is_empty(), "missing {missing:?}, beyond {beyond:?}");
    let stale: Vec<_> = expected.iter().filter(|(key, row)| held[*key] != **row).collect();
    assert!(stale.is_empty(), "stale: {stale:?}");
}

fn anas() -> Vec<Uuid> {
    vec![ANA.0, PROGRAMME, ENTERPRISES[0].0, ENTERPRISES[1].0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_brings_the_rows_in_scope_and_nothing_else() {
    let server = started(2_000).await;
    let mut device = Device::enrol(server.address, ANA).await;
    let answer = device.sync().await;
    assert_eq!(answer.scopes().map(|scopes| scopes.len()), Some(4));
    assert_complete(&server, &device, &anas()).await;
    assert_eq!(device.cache.all::<Visit>().len(), 2);
    let last = answer.checkpoints().last().unwrap().rows_sent;
    assert_eq!((last, answer.checkpoints()[0].rows_expected), (device.cache.rows.len() as u64, last));
}

#[tokio::test(flavor = "multi_thread")]
async fn special_categories_never_come_back_to_a_phone() {
    let server = started(2_000).await;
    // Radu may read them in the office, as a monitoring officer.
    let promoted = format!("UPDATE \"user\" SET role = 'MONITORING_OFFICER' WHERE id = '{RADU}'");
    psql(&server.app.office, &promoted).await;
    for user in [ANA, RADU, CARMEN] {
        let mut device = Device::enrol(server.address, user).await;
        device.sync().await;
        let employments = device.cache.all::<Employment>();
        assert!(!employments.is_empty());
        assert!(employments.iter().all(|row| row.vulnerability_codes.is_none() && row.is_vulnerable));
    }
    let kept = "SELECT count(*) FROM employment WHERE vulnerability_codes IS NOT NULL";
    assert_eq!(number(&server.app.office, kept).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_about_a_special_category_shows_no_value_on_a_phone() {
    let server = started(2_000).await;
    let about = |id: u128, field: &str| Conflict {
        id: ConflictId(Uuid::from_u128(id)),
        subject_scope_id: ENTERPRISES[0].0,
        subject_kind: "employment".to_owned(),
        subject_id: Uuid::from_u128(1),
        field: field.to_owned(),
        kept_value: Some("\"una\"".to_owned()),
        other_value: Some("\"alta\"".to_owned()),
        kept_by: Some(ANA),
        other_by: Some(RADU),
        detected_at: now(),
        policy: "LastArrival".to_owned(),
        state: ConflictState::Open,
        resolved_by: None,
        resolved_at: None,
    };
    programme::import(&server.app.office, &[about(1, "vulnerability_codes"), about(2, "contract_no")]).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let shown = |id: u128| device.cache.get::<Conflict>(ConflictId(Uuid::from_u128(id))).map(|row| row.kept_value);
    assert_eq!(shown(1), Some(None));
    assert_eq!(shown(2), Some(Some("\"una\"".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_on_the_phone_keeps_the_special_fields_that_it_cannot_see() {
    let server = started(2_000).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let before = device.cache.all::<Employment>().remove(0);
    let seq = device.cache.rows[&(EntityKind::Employment, before.id.0)].seq;
    let no = device.change(&before, &Employment { contract_no: Some("7/2024".to_owned()), ..before.clone() }, seq);
    assert_eq!(device.sync().await.code(no), "");
    let kept = "SELECT count(*) FROM employment WHERE vulnerability_codes IS NOT NULL AND contract_no = '7/2024'";
    assert_eq!(number(&server.app.office, kept).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_sync_brings_only_what_changed() {
    let server = started(2_000).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let visit = device.cache.all::<Visit>().remove(0);
    let db = &server.app.office;
    psql(db, &format!("UPDATE visit SET summary = 'nou' WHERE id = '{}'", visit.id)).await;
    psql(db, &format!("DELETE FROM finding WHERE visit_id = '{}' AND text = 'b'", visit.id)).await;
    psql(db, &format!("UPDATE visit SET summary = 'nou' WHERE enterprise_id = '{}'", ENTERPRISES[2])).await;
    let answer = device.sync().await;
    assert_eq!(answer.rows().iter().map(|(_, row)| row.row.id).collect::<Vec<_>>(), [visit.id.0]);
    assert_eq!((answer.gone().len(), answer.scopes()), (1, None));
    assert_complete(&server, &device, &anas()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_cut_after_any_message_goes_on_from_its_last_checkpoint() {
    let server = started(2).await;
    let fresh = Device::enrol(server.address, ANA).await;
    let whole = fresh.send(&[]).await;
    assert!(whole.checkpoints().len() > 8, "the pages are too large for this test");
    for cut in 0..whole.messages.len() {
        let mut device = fresh.clone();
        device.take(&whole.messages[..cut]);
        let checkpoints = whole.messages[..cut].iter().filter(|m| matches!(m, Message::Checkpoint(_))).count();
        let answer = device.sync().await;
        assert_complete(&server, &device, &anas()).await;
        assert_eq!(device.cache.cursor.seq, head(&server.app.office).await as u64);
        let sent_again = answer.checkpoints().len();
        assert!(sent_again + checkpoints <= whole.checkpoints().len() + 2, "cut after {cut}: it started over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_that_is_cut_after_any_message_loses_nothing_while_the_rows_move_on() {
    let server = started(2).await;
    let db = &server.app.office;
    let mut synced = Device::enrol(server.address, ANA).await;
    synced.sync().await;
    psql(db, "UPDATE finding SET text = text || '!'; UPDATE visit SET summary = 'nou'").await;
    let whole = synced.send(&[]).await;
    for cut in 0..whole.messages.len() {
        let mut device = synced.clone();
        device.take(&whole.messages[..cut]);
        psql(db, &format!("UPDATE finding SET text = '{cut}' WHERE text LIKE 'a%' OR text ~ '^[0-9]+$'")).await;
        psql(
            db,
            "UPDATE visit SET enterprise_id = CASE enterprise_id \
            WHEN '00000000-0000-0000-0000-00000000c001' THEN '00000000-0000-0000-0000-00000000c002'::uuid \
            WHEN '00000000-0000-0000-0000-00000000c002' THEN '00000000-0000-0000-0000-00000000c001'::uuid \
            ELSE enterprise_id END",
        )
        .await;
        device.sync().await;
        assert_complete(&server, &device, &anas()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_rows_are_not_echoed_but_come_when_the_cache_starts_over() {
    let server = started(2_000).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    device.create(&sample::finding(&visit, "a mea"));
    let answer = device.sync().await;
    assert!(answer.rows().is_empty(), "{:?}", answer.rows());
    assert_complete(&server, &device, &anas()).await;
    device.cache = Cache::default();
    assert!(device.sync().await.has_row(visit.id));
    assert_complete(&server, &device, &anas()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_own_rows_than_a_page_holds_do_not_hide_what_comes_after_them() {
    let server = started(2).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    for text in ["1", "2", "3", "4"] {
        device.create(&sample::finding(&visit, text));
    }
    // The results arrive, and then the link breaks.
    let answer = device.send(&device.pending()).await;
    let results = answer.messages.iter().rposition(|m| matches!(m, Message::PushResult(_))).unwrap();
    device.take(&answer.messages[..=results]);
    assert_eq!(device.confirmed, 5);
    let others = sample::finding(&visit, "a altcuiva");
    programme::import(&server.app.office, std::slice::from_ref(&others)).await;
    assert!(device.sync().await.has_row(others.id));
    assert_complete(&server, &device, &anas()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_grant_backfills_that_scope_only() {
    let server = started(2).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    programme::import(&server.app.office, &[programme::grant(ANA, ENTERPRISES[2])]).await;
    let told = device.sync_once().await;
    assert!(told.scopes().is_some_and(|scopes| scopes.contains(&ENTERPRISES[2].0)) && told.end().unwrap().more);
    let answer = device.sync().await;
    let backfilled = |(kind, row): &(EntityKind, &sync_protocol::rows::VersionedRow)| {
        *kind == EntityKind::ScopeGrant || row.row.scope_id(kind.def(), PROGRAMME) == ENTERPRISES[2].0
    };
    assert!(answer.rows().iter().all(backfilled), "rows of other scopes were sent again");
    let with_third: Vec<Uuid> = anas().into_iter().chain([ENTERPRISES[2].0]).collect();
    assert_complete(&server, &device, &with_third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enterprise_that_is_handed_over_leaves_one_phone_and_reaches_the_other() {
    let server = started(2_000).await;
    let (mut ana, mut radu) = (Device::enrol(server.address, ANA).await, Device::enrol(server.address, RADU).await);
    ana.sync().await;
    radu.sync().await;
    let ended = ScopeGrant { valid_until_at: Some(now()), ..programme::grant(ANA, ENTERPRISES[0]) };
    let sql = format!("UPDATE scope_grant SET valid_until_at = now() WHERE id = '{}'", ended.id);
    psql(&server.app.office, &sql).await;
    programme::import(&server.app.office, &[programme::grant(RADU, ENTERPRISES[0])]).await;
    let told = ana.sync_once().await;
    assert!(told.scopes().is_some_and(|scopes| !scopes.contains(&ENTERPRISES[0].0)));
    ana.sync().await;
    radu.sync().await;
    assert_complete(&server, &ana, &[ANA.0, PROGRAMME, ENTERPRISES[1].0]).await;
    assert_complete(&server, &radu, &[RADU.0, PROGRAMME, ENTERPRISES[2].0, ENTERPRISES[0].0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moves_between_two_scopes_of_a_phone_stays_on_it() {
    let server = started(2).await;
    let db = &server.app.office;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    for (from, to) in [(0, 1), (1, 0)] {
        let moved = format!(
            "UPDATE visit SET enterprise_id = '{}' WHERE enterprise_id = '{}'",
            ENTERPRISES[to], ENTERPRISES[from]
        );
        psql(db, &moved).await;
        device.sync().await;
        assert_complete(&server, &device, &anas()).await;
        let mut fresh = Device::enrol(server.address, ANA).await;
        fresh.sync().await;
        assert_complete(&server, &fresh, &anas()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_history_gets_everything_again() {
    let server = started(2_000).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let synced = device.cache.clone();
    let mut wrong = [synced.clone(), synced.clone(), synced.clone(), synced.clone()];
    wrong[0].cursor.epoch = Uuid::new_v4();
    wrong[1].cursor.chain = sync_protocol::mutation::ChainHash([9; 16]);
    wrong[2].cursor.seq += 1_000;
    wrong[3].cursor.seq -= 1;
    for cache in wrong {
        device.cache = cache;
        let answer = device.sync().await;
        assert_eq!(answer.welcome().history, History::Other);
        assert_eq!(device.cache, synced);
    }
    psql(&server.app.office, "UPDATE programme_head SET epoch = gen_random_uuid()").await;
    assert_eq!(device.sync().await.welcome().history, History::Other);
    assert_eq!(device.cache.rows, synced.rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_without_news_is_small_and_asks_no_data_table() {
    let server = started(2_000).await;
    let db = server.app.office.clone();
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let proxy = Proxy::start(server.address).await;
    device.address = proxy.address;
    device.sync().await;
    let tables: Vec<String> = EntityKind::ALL.iter().map(|kind| kind.def().name.to_owned()).collect();
    let scans = || async {
        // What a backend has counted is published when it is next idle for a second, or when it is told to.
        let text = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint FROM pg_stat_user_tables \
             WHERE relname = ANY($1)";
        let mut conn = db.conn().await.unwrap();
        conn.query_opt(Sql::new(text).bind(tables.clone())).await.unwrap().unwrap().int(0).unwrap()
    };
    let statements = server.app.sync.statements();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    device.sync().await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    device.sync().await;
    let before = scans().await;
    proxy.take_passed(Way::Up);
    proxy.take_passed(Way::Down);
    for _ in 0..5 {
        assert!(device.sync().await.rows().is_empty());
    }
    let (up, down) = (proxy.take_passed(Way::Up) / 5, proxy.take_passed(Way::Down) / 5);
    assert!(up <= 600 && down <= 600, "an idle sync took {up} bytes up and {down} down");
    assert!(server.app.sync.statements() - statements <= 7 * 8, "an idle sync takes more than 8 statements");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    device.sync().await;
    assert_eq!(scans().await, before, "an idle sync read a data table");
    psql(&db, "UPDATE enterprise SET name = name || '!'").await;
    device.sync().await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    device.sync().await;
    assert!(scans().await > before, "this test would not notice a data table that is read");
}

/// Sends a waiting request, does something meanwhile and returns the answer and how long it took after that.
async fn wait_while(device: &Device, meanwhile: impl Future<Output = ()>) -> (Answer, Duration) {
    let mut waiting = device.clone();
    waiting.wait_ms = 20_000;
    let request = tokio::spawn(async move { (waiting.send(&[]).await, Instant::now()) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!request.is_finished(), "there was no news to answer with");
    let started = Instant::now();
    meanwhile.await;
    let (answer, at) = request.await.unwrap();
    (answer, at.duration_since(started))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_phone_hears_of_changes_at_once() {
    let server = started(2_000).await;
    let mut ana = Device::enrol(server.address, ANA).await;
    let mut other = Device::enrol(server.address, ANA).await;
    ana.sync().await;
    other.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    other.create(&visit);
    let (answer, took) = wait_while(&ana, async { drop(other.sync().await) }).await;
    assert!(answer.has_row(visit.id) && took < Duration::from_millis(450), "after {took:?}");
    ana.take(&answer.messages);
    let sql = format!("UPDATE visit SET summary = 'prin SQL' WHERE id = '{}'", visit.id);
    let (answer, took) = wait_while(&ana, psql(&server.app.office, &sql)).await;
    assert!(answer.has_row(visit.id) && took < Duration::from_millis(1_000), "after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_may_no_longer_sign_in_gets_nothing() {
    let server = started(2_000).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    psql(&server.app.office, &format!("UPDATE \"user\" SET is_active = false WHERE id = '{ANA}'")).await;
    let answer = device.sync_once().await;
    assert_eq!(answer.faults().first().map(|fault| fault.code.as_str()), Some("UNAUTHENTICATED"));
    assert!(answer.rows().is_empty() && matches!(answer.messages.last(), Some(Message::End(_))));
}

fn is_gone(answer: &Answer, id: impl Into<Uuid>) -> bool {
    let id = id.into();
    answer.gone().iter().any(|(_, row, _)| *row == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_begins_is_not_told_what_was_deleted_before() {
    let server = started(2_000).await;
    let office = &server.app.office;
    let mut known = Device::enrol(server.address, RADU).await;
    known.sync().await;
    let before = Device::enrol(server.address, ANA).await.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(office, std::slice::from_ref(&visit)).await;
    let many: Vec<_> = (0..200).map(|n| sample::finding(&visit, &format!("ștearsă {n}"))).collect();
    programme::import(office, &many).await;
    psql(office, "DELETE FROM finding WHERE text LIKE 'ștearsă%'").await;
    psql(office, &format!("UPDATE visit SET enterprise_id = '{}' WHERE id = '{}'", ENTERPRISES[2], visit.id)).await;
    let mut fresh = Device::enrol(server.address, ANA).await;
    let answer = fresh.sync().await;
    assert_eq!((answer.gone(), answer.rows().len()), (vec![], before.rows().len()));
    assert_complete(&server, &fresh, &anas()).await;
    // So is one that gets a new scope.
    known.sync().await;
    programme::import(office, &[programme::grant(RADU, ENTERPRISES[0])]).await;
    known.sync_once().await;
    let answer = known.sync().await;
    assert_eq!((answer.gone(), answer.rows().is_empty()), (vec![], false));
    assert_complete(&server, &known, &[RADU.0, PROGRAMME, ENTERPRISES[0].0, ENTERPRISES[2].0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_goes_on_is_told_what_it_has_and_not_what_it_never_had() {
    let server = started(3).await;
    let office = &server.app.office;
    let mut device = Device::enrol(server.address, ANA).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(office, std::slice::from_ref(&visit)).await;
    let whole = device.send(&[]).await;
    // Up to the first finding, and no further.
    let at = whole
        .messages
        .iter()
        .position(|message| matches!(message, Message::Rows(rows) if rows.kind == Some(EntityKind::Finding)));
    let cut = whole.messages[at.unwrap()..].iter().position(|message| matches!(message, Message::Checkpoint(_)));
    device.take(&whole.messages[..=at.unwrap() + cut.unwrap()]);
    let held = device.cache.all::<sync_protocol::entity::Finding>()[0].id;
    assert!(!device.cache.rows.contains_key(&(EntityKind::Visit, visit.id.0)));
    psql(office, &format!("DELETE FROM finding WHERE id = '{held}'")).await;
    psql(office, &format!("DELETE FROM visit WHERE id = '{}'", visit.id)).await;
    let answer = device.sync().await;
    assert!(is_gone(&answer, held.0) && !is_gone(&answer, visit.id.0));
    assert_complete(&server, &device, &anas()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_begins_again_is_told_what_became_of_its_own_rows() {
    let server = started(2_000).await;
    let office = &server.app.office;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let (deleted, moved) = (sample::visit(ENTERPRISES[0], ANA), sample::visit(ENTERPRISES[0], ANA));
    device.create(&deleted);
    device.create(&moved);
    device.sync().await;
    psql(office, &format!("DELETE FROM visit WHERE id = '{}'", deleted.id)).await;
    psql(office, &format!("UPDATE visit SET enterprise_id = '{}' WHERE id = '{}'", ENTERPRISES[2], moved.id)).await;
    device.cache = Cache::default();
    let answer = device.sync().await;
    assert!(is_gone(&answer, deleted.id.0) && is_gone(&answer, moved.id.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_deleted_in_a_scope_that_has_just_come_leaves_the_one_that_was_there() {
    let server = started(2_000).await;
    let office = &server.app.office;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(office, std::slice::from_ref(&visit)).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    psql(office, &format!("UPDATE visit SET enterprise_id = '{}' WHERE id = '{}'", ENTERPRISES[2], visit.id)).await;
    psql(office, &format!("DELETE FROM visit WHERE id = '{}'", visit.id)).await;
    programme::import(office, &[programme::grant(ANA, ENTERPRISES[2])]).await;
    device.sync().await;
    device.sync().await;
    let scopes = [&anas()[..], &[ENTERPRISES[2].0]].concat();
    assert_complete(&server, &device, &scopes).await;
}
