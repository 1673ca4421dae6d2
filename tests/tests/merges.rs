//! Two people register the same thing without knowing of each other: both are accepted, a proposal to merge them is
//! written, and a person in the office decides.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use server::store::{Db, StoreError};
use server::sync::Caller;
use sync_protocol::code::{EmploymentStatus, MergeState};
use sync_protocol::entity::{Conflict, Employment, EntityKind, MergeProposal, MonthlyJobStatus, Position};
use sync_protocol::id::{EmploymentId, MonthlyJobStatusId, UserId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::wire::{Message, Outcome};
use tests::crash_points::{Hook, Point, Stepped, answer};
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, OFFICER, PASSWORD, PROGRAMME, RADU, email};
use tests::sample::day;
use tests::state::{number, texts};
use tests::{Device, Office, TestServer, request_body, sample};
use uuid::Uuid;

/// Two mentors of one enterprise with a phone each, and the coordinator.
struct Scene {
    server: TestServer,
    position: Position,
    ana: Device,
    radu: Device,
    office: Office,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::new().await;
        programme::load(&server.app).await;
        programme::import(&server.app.office, &[programme::grant(RADU, ENTERPRISES[0])]).await;
        let position = sample::position(ENTERPRISES[0]);
        programme::import(&server.app.office, std::slice::from_ref(&position)).await;
        let (mut ana, mut radu) = (Device::enrol(server.address, ANA).await, Device::enrol(server.address, RADU).await);
        ana.sync().await;
        radu.sync().await;
        let office = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
        Self { server, position, ana, radu, office }
    }

    fn db(&self) -> &Db {
        &self.server.app.office
    }

    /// Returns a job record under an identifier that says who is first.
    fn job(&self, id: u128, recorded_by: UserId) -> Employment {
        Employment { id: EmploymentId(Uuid::from_u128(id)), ..sample::employment(&self.position, recorded_by) }
    }

    /// Returns the one proposal that both phones hold, and that they show alike.
    async fn proposal(&mut self) -> MergeProposal {
        self.ana.sync().await;
        self.radu.sync().await;
        self.ana.sync().await;
        let held: Vec<MergeProposal> = self.ana.cache.all();
        assert_eq!(self.radu.cache.all::<MergeProposal>(), held);
        let [proposal] = held.as_slice() else { panic!("one proposal: {held:?}") };
        proposal.clone()
    }

    /// Registers one job twice, the second record with other details, and returns both with the proposal.
    async fn registered_twice(&mut self) -> (Employment, Employment, MergeProposal) {
        let first = self.job(1, ANA);
        let second = Employment {
            holder_name: "ion tepes".to_owned(),
            weekly_hours: "20".parse().unwrap(),
            fte: "0.5".parse().unwrap(),
            ..self.job(2, RADU)
        };
        self.ana.create(&first);
        self.radu.create(&second);
        let proposal = self.proposal().await;
        (first, second, proposal)
    }

    async fn accept(&self, proposal: &MergeProposal, survivor: &Employment) -> Value {
        let input = json!({ "mergeProposalId": proposal.id, "survivorId": survivor.id });
        self.office.perform("acceptMerge", DECIDED, input).await
    }

    async fn dismiss(&self, proposal: &MergeProposal, reason: &str) -> Value {
        let input = json!({ "mergeProposalId": proposal.id, "reason": reason });
        self.office.perform("dismissMerge", DECIDED, input).await
    }
}

const DECIDED: &str =
    "mergeProposal { state aliasId survivorId mergedContent decisionNote decidedBy { id } decidedAt }";

fn seen(device: &Device, job: &Employment) -> u64 {
    device.cache.rows[&(EntityKind::Employment, job.id.0)].seq
}

