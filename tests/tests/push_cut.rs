//! A link that breaks anywhere: what was sent before takes effect once, whether or not its answer arrived.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tests::programme::{self, ANA, ENTERPRISES};
use tests::{Device, Proxy, TestServer, Way, sample, state};

const CUTS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_cuts_at_random_bytes_lose_nothing_and_repeat_nothing() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let proxy = Proxy::start(server.address).await;
    device.address = proxy.address;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut cut_before, mut cut_after) = (0, 0);
    for round in 0..CUTS {
        for n in 0..random.random_range(1..4) {
            device.create(&sample::finding(&visit, &format!("{round}/{n}")));
        }
        let way = if random.random_bool(0.5) { Way::Up } else { Way::Down };
        // A little longer than requests and answers are: some cuts come too late to hurt.
        let latest = if way == Way::Up { 1_100 } else { 700 };
        proxy.cut_after(way, random.random_range(0..latest));
        let answer = device.sync_once().await;
        let arrived = state::number(&server.app.office, "SELECT coalesce(max(no), 0) FROM mutation").await as u64;
        cut_before += u64::from(answer.end().is_none() && arrived < device.outbox.len() as u64);
        cut_after += u64::from(answer.end().is_none() && arrived == device.outbox.len() as u64);
        proxy.heal();
        device.sync().await;
        assert_eq!(device.confirmed, device.outbox.len() as u64, "round {round}");
    }
    assert!(cut_before > 30 && cut_after > 30, "{cut_before} requests and {cut_after} answers were cut");
    let sent = device.outbox.len() as i64;
    let db = &server.app.office;
    assert_eq!(state::number(db, "SELECT count(*) FROM mutation").await, sent);
    assert_eq!(state::number(db, "SELECT count(*) FROM finding").await, sent - 1);
    assert_eq!(state::number(db, "SELECT count(DISTINCT text) FROM finding").await, sent - 1);
    assert_eq!(state::number(db, "SELECT count(*) FROM mutation WHERE outcome <> 'A'").await, 0);
    assert_eq!(device.cache.rows.len(), state::rows_in(db, &device.cache.scopes).await.len());
}
