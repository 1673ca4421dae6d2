//! A server that is killed while a phone sends to it: the phone takes nothing for sent that was not answered, and its
//! next syncs bring everything over, once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::app::App;
use server::config::Config;
use server::world::SystemWorld;
use sync_protocol::code::{VisitKind, VisitMode};
use sync_protocol::id::VisitId;
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::phone::assert_equal;
use tests::visit::next_step;
use tests::{Phone, ServerProcess, TestDb, state};

const KILLS: u32 = 18;

/// Makes a visit with everything that belongs to it.
fn make_visit(phone: &Phone) -> VisitId {
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let id = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    while next_step(phone, id).unwrap().is_some() {}
    id
}

/// Returns how long the sync of a visit takes when nobody disturbs it and everything is warm.
async fn measure_push(phone: &Phone) -> u64 {
    let mut shortest_us = u64::MAX;
    for _ in 0..3 {
        make_visit(phone);
        let start = Instant::now();
        phone.sync().await;
        shortest_us = shortest_us.min(start.elapsed().as_micros() as u64);
    }
    shortest_us
}

async fn mutations(app: &App) -> u64 {
    state::number(&app.office, "SELECT count(*) FROM mutation").await as u64
}

/// Waits until the server has taken everything; its answer is then still to come.
async fn wait_for_commit(app: &App, recorded: u64) {
    while mutations(app).await < recorded {}
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_server_in_the_middle_of_a_push_lose_nothing_and_repeat_nothing() {
    let db = TestDb::new().await;
    let app = App::new(Config::default(), Arc::new(SystemWorld), &db.url).unwrap();
    let programme = demo::load(&app).await;
    let address = ServerProcess::free_address();
    let mut server = ServerProcess::serve(&db, address);
    let phone = Phone::new(address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    let push_us = measure_push(&phone).await;
    let mut random = ChaCha8Rng::seed_from_u64(19);
    let mut recorded = mutations(&app).await;
    let (mut visits, mut unapplied, mut unanswered) = (Vec::new(), 0, 0);
    for round in 0..KILLS {
        visits.push(make_visit(&phone));
        let waiting = phone.status().unwrap().sync.pending;
        recorded += waiting;
        let (outcome, ()) = futures::join!(phone.try_sync(), async {
            if round % 2 == 0 {
                tokio::time::sleep(Duration::from_micros(random.random_range(0..push_us))).await;
            } else {
                wait_for_commit(&app, recorded).await;
            }
            server.signal(libc::SIGKILL);
        });
        let arrived = mutations(&app).await;
        // A phone that took the sending for the answer would find out at its next sync, and show until then that all is
        // there.
        let pending = phone.status().unwrap().sync.pending;
        assert!(pending + arrived >= recorded, "round {round}: {pending} of {} still to be sent", recorded - arrived);
        unapplied += u32::from(arrived < recorded);
        unanswered += u32::from(arrived == recorded && outcome.is_err());
        drop(server);
        server = ServerProcess::serve(&db, address);
        phone.sync().await;
        assert_eq!(phone.status().unwrap().sync.pending, 0, "round {round}");
    }
    eprintln!("{unapplied} pushes were killed before their commit, {unanswered} before their answer");
    assert!(unapplied > 0 && unanswered > 0, "the kills came at the wrong moments; this test shows too little");
    let count = async |text: &str| state::number(&app.office, text).await as u64;
    assert_eq!(count("SELECT count(*) FROM mutation WHERE outcome = 'A'").await, recorded);
    assert_eq!(count("SELECT count(DISTINCT no) FROM mutation").await, recorded);
    let submitted = state::texts(&app.office, "SELECT id::text FROM visit WHERE status = 'SUBMITTED'").await;
    assert!(visits.iter().all(|visit| submitted.contains(&visit.0.to_string())), "a visit is not there");
    let expected = state::rows_for_mentor(&app.office, demo::id(&programme), demo::user(&programme, ANA).0).await;
    assert_equal(&phone.rows(), &expected);
}
