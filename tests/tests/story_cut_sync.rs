//! A batch sync at the petrol station: the link breaks again and again, at any byte, and in the end both sides hold
//! the same.

use client_sdk::api::visits::NewFinding;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::demo::DemoProgramme;
use sync_protocol::code::{FindingArea, Severity, VisitKind, VisitMode};
use sync_protocol::entity::Finding;
use sync_protocol::id::VisitId;
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::phone::assert_equal;
use tests::{Phone, Proxy, TestServer, Way, state};
use uuid::Uuid;

const PHONES: u64 = 5;
const CUTS_OF_A_PHONE: u64 = 24;

/// What happened to all phones together.
#[derive(Debug, Default)]
struct Tally {
    recorded: u64,
    failed: u64,
    /// Syncs that failed after the server had taken what they sent.
    answers_lost: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cuts_at_random_bytes_of_pushes_and_first_syncs_end_with_equal_sides() {
    let server = TestServer::new().await;
    let programme = demo::load(&server.app).await;
    let network = Proxy::start(server.address).await;
    let mut random = ChaCha8Rng::seed_from_u64(23);
    let mut tally = Tally::default();
    for _ in 0..PHONES {
        let phone = Phone::new(network.address);
        phone.enrol(ANA, DEMO_PASSWORD).await;
        fetch_through_cuts(&phone, &network, &mut random, &mut tally).await;
        push_through_cuts(&phone, &server, &network, &mut random, &mut tally).await;
        assert_sides_are_equal(&phone, &server, &programme, &tally).await;
    }
    assert!(tally.failed > 60 && tally.answers_lost > 10, "the cuts hurt too little: {tally:?}");
}

/// Syncs for the first time; half of the cuts come meanwhile.
async fn fetch_through_cuts(phone: &Phone, network: &Proxy, random: &mut ChaCha8Rng, tally: &mut Tally) {
    for _ in 0..CUTS_OF_A_PHONE / 2 {
        network.cut_after(Way::Down, random.random_range(0..30_000));
        tally.failed += u64::from(phone.try_sync().await.is_err());
        network.heal();
    }
    phone.sync().await;
}

/// Records and syncs; the other half of the cuts comes meanwhile.
async fn push_through_cuts(
    phone: &Phone,
    server: &TestServer,
    network: &Proxy,
    random: &mut ChaCha8Rng,
    tally: &mut Tally,
) {
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let visit = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    tally.recorded += 1;
    for _ in 0..CUTS_OF_A_PHONE / 2 {
        tally.recorded += record_findings(phone, visit, random.random_range(1..6));
        let way = if random.random_bool(0.5) { Way::Up } else { Way::Down };
        network.cut_after(way, random.random_range(0..1_200));
        let was_cut = phone.try_sync().await.is_err();
        tally.failed += u64::from(was_cut);
        let waits_for_answer = was_cut && mutations(server).await == tally.recorded;
        tally.answers_lost += u64::from(waits_for_answer);
        network.heal();
        // Every other time, what was cut goes out together with what is recorded next.
        if random.random_bool(0.5) {
            phone.sync().await;
        }
    }
    phone.sync().await;
}

fn record_findings(phone: &Phone, visit: VisitId, count: u64) -> u64 {
    for _ in 0..count {
        let text = format!("Constatarea {}", Uuid::new_v4());
        let finding = NewFinding { area: FindingArea::Jobs, severity: Severity::Minor, text, rule_ref: None };
        phone.visits().add_finding(visit, finding).unwrap();
    }
    count
}

async fn mutations(server: &TestServer) -> u64 {
    state::number(&server.app.office, "SELECT count(*) FROM mutation").await as u64
}

async fn assert_sides_are_equal(phone: &Phone, server: &TestServer, programme: &DemoProgramme, tally: &Tally) {
    let db = &server.app.office;
    let expected = state::rows_for_mentor(db, demo::id(programme), demo::user(programme, ANA).0).await;
    assert_equal(&phone.rows(), &expected);
    assert_eq!(mutations(server).await, tally.recorded);
    let count = async |text: &str| state::number(db, text).await as u64;
    assert_eq!(count("SELECT count(*) FROM mutation WHERE outcome <> 'A'").await, 0);
    let repeated = "SELECT count(*) - count(DISTINCT text) FROM finding WHERE text LIKE 'Constatarea %-%'";
    assert_eq!(count(repeated).await, 0);
    let standing = phone.status().unwrap().sync;
    let held = count("SELECT count(*) FROM held_item WHERE state = 'OPEN'").await;
    assert_eq!((standing.pending, standing.held, standing.rejected, standing.conflicts), (0, held, 0, 0));
    let own = phone.count::<Finding>(&client_sdk::store::Query::new()).unwrap();
    assert_eq!(own, expected.keys().filter(|(kind, _)| kind.def().name == "finding").count() as u64);
}
