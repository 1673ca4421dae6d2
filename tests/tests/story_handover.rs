//! Handover of an enterprise: its rows go from one mentor's phone to another's, and nothing else travels; what the
//! first mentor had recorded there still counts.

use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use server::config::Config;
use server::demo::DemoProgramme;
use server::world::SystemWorld;
use sync_protocol::code::{VisitKind, VisitMode};
use sync_protocol::entity::{EntityKind, Visit};
use sync_protocol::id::{EnterpriseId, VisitId};
use sync_protocol::rows::VersionedRow;
use tests::demo::{self, ANA, DEMO_PASSWORD, ELENA};
use tests::phone::assert_equal;
use tests::{Office, Phone, Proxy, TestServer, Way, site, state};
use uuid::Uuid;

/// The mentor who hands over.
const MIHAI: &str = "mihai.mentor@example.org";

struct Scene {
    server: TestServer,
    programme: DemoProgramme,
    elena: Office,
    /// The network of Ana, who takes over.
    network: Proxy,
    ana: Phone,
    mihai: Phone,
    /// What is handed over.
    enterprise: EnterpriseId,
}

impl Scene {
    /// Starts with phones that hold everything, pages of so many rows, and Ana the mentor of all other enterprises.
    async fn new(page_rows: usize) -> Self {
        let mut config = Config::default();
        config.sync.page_rows = page_rows;
        let server = TestServer::with(config, Arc::new(SystemWorld)).await;
        let programme = demo::load(&server.app).await;
        let elena = Office::sign_in(server.address, ELENA, DEMO_PASSWORD).await;
        let mihai = Phone::new(server.address);
        mihai.enrol(MIHAI, DEMO_PASSWORD).await;
        mihai.sync().await;
        let network = Proxy::start(server.address).await;
        let ana = Phone::new(network.address);
        let mut scene = Self { server, programme, elena, network, ana, mihai, enterprise: EnterpriseId(Uuid::nil()) };
        let of_mihai = scene.mihai.enterprises().list().unwrap().into_iter().map(|enterprise| enterprise.data.id);
        scene.enterprise = of_mihai.min_by_key(|id| scene.rows_of(&scene.mihai, *id)).expect("Mihai has enterprises");
        let all = scene.programme.rows.iter().filter(|(kind, _)| *kind == EntityKind::Enterprise);
        for (_, other) in all.filter(|(_, row)| row.id != scene.enterprise.0) {
            scene.assign(other.id).await;
        }
        scene.ana.enrol(ANA, DEMO_PASSWORD).await;
        scene.ana.sync().await;
        scene
    }

    async fn assign(&self, enterprise: Uuid) {
        let input = json!({ "enterpriseId": enterprise, "mentorId": demo::user(&self.programme, ANA) });
        let done = self.elena.perform("assignMentor", "enterprise { mentorId }", input).await;
        assert_eq!(done["__typename"], "AssignMentorSuccess", "{done}");
    }

    /// Returns how many bytes Ana has downloaded since the last call.
    fn take_bytes(&self) -> u64 {
        self.network.take_passed(Way::Down)
    }

    async fn assert_equal_sides(&self, phone: &Phone, email: &str) {
        let user = demo::user(&self.programme, email);
        let expected = state::rows_for_mentor(&self.server.app.office, demo::id(&self.programme), user.0).await;
        assert_equal(&phone.rows(), &expected);
    }

    /// Returns how many rows of an enterprise a phone shows.
    fn rows_of(&self, phone: &Phone, enterprise: EnterpriseId) -> usize {
        let programme = demo::id(&self.programme);
        let is_of = |((kind, _), row): (&(EntityKind, Uuid), &VersionedRow)| {
            row.row.scope_id(kind.def(), programme) == enterprise.0 && *kind != EntityKind::ScopeGrant
        };
        phone.rows().iter().filter(|entry| is_of(*entry)).count()
    }
}

/// Records a visit with a finding, without a network.
fn visit_offline(phone: &Phone, enterprise: EnterpriseId) -> VisitId {
    let visit = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    site::find(phone, visit, "Înainte de predare");
    visit
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_costs_the_rows_of_one_enterprise_and_keeps_the_work_of_both_mentors() {
    let mut scene = Scene::new(2_000).await;
    let visit = visit_offline(&scene.mihai, scene.enterprise);
    scene.assign(scene.enterprise.0).await;

    scene.take_bytes();
    scene.ana.sync().await;
    let handover_bytes = scene.take_bytes();
    scene.assert_equal_sides(&scene.ana, ANA).await;
    let fresh = Phone::new(scene.network.address);
    fresh.enrol(ANA, DEMO_PASSWORD).await;
    scene.take_bytes();
    fresh.sync().await;
    let full_bytes = scene.take_bytes();
    let (rows, all_rows) = (scene.rows_of(&fresh, scene.enterprise), fresh.rows().len());
    eprintln!("{handover_bytes} of {full_bytes} bytes for {rows} of {all_rows} rows");
    let share_bytes = full_bytes * rows as u64 / all_rows as u64;
    assert!(handover_bytes < share_bytes + 6_000, "more than the {share_bytes} bytes of these rows travelled");
    assert!(handover_bytes * 20 <= full_bytes, "{handover_bytes} bytes are over 5 % of {full_bytes}");

    // The answer is lost after the server has taken the work: the phone keeps it, in rows that it may not hold.
    let mihais = Proxy::start(scene.server.address).await;
    scene.mihai.move_to(mihais.address);
    let held = scene.rows_of(&scene.mihai, scene.enterprise);
    mihais.cut_after(Way::Down, 1);
    scene.mihai.try_sync().await.unwrap_err();
    assert_eq!(scene.rows_of(&scene.mihai, scene.enterprise), held);
    assert_eq!(scene.mihai.status().unwrap().sync.pending, 2);
    mihais.heal();
    let report = scene.mihai.sync().await;
    assert_eq!((report.held, report.rejected), (0, 0), "it was recorded while the enterprise was his: {report:?}");
    assert_eq!(scene.rows_of(&scene.mihai, scene.enterprise), 0);
    scene.assert_equal_sides(&scene.mihai, MIHAI).await;

    scene.ana.sync().await;
    assert!(scene.ana.get::<Visit>(visit).unwrap().is_some(), "Ana sees the last visit of the mentor before");
    scene.assert_equal_sides(&scene.ana, ANA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_is_cut_again_and_again_goes_on_and_is_shown_at_once() {
    let scene = Scene::new(5).await;
    scene.assign(scene.enterprise.0).await;
    scene.ana.visits().start(other_enterprise(&scene), VisitKind::Routine, VisitMode::OnSite).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let all = scene.rows_of(&scene.mihai, scene.enterprise);
    let (mut cuts, mut rows) = (0, 0);
    while rows == 0 {
        scene.network.cut_after(Way::Down, random.random_range(0..6_000));
        let _ = scene.ana.try_sync().await;
        scene.network.heal();
        rows = scene.rows_of(&scene.ana, scene.enterprise);
        cuts += 1;
        assert!([0, all].contains(&rows), "after {cuts} cuts {rows} of {all} rows are shown");
        assert!(cuts < 200, "it begins anew after every cut");
    }
    eprintln!("{rows} rows after {cuts} tries");
    assert!(cuts > 8, "the cuts hurt too little: {cuts}");
    scene.ana.sync().await;
    scene.assert_equal_sides(&scene.ana, ANA).await;
}

/// Returns an enterprise that was Ana's all along.
fn other_enterprise(scene: &Scene) -> EnterpriseId {
    scene.ana.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id
}