fn month(job: &Employment, month_on: &str) -> MonthlyJobStatus {
    MonthlyJobStatus {
        id: MonthlyJobStatusId(Uuid::now_v7()),
        enterprise_id: job.enterprise_id,
        employment_id: job.id,
        month_on: day(month_on),
        is_active: true,
        hours_worked: Some(100),
        absence_kind: None,
        is_wage_paid: None,
        visit_id: None,
        note: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_records_are_accepted_and_the_same_is_proposed_in_either_order() {
    let mut found = Vec::new();
    for radu_is_first in [false, true] {
        let mut scene = Scene::new().await;
        let (ana, radu) = (scene.job(1, ANA), scene.job(2, RADU));
        let (by_ana, by_radu) = (scene.ana.create(&ana), scene.radu.create(&radu));
        let (mut first, mut second) = ((scene.ana.clone(), by_ana), (scene.radu.clone(), by_radu));
        if radu_is_first {
            std::mem::swap(&mut first, &mut second);
        }
        for (device, no) in [&mut first, &mut second] {
            let answer = device.sync().await;
            assert_eq!(answer.result(*no), None, "it is simply applied");
        }
        let MergeProposal { id, first_id, second_id, matched_fields, state, subject_scope_id, .. } =
            scene.proposal().await;
        assert_eq!((first_id, second_id, state), (ana.id.0, radu.id.0, MergeState::Open));
        assert_eq!((subject_scope_id, scene.ana.cache.all::<Employment>().len()), (ENTERPRISES[0].0, 2));
        found.push((id, matched_fields));
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].1, ["holder_name", "position_id", "start_on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_with_the_same_code_is_proposed_and_its_job_records_follow_the_one_that_stays() {
    let mut scene = Scene::new().await;
    let other = Position { code: " p-001".to_owned(), ..sample::position(ENTERPRISES[0]) };
    let job = sample::employment(&other, RADU);
    scene.radu.create(&other);
    scene.radu.create(&job);
    let proposal = scene.proposal().await;
    assert_eq!(
        (proposal.subject_kind.as_str(), proposal.matched_fields.as_slice()),
        ("position", &["code".to_owned()][..])
    );
    let input = json!({ "mergeProposalId": proposal.id, "survivorId": scene.position.id });
    let merged = scene.office.perform("acceptMerge", DECIDED, input).await;
    assert_eq!(merged["mergeProposal"]["aliasId"], json!(other.id), "{merged}");
    scene.radu.sync().await;
    assert_eq!(scene.radu.cache.get::<Employment>(job.id).unwrap().position_id, scene.position.id);
    assert_eq!(scene.radu.cache.get::<Position>(other.id), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_loses_no_value_and_moves_what_named_the_other_row() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    let status = month(&second, "2024-03-01");
    scene.radu.create(&status);
    scene.radu.sync().await;
    let open = "{ mergeProposals(first: 5, filter: { state: { eq: OPEN } }) { nodes { id subjectKind matchedFields firstId secondId } } }";
    let listed = scene.office.ask(open, json!({})).await;
    assert_eq!(listed["mergeProposals"]["nodes"][0]["id"], json!(proposal.id), "{listed}");

    let merged = scene.accept(&proposal, &first).await["mergeProposal"].take();
    assert_eq!((&merged["state"], &merged["survivorId"]), (&json!("MERGED"), &json!(first.id)), "{merged}");
    assert_eq!((&merged["aliasId"], &merged["decidedBy"]["id"]), (&json!(second.id), &json!(CARMEN)));
    assert_eq!(merged["mergedContent"]["holder_name"], "ion tepes");
    assert!(merged["mergedContent"].get("vulnerability_codes").is_none(), "special categories stay where they are");
    assert_eq!(scene.office.ask(open, json!({})).await["mergeProposals"]["nodes"], json!([]));

    let known = scene.proposal().await;
    assert_eq!(
        (known.state, known.alias_id, known.survivor_id),
        (MergeState::Merged, Some(second.id.0), Some(first.id.0))
    );
    for device in [&scene.ana, &scene.radu] {
        assert_eq!(device.cache.get::<Employment>(second.id), None);
        assert_eq!(device.cache.get::<MonthlyJobStatus>(status.id).unwrap().employment_id, first.id);
        let mut kept: Vec<_> =
            device.cache.all::<Conflict>().iter().map(|c| (c.field.clone(), c.other_value.clone())).collect();
        kept.sort();
        let expected = [("fte", "\"0.50\""), ("holder_name", "\"ion tepes\""), ("weekly_hours", "\"20\"")];
        assert_eq!(kept, expected.map(|(field, value)| (field.to_owned(), Some(value.to_owned()))));
        assert!(device.cache.all::<Conflict>().iter().all(|c| (c.subject_id, c.other_by) == (first.id.0, Some(RADU))));
    }
    let hours =
        scene.ana.cache.all::<Conflict>().into_iter().find(|conflict| conflict.field == "weekly_hours").unwrap();
    let input = json!({ "conflictId": hours.id, "takesOther": true });
    scene.office.perform("resolveConflict", "conflict { state }", input).await;
    scene.ana.sync().await;
    let job = scene.ana.cache.get::<Employment>(first.id).unwrap();
    assert_eq!((job.weekly_hours, job.fte), ("20".parse().unwrap(), "0.5".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_names_the_merged_row_goes_to_the_one_that_stays() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    let base = seen(&scene.radu, &second);
    let numbered = Employment { contract_no: Some("17".to_owned()), is_vulnerable: false, ..second.clone() };
    let noted = scene.radu.change(&second, &Employment { is_vulnerable: false, ..second.clone() }, base);
    let contract =
        scene.radu.change(&second, &Employment { contract_no: numbered.contract_no, ..second.clone() }, base);
    let status = month(&second, "2024-03-01");
    let child = scene.radu.create(&status);
    scene.accept(&proposal, &first).await;
    let answer = scene.radu.sync().await;
    assert_eq!((answer.outcome(noted), answer.result(child)), (Outcome::Merged, None), "they agreed in that field");
    assert_eq!(answer.outcome(contract), Outcome::Conflict, "the hours of the contract differ");
    scene.ana.sync().await;
    for device in [&scene.ana, &scene.radu] {
        let job: Employment = device.cache.get(first.id).unwrap();
        assert_eq!((job.is_vulnerable, job.contract_no, job.weekly_hours), (false, None, first.weekly_hours));
        assert_eq!(device.cache.get::<MonthlyJobStatus>(status.id).unwrap().employment_id, first.id);
        let kept = device.cache.all::<Conflict>();
        let kept = kept.iter().find(|conflict| conflict.field == "contract_no").expect("the number is kept");
        assert_eq!((kept.subject_id, kept.other_value.as_deref()), (first.id.0, Some("\"17\"")));
    }
    let asked = format!("{{ employment(id: \"{0}\") {{ id }} node(id: \"{0}\") {{ id }} }}", second.id);
    let found = scene.office.ask(&asked, json!({})).await;
    assert_eq!(found, json!({ "employment": { "id": first.id }, "node": { "id": first.id } }), "by its old identifier");
    let void = scene.radu.draft(Op::Delete, EntityKind::Employment, second.id.0, Vec::new());
    let void = scene.radu.record(Mutation { base_seq: base, ..void });
    assert_eq!(scene.radu.sync().await.result(void), None, "it is gone already");
    assert_eq!(number(scene.db(), "SELECT count(*) FROM employment").await, 1);
    let payloads = "SELECT count(*) FROM mutation_line WHERE payload IS NOT NULL AND kind = 14";
    assert_eq!(number(scene.db(), payloads).await, 1, "what was sent is kept, because the row says something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_merged_on_is_found_in_one_step() {
    let mut scene = Scene::new().await;
    let jobs = [scene.job(1, ANA), scene.job(2, RADU), scene.job(3, ANA)];
    scene.ana.create(&jobs[0]);
    scene.ana.create(&jobs[2]);
    scene.radu.create(&jobs[1]);
    scene.ana.sync().await;
    scene.radu.sync().await;
    let proposals: Vec<MergeProposal> = scene.radu.cache.all();
    assert_eq!(proposals.len(), 3, "each with each");
    let about = |one: usize, other: usize| {
        let ids = (jobs[one].id.0, jobs[other].id.0);
        proposals.iter().find(|proposal| (proposal.first_id, proposal.second_id) == ids).unwrap()
    };
    let base = seen(&scene.radu, &jobs[1]);
    scene.accept(about(0, 1), &jobs[0]).await;
    scene.accept(about(0, 2), &jobs[2]).await;
    let no = scene.radu.change(&jobs[1], &Employment { holder_birth_on: None, ..jobs[1].clone() }, base);
    assert_eq!(scene.radu.sync().await.outcome(no), Outcome::Merged);
    let left: Vec<Employment> = scene.radu.cache.all();
    assert_eq!((left.len(), left[0].id, left[0].holder_birth_on), (1, jobs[2].id, None));
    let states =
        "SELECT state || ' ' || coalesce(survivor_id::text, '') FROM merge_proposal ORDER BY first_id, second_id";
    let merged = format!("MERGED {}", jobs[2].id);
    assert_eq!(texts(scene.db(), states).await, [merged.clone(), merged, "WITHDRAWN ".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dismissed_is_never_proposed_again_and_what_is_alike_no_longer_is_withdrawn() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    let base = seen(&scene.radu, &second);
    let other = Employment { holder_name: "Vasile Stan".to_owned(), ..second.clone() };
    scene.radu.change(&second, &other, base);
    assert_eq!(scene.proposal().await.state, MergeState::Withdrawn);
    scene.radu.change(&other, &second, seen(&scene.radu, &second));
    assert_eq!(scene.proposal().await.state, MergeState::Open, "they are alike again");
    let dismissed = scene.dismiss(&proposal, "tată și fiu").await;
    assert_eq!(dismissed["mergeProposal"]["decisionNote"], "tată și fiu", "{dismissed}");
    scene.radu.sync().await;
    let renamed = Employment { holder_name: "Ion ȚEPEȘ".to_owned(), ..second.clone() };
    scene.radu.change(&second, &renamed, seen(&scene.radu, &second));
    assert_eq!(scene.proposal().await.state, MergeState::Dismissed);
    assert_eq!(number(scene.db(), "SELECT count(*) FROM employment").await, 2);
    let voided = Employment { status: EmploymentStatus::Voided, ..first.clone() };
    scene.ana.change(&first, &voided, seen(&scene.ana, &first));
    assert_eq!(scene.proposal().await.state, MergeState::Dismissed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_refused_for_a_reason() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    let accept = |survivor: Uuid| json!({ "mergeProposalId": proposal.id, "survivorId": survivor });
    let mentor = Office::sign_in(scene.server.address, &email(ANA), PASSWORD).await;
    let denied = mentor.perform("acceptMerge", DECIDED, accept(first.id.0)).await;
    assert_eq!(denied["__typename"], "NotPermitted", "{denied}");
    let denied = scene.radu.cache.rows[&(EntityKind::MergeProposal, proposal.id.0)].clone();
    let own = MergeProposal { state: MergeState::Dismissed, decision_note: Some("nu".to_owned()), ..proposal.clone() };
    let no = scene.radu.change(&proposal, &own, denied.seq);
    assert_eq!(scene.radu.sync().await.code(no), "REJECT_SCOPE", "a mentor sees it, and does not decide");
    let unknown = json!({ "mergeProposalId": Uuid::now_v7(), "survivorId": first.id });
    assert_eq!(scene.office.perform("acceptMerge", DECIDED, unknown).await["__typename"], "NotFound");
    let neither = scene.office.perform("acceptMerge", DECIDED, accept(scene.position.id.0)).await;
    assert_eq!(neither["code"], "MERGE_SURVIVOR_UNKNOWN", "{neither}");
    let silent = scene.dismiss(&proposal, " ").await;
    assert_eq!(silent["code"], "MISSING", "{silent}");
    assert_eq!(scene.proposal().await.state, MergeState::Open, "a refusal leaves no trace");

    scene.accept(&proposal, &first).await;
    let again = scene.dismiss(&proposal, "totuși nu").await;
    assert_eq!(again["code"], "MERGE_DECIDED", "{again}");
    assert_eq!(number(scene.db(), &format!("SELECT count(*) FROM employment WHERE id = '{}'", second.id)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_merged_in_a_locked_period() {
    let mut scene = Scene::new().await;
    let (first, _, proposal) = scene.registered_twice().await;
    programme::load_officer(&scene.server.app).await;
    let period = programme::period(1, day("2024-01-01"), day("2024-03-31"));
    programme::import(scene.db(), std::slice::from_ref(&period)).await;
    let officer = Office::sign_in(scene.server.address, &email(OFFICER), PASSWORD).await;
    officer.perform("lockPeriod", "reportingPeriod { state }", json!({ "periodId": period.id })).await;
    let refused = scene.accept(&proposal, &first).await;
    assert_eq!(refused["code"], "PERIOD_LOCKED", "{refused}");
    assert_eq!(number(scene.db(), "SELECT count(*) FROM employment").await, 2);
    assert_eq!(number(scene.db(), "SELECT count(*) FROM conflict").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_phones_that_register_it_at_once_the_second_one_sees_the_first() {
    let mut scene = Scene::new().await;
    for round in 0..20 {
        let start_on = day("2024-02-01").plus_days(round);
        let named = |id, by| Employment { start_on, holder_name: format!("Om {round}"), ..scene.job(id, by) };
        let id = 100 + 2 * round as u128;
        let (one, other) = (named(id, ANA), named(id + 1, RADU));
        let ended = |job: Employment| {
            let (end_on, end_reason) = (Some(start_on), Some(sync_protocol::code::EndReason::EndOfTerm));
            Employment { end_on, end_reason, status: EmploymentStatus::Ended, ..job }
        };
        scene.ana.create(&ended(one));
        scene.radu.create(&ended(other));
        tokio::join!(scene.ana.sync(), scene.radu.sync());
    }
    assert_eq!(number(scene.db(), "SELECT count(*) FROM employment").await, 40);
    assert_eq!(number(scene.db(), "SELECT count(*) FROM merge_proposal WHERE state = 'OPEN'").await, 20);
}

/// Counts the steps of a push.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<&'static str>>>);

impl Hook for Steps {
    async fn at(&self, point: Point) -> Result<(), StoreError> {
        if let Point::Before(step) = point {
            self.0.lock().unwrap().push(step);
        }
        Ok(())
    }
}

/// Returns the steps of the store by which it takes what a device has to send.
async fn steps_of(scene: &mut Scene) -> Vec<&'static str> {
    let (device, hook) = (&mut scene.ana, Steps::default());
    let first = device.confirmed + 1;
    let push = Message::Push(device.push(first, device.outbox.len() as u64));
    let store = Stepped { store: scene.server.app.sync.clone(), hook: hook.clone() };
    let caller = Caller { programme: PROGRAMME, user: ANA.0, session: Uuid::nil() };
    answer(store, caller, &request_body(device.hello(), &[push])).await;
    device.sync().await;
    std::mem::take(&mut hook.0.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_registers_what_could_be_registered_twice_looks_for_it_and_in_two_steps_for_all() {
    let mut scene = Scene::new().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    scene.ana.create(&visit);
    for at in 0..50 {
        scene.ana.create(&sample::finding(&visit, &format!("constatarea {at}")));
    }
    let ordinary = steps_of(&mut scene).await;
    assert!(!ordinary.iter().any(|step| ["lock_scopes", "children"].contains(step)), "{ordinary:?}");
    let named = |at: usize| Position { code: format!("P-1{at:02}"), ..sample::position(ENTERPRISES[0]) };
    for at in 0..50 {
        scene.ana.create(&named(at));
    }
    let registering = steps_of(&mut scene).await;
    let count = |step: &str| registering.iter().filter(|known| **known == step).count();
    assert_eq!((count("lock_scopes"), count("children")), (1, 1), "{registering:?}");
}
