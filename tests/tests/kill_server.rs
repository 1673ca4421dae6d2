//! A server that is killed while a phone sends to it: the phone's next syncs bring everything over, once.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

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
/// A little longer than such a push takes.
const LONGEST_LIFE_MS: u64 = 60;

/// Starts the server where the phone looks for it.
fn start(db: &TestDb, address: SocketAddr) -> ServerProcess {
    let mut command = ServerProcess::command(&["serve"]);
    command.env("DATABASE_URL", &db.url).env("TEREN__ENVIRONMENT", "production");
    command.env("TEREN__HTTP__BEHIND_TLS_PROXY", "true").env("TEREN__LOG__FILTER", "error");
    command.env("TEREN__HTTP__LISTEN", address.to_string());
    ServerProcess::start(&mut command)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
}

/// Makes a visit with everything that belongs to it.
fn make_visit(phone: &Phone) -> VisitId {
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let id = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    while next_step(phone, id).unwrap().is_some() {}
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_server_in_the_middle_of_a_push_lose_nothing_and_repeat_nothing() {
    let db = TestDb::new().await;
    let app = App::new(Config::default(), Arc::new(SystemWorld), &db.url).unwrap();
    let programme = demo::load(&app).await;
    let address = free_address();
    let mut server = start(&db, address);
    let phone = Phone::new(address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    let mut random = ChaCha8Rng::seed_from_u64(19);
    let (mut recorded, mut visits, mut unapplied, mut unanswered) = (0, Vec::new(), 0, 0);
    for round in 0..KILLS {
        visits.push(make_visit(&phone));
        let waiting = phone.status().unwrap().sync.pending;
        recorded += waiting;
        let life = Duration::from_millis(random.random_range(0..LONGEST_LIFE_MS));
        let (outcome, ()) = futures::join!(phone.try_sync(), async {
            tokio::time::sleep(life).await;
            server.signal(libc::SIGKILL);
        });
        let arrived = state::number(&app.office, "SELECT count(*) FROM mutation").await as u64;
        unapplied += u32::from(arrived < recorded);
        unanswered += u32::from(arrived == recorded && outcome.is_err());
        drop(server);
        server = start(&db, address);
        phone.sync().await;
        assert_eq!(phone.status().unwrap().sync.pending, 0, "round {round}");
    }
    eprintln!("{unapplied} pushes were killed before their commit, {unanswered} before their answer");
    assert!(unapplied > 2 && unanswered > 0, "the kills came at the wrong moments; this test shows too little");
    let count = async |text: &str| state::number(&app.office, text).await as u64;
    assert_eq!(count("SELECT count(*) FROM mutation WHERE outcome = 'A'").await, recorded);
    assert_eq!(count("SELECT count(DISTINCT no) FROM mutation").await, recorded);
    let submitted = state::texts(&app.office, "SELECT id::text FROM visit WHERE status = 'SUBMITTED'").await;
    assert!(visits.iter().all(|visit| submitted.contains(&visit.0.to_string())), "a visit is not there");
    let expected = state::rows_for_mentor(&app.office, demo::id(&programme), demo::user(&programme, ANA).0).await;
    assert_equal(&phone.rows(), &expected);
}
