//! A server that is killed at any moment of a push: nothing is lost, nothing is there twice.

use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::app::App;
use server::config::Config;
use server::world::SystemWorld;
use tests::programme::{self, ANA, ENTERPRISES};
use tests::{Device, ServerProcess, TestDb, sample, state};

const KILLS: u32 = 30;

fn start(db: &TestDb) -> ServerProcess {
    let mut command = ServerProcess::command(&["serve"]);
    command.env("DATABASE_URL", &db.url).env("TEREN__ENVIRONMENT", "production");
    command.env("TEREN__HTTP__BEHIND_TLS_PROXY", "true").env("TEREN__LOG__FILTER", "error");
    ServerProcess::start(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_in_the_middle_of_a_push_lose_nothing_and_repeat_nothing() {
    let db = TestDb::new().await;
    let app = App::new(Config::default(), Arc::new(SystemWorld), &db.url).unwrap();
    programme::load(&app).await;
    let mut server = start(&db);
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut unapplied = 0;
    for round in 0..KILLS {
        for n in 0..20 {
            device.create(&sample::finding(&visit, &format!("{round}/{n}")));
        }
        let sending = device.clone();
        let push = tokio::spawn(async move { sending.send(&sending.pending()).await });
        tokio::time::sleep(Duration::from_millis(random.random_range(0..70))).await;
        server.signal(libc::SIGKILL);
        push.await.unwrap();
        let arrived = state::number(&app.office, "SELECT coalesce(max(no), 0) FROM mutation").await as u64;
        unapplied += u32::from(arrived < device.outbox.len() as u64);
        drop(server);
        server = start(&db);
        device.address = server.address;
        device.sync().await;
        assert_eq!(device.confirmed, device.outbox.len() as u64, "round {round}");
    }
    assert!(unapplied > 0, "no kill came before a commit; this test shows nothing");
    let sent = device.outbox.len() as i64;
    assert_eq!(state::number(&app.office, "SELECT count(*) FROM mutation").await, sent);
    assert_eq!(state::number(&app.office, "SELECT count(DISTINCT text) FROM finding").await, sent - 1);
    assert_eq!(state::number(&app.office, "SELECT count(*) FROM finding").await, sent - 1);
    let gaps = "SELECT max(seq) - count(*) FROM seal_log";
    assert_eq!(state::number(&app.office, gaps).await, 0, "a killed push left a hole in the numbers");
    assert_eq!(device.cache.rows.len(), state::rows_in(&app.office, &device.cache.scopes).await.len());
}
