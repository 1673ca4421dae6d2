//! The SDK and the server with a bad network between them. What was recorded arrives once, whatever the network does.

mod damage;
mod partitions;
mod portal;
mod replies;
mod slow;

use std::net::SocketAddr;
use std::time::Duration;

use client_sdk::api::visits::NewFinding;
use server::demo::DemoProgramme;
use sync_protocol::code::{FindingArea, Severity, VisitKind, VisitMode};
use sync_protocol::id::{FindingId, VisitId};
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::phone::assert_equal;
use tests::{Phone, Proxy, TestServer, state};
use uuid::Uuid;

/// How long a phone of these tests waits for a silent server.
const PATIENCE: Duration = Duration::from_secs(4);

/// A server with the demo programme.
struct Office {
    server: TestServer,
    programme: DemoProgramme,
}

/// Ana's phone behind a network of its own, with a visit under way.
struct Field {
    phone: Phone,
    network: Proxy,
    visit: VisitId,
    /// How many changes were recorded on it.
    recorded: u64,
}

impl Office {
    async fn open() -> Self {
        Self::on(TestServer::new().await).await
    }

    async fn on(server: TestServer) -> Self {
        let programme = demo::load(&server.app).await;
        Self { server, programme }
    }

    async fn number(&self, sql: &str) -> u64 {
        state::number(&self.server.app.office, sql).await as u64
    }

    async fn mutations(&self) -> u64 {
        self.number("SELECT count(*) FROM mutation").await
    }

    async fn mutations_of(&self, phone: &Phone) -> u64 {
        let device = phone.store().device_id();
        self.number(&format!("SELECT count(*) FROM mutation WHERE device_id = '{device}'")).await
    }

    /// Asserts that everything that the phone recorded took effect once, and that it shows what the database holds.
    async fn assert_has_all_of(&self, field: &Field) {
        let phone = &field.phone;
        let standing = phone.status().unwrap().sync;
        assert_eq!((standing.pending, standing.held, standing.rejected, standing.conflicts), (0, 0, 0, 0));
        assert_eq!(self.mutations_of(phone).await, field.recorded, "changes were lost or came twice");
        let device = phone.store().device_id();
        let sql = format!("SELECT count(*) FROM mutation WHERE device_id = '{device}' AND outcome <> 'A'");
        assert_eq!(self.number(&sql).await, 0, "some changes were not simply applied");
        let repeated = "SELECT count(*) - count(DISTINCT text) FROM finding WHERE text LIKE 'Constatarea %-%'";
        assert_eq!(self.number(repeated).await, 0);
        let (programme, ana) = (demo::id(&self.programme), demo::user(&self.programme, ANA).0);
        assert_equal(&phone.rows(), &state::rows_for_mentor(&self.server.app.office, programme, ana).await);
    }
}

impl Field {
    /// Enrols a phone, brings everything to it, and starts a visit.
    async fn open(server: SocketAddr) -> Self {
        let network = Proxy::start(server).await;
        let phone = Phone::hurried(network.address, PATIENCE);
        phone.enrol(ANA, DEMO_PASSWORD).await;
        phone.sync().await;
        let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
        let visit = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
        Self { phone, network, visit, recorded: 1 }
    }

    /// Records findings and returns the last one.
    fn record(&mut self, count: u64) -> FindingId {
        let mut last = FindingId(Uuid::nil());
        for _ in 0..count {
            let text = format!("Constatarea {}", Uuid::new_v4());
            let finding = NewFinding { area: FindingArea::Jobs, severity: Severity::Minor, text, rule_ref: None };
            last = self.phone.visits().add_finding(self.visit, finding).unwrap().id;
        }
        self.recorded += count;
        last
    }

    fn pending(&self) -> u64 {
        self.phone.status().unwrap().sync.pending
    }
}

/// Returns how many histories of a test to run: few in every run of the tests, more where the variable says so.
fn histories(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
