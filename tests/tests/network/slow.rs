//! The networks that our phones know best, in a world whose time runs faster.

use std::sync::Arc;
use std::time::Duration;

use client_sdk::sync::SyncReport;
use server::config::Config;
use server::world::SystemWorld;
use tests::demo::{ANA, DEMO_PASSWORD};
use tests::{Harm, Phone, Proxy, TWO_G_EDGE, TestServer, Toxic, VILLAGE_WIFI, Way};

use super::{Field, Office, PATIENCE};

/// So few that a first sync has many pages.
const PAGE_ROWS: usize = 50;

async fn office_with_small_pages() -> Office {
    let mut config = Config::default();
    config.sync.page_rows = PAGE_ROWS;
    Office::on(TestServer::with(config, Arc::new(SystemWorld)).await).await
}

/// Syncs until everything is on both sides, and returns the requests that it took, broken ones included.
async fn sync_to_the_end(phone: &Phone, most: u32) -> (SyncReport, u32) {
    for attempt in 1..=most {
        if let Ok(report) = phone.try_sync().await
            && report.complete
        {
            return (report, attempt);
        }
    }
    panic!("after {most} syncs not everything is there");
}

/// Enrols a phone, makes the network bad, and syncs for the first time. Returns the bytes and syncs that it took.
async fn first_sync(network: &Proxy, seed: u64, toxics: &[Toxic]) -> (Phone, u64, u32) {
    let phone = Phone::hurried(network.address, PATIENCE);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    network.set(seed, toxics);
    network.drop_connections().await;
    network.take_passed(Way::Down);
    let (_, attempts) = sync_to_the_end(&phone, 60).await;
    (phone, network.take_passed(Way::Down), attempts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_gets_through_the_edge_of_a_2g_cell() {
    let office = office_with_small_pages().await;
    let network = Proxy::start(office.server.address).await;
    let (_, undisturbed, _) = first_sync(&network, 0, &[]).await;
    let mut field = Field::open(office.server.address).await;
    field.network.set(3, &TWO_G_EDGE.map(|harm| harm.faster(20).into()));
    field.network.drop_connections().await;
    field.record(120);
    let (report, attempts) = sync_to_the_end(&field.phone, 3).await;
    assert_eq!((report.pushed, attempts), (121, 1), "a day has to go through at once");
    office.assert_has_all_of(&field).await;
    let edge = TWO_G_EDGE.map(|harm| harm.faster(20).into());
    let (_, bytes, attempts) = first_sync(&network, 4, &edge).await;
    assert!(attempts == 1 && bytes < undisturbed * 2, "{bytes} bytes in {attempts} syncs instead of {undisturbed}");
}

/// The resets of the village Wi-Fi come as often as the first sync takes a few of them.
fn village_wifi() -> Vec<Toxic> {
    let [latency, rate, resets] = VILLAGE_WIFI;
    [latency.faster(80), rate, resets.faster(75)].map(Toxic::from).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_goes_on_where_the_village_wifi_broke_it_off() {
    let office = office_with_small_pages().await;
    let network = Proxy::start(office.server.address).await;
    let (_, undisturbed, _) = first_sync(&network, 0, &[]).await;
    let (phone, bytes, attempts) = first_sync(&network, 5, &village_wifi()).await;
    eprintln!("{bytes} bytes in {attempts} syncs, {undisturbed} undisturbed");
    assert!(attempts > 2, "nothing was reset");
    assert!(bytes < undisturbed * 2, "{bytes} bytes instead of {undisturbed}: it started over");
    network.heal();
    network.drop_connections().await;
    phone.sync().await;
    let field = Field { phone, network, visit: uuid::Uuid::nil().into(), recorded: 0 };
    office.assert_has_all_of(&field).await;
}

/// Weeks without a network: what waits is more than the network carries before the phone takes the server for dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_too_large_for_its_network_goes_in_parts() {
    const WAITING: u64 = 1_500;
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    field.record(WAITING);
    field.network.set(6, &[Harm::Rate { bytes_per_s: 12_000 }.into()]);
    field.network.drop_connections().await;
    field.network.take_passed(Way::Up);
    let phone = (*field.phone).clone();
    let drained = async {
        while field.pending() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        outcome = phone.connected(None, std::future::pending(), |_| {}) => panic!("it ended: {outcome:?}"),
        () = tokio::time::sleep(Duration::from_secs(90)) => panic!("{} changes still wait", field.pending()),
        () = drained => {}
    }
    eprintln!("{} bytes up for {WAITING} changes", field.network.take_passed(Way::Up));
    field.network.heal();
    field.network.drop_connections().await;
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
}

/// Long texts: a frame is cut where the server's limit is, with what a frame holds besides them.
#[tokio::test(flavor = "multi_thread")]
async fn changes_with_long_texts_fit_the_frames_of_the_server() {
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    for at in 0..700 {
        let finding = field.record(1);
        let text = format!("{at} {}", "Constatare lungă. ".repeat(110));
        field.phone.edit::<sync_protocol::entity::Finding>(finding, |finding| finding.text = text).unwrap();
        field.recorded += 1;
    }
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
}
