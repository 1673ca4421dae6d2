//! A batch sync at the petrol station: the link breaks again and again, at any byte, and in the end both sides hold
//! the same.

use std::sync::Arc;

use client_sdk::api::visits::NewFinding;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::config::Config;
use server::demo::DemoProgramme;
use server::world::SystemWorld;
use sync_protocol::code::{FindingArea, Severity, VisitKind, VisitMode};
use sync_protocol::entity::{Entity as _, EntityKind};
use sync_protocol::id::{EnterpriseId, VisitId};
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::phone::assert_equal;
use tests::{Phone, Proxy, TestServer, Way, sample, state};
use uuid::Uuid;

const PHONES: u64 = 5;
const CUTS_OF_A_PHONE: u64 = 24;
/// So few that a first sync has many pages, and cuts come between them.
const PAGE_ROWS: usize = 50;

/// What happened to all phones together.
#[derive(Debug, Default)]
struct Tally {
    phones: u64,
    recorded: u64,
    /// First syncs that broke off between two pages, some of which had come.
    halves: u64,
    failed: u64,
    /// Syncs that failed after the server had taken what they sent.
    answers_lost: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cuts_at_random_bytes_of_pushes_and_first_syncs_end_with_equal_sides() {
    let mut config = Config::default();
    config.sync.page_rows = PAGE_ROWS;
    let server = TestServer::with(config, Arc::new(SystemWorld)).await;
    let programme = demo::load(&server.app).await;
    let network = Proxy::start(server.address).await;
    let mut random = ChaCha8Rng::seed_from_u64(23);
    let mut tally = Tally::default();
    for _ in 0..PHONES {
        let phone = Phone::new(network.address);
        phone.enrol(ANA, DEMO_PASSWORD).await;
        tally.phones += 1;
        fetch_through_cuts(&phone, &network, &mut random, &mut tally).await;
        tally.recorded += record_what_the_office_keeps_and_refuses(&phone, &programme);
        push_through_cuts(&phone, &server, &network, &mut random, &mut tally).await;
        assert_sides_are_equal(&phone, &server, &programme, &tally).await;
    }
    eprintln!("{tally:?}");
    assert!(tally.failed > 60 && tally.halves > 10 && tally.answers_lost > 10, "the cuts hurt too little: {tally:?}");
}

/// Syncs for the first time; half of the cuts come meanwhile.
async fn fetch_through_cuts(phone: &Phone, network: &Proxy, random: &mut ChaCha8Rng, tally: &mut Tally) {
    for _ in 0..CUTS_OF_A_PHONE / 2 {
        network.cut_after(Way::Down, random.random_range(0..6_000));
        tally.failed += u64::from(phone.try_sync().await.is_err());
        let is_half = !phone.rows().is_empty() && phone.status().unwrap().sync.last_complete_at.is_none();
        tally.halves += u64::from(is_half);
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

/// Records a finding of a visit that nobody knows, and a visit to an enterprise of someone else.
fn record_what_the_office_keeps_and_refuses(phone: &Phone, programme: &DemoProgramme) -> u64 {
    let own = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let orphan = sample::finding(&sample::visit(own, demo::user(programme, ANA)), "Fără vizită").to_row();
    phone.store().write(|batch| batch.put(EntityKind::Finding, orphan)).unwrap();
    let all = programme.rows.iter().filter(|(kind, _)| *kind == EntityKind::Enterprise);
    let mut others = all.filter(|(_, row)| phone.enterprises().get(EnterpriseId(row.id)).unwrap().is_none());
    let (_, other) = others.next().expect("Ana does not look after every enterprise");
    phone.visits().start(EnterpriseId(other.id), VisitKind::Routine, VisitMode::OnSite).unwrap();
    2
}

async fn mutations(server: &TestServer) -> u64 {
    state::number(&server.app.office, "SELECT count(*) FROM mutation").await as u64
}

async fn assert_sides_are_equal(phone: &Phone, server: &TestServer, programme: &DemoProgramme, tally: &Tally) {
    let db = &server.app.office;
    let expected = state::rows_for_mentor(db, demo::id(programme), demo::user(programme, ANA).0).await;
    let unsettled = [phone.held(10).unwrap(), phone.rejected(10).unwrap()].concat();
    let mut shown = phone.rows();
    for change in &unsettled {
        assert!(shown.remove(&(change.kind, change.row_id)).is_some(), "the person does not see {change:?}");
    }
    assert_equal(&shown, &expected);
    assert_eq!(mutations(server).await, tally.recorded);
    let count = async |text: &str| state::number(db, text).await as u64;
    let repeated = "SELECT count(*) - count(DISTINCT text) FROM finding WHERE text LIKE 'Constatarea %-%'";
    assert_eq!(count(repeated).await, 0);
    for (outcome, of_all) in [("H", tally.phones), ("R", tally.phones), ("C", 0), ("M", 0)] {
        let text = format!("SELECT count(*) FROM mutation WHERE outcome = '{outcome}'");
        assert_eq!(count(&text).await, of_all, "{outcome}");
    }
    let standing = phone.status().unwrap().sync;
    assert_eq!((standing.pending, standing.held, standing.rejected, standing.conflicts), (0, 1, 1, 0));
}
