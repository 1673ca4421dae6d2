//! Two people register the same thing without knowing of each other: both are accepted, a proposal to merge them is
//! written, and a person in the office decides.

mod at_once;
mod decisions;
mod monthly;

use serde_json::{Value, json};
use server::store::Db;
use sync_protocol::code::{EmploymentStatus, MergeState};
use sync_protocol::entity::{Conflict, Employment, EntityKind, MergeProposal, MonthlyJobStatus, Position};
use sync_protocol::id::{EmploymentId, MonthlyJobStatusId, UserId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, OFFICER, PASSWORD, PROGRAMME, RADU, email};
use tests::sample::day;
use tests::state::{number, texts};
use tests::{Device, Office, TestServer, sample};
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
        let mut held: Vec<MergeProposal> = self.ana.cache.all();
        assert_eq!(self.radu.cache.all::<MergeProposal>(), held);
        held.retain(|proposal| proposal.subject_kind != "monthly_job_status");
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

/// Returns a month of a job record under the name that every phone gives it.
fn month(job: &Employment, month_on: &str) -> MonthlyJobStatus {
    MonthlyJobStatus {
        id: MonthlyJobStatus::id_of(job.id, day(month_on)),
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

fn months(device: &Device) -> Vec<MonthlyJobStatus> {
    let mut months: Vec<MonthlyJobStatus> = device.cache.all();
    months.sort_by_key(|month| month.month_on);
    months
}

/// Returns the hours of a month that are kept beside those that are shown, on a device.
fn other_hours(device: &Device, month: &MonthlyJobStatus) -> Vec<Option<String>> {
    let about = |conflict: &Conflict| conflict.subject_id == month.id.0 && conflict.field == "hours_worked";
    device.cache.all::<Conflict>().into_iter().filter(about).map(|conflict| conflict.other_value).collect()
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
        assert_eq!(months(device), [month(&first, "2024-03-01")]);
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
        assert_eq!(months(device), [month(&first, "2024-03-01")]);
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

/// Lets one phone say something of both records before it has heard that they were merged, in one push or in two.
async fn say_of_both(first_is_first: bool, at_once: bool) {
    let mut scene = Scene::new().await;
    let (first, second) = (scene.job(1, ANA), scene.job(2, RADU));
    scene.ana.create(&first);
    scene.radu.create(&second);
    let proposal = scene.proposal().await;
    let bases = [seen(&scene.radu, &first), seen(&scene.radu, &second)];
    scene.accept(&proposal, &first).await;
    let said = [(&first, bases[0], "of the one"), (&second, bases[1], "of the other")];
    let said = if first_is_first { said } else { [said[1], said[0]] };
    let mut outcomes = Vec::new();
    let mut heard = Vec::new();
    for (job, base, words) in said {
        let numbered = Employment { contract_no: Some(words.to_owned()), ..job.clone() };
        outcomes.push(scene.radu.change(job, &numbered, base));
        if !at_once {
            heard.push(scene.radu.sync().await);
        }
    }
    let last = if at_once { scene.radu.sync().await } else { heard.pop().expect("an answer") };
    assert_eq!(last.outcome(outcomes[1]), Outcome::Conflict);
    scene.ana.sync().await;
    scene.radu.sync().await;
    for device in [&scene.ana, &scene.radu] {
        let job: Employment = device.cache.get(first.id).unwrap();
        assert_eq!(job.contract_no.as_deref(), Some(said[1].2), "the later one is shown");
        let kept: Vec<Conflict> = device.cache.all();
        let kept: Vec<_> = kept.iter().filter(|conflict| conflict.field == "contract_no").collect();
        let [kept] = kept.as_slice() else { panic!("one conflict: {kept:?}") };
        assert_eq!((kept.subject_id, kept.other_value.clone()), (first.id.0, Some(format!("\"{}\"", said[0].2))));
    }
    if at_once {
        return;
    }
    let again = Employment { contract_no: Some("again".to_owned()), ..said[1].0.clone() };
    let again = scene.radu.change(said[1].0, &again, said[1].1);
    assert_ne!(scene.radu.sync().await.outcome(again), Outcome::Conflict, "that was said of the same record");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_phone_said_of_both_records_is_kept_beside_each_other() {
    for (first_is_first, at_once) in [(true, true), (true, false), (false, true), (false, false)] {
        say_of_both(first_is_first, at_once).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_change_under_the_old_name_meets_what_the_first_one_met() {
    let mut scene = Scene::new().await;
    let numbered = |number: &str, job: Employment| Employment { contract_no: Some(number.to_owned()), ..job };
    let (first, second) = (numbered("one", scene.job(1, ANA)), numbered("two", scene.job(2, RADU)));
    scene.ana.create(&first);
    scene.radu.create(&second);
    let proposal = scene.proposal().await;
    let base = seen(&scene.radu, &second);
    scene.accept(&proposal, &first).await;
    let said = ["three", "four"].map(|number| scene.radu.change(&second, &numbered(number, second.clone()), base));
    let answer = scene.radu.sync().await;
    assert_eq!(said.map(|no| answer.outcome(no)), [Outcome::Conflict; 2]);
    let shown = scene.radu.cache.get::<Employment>(first.id).unwrap().contract_no;
    assert_eq!(shown.as_deref(), Some("one"), "what the office kept of both records");
    let conflicts: Vec<Conflict> = scene.radu.cache.all();
    let mut kept: Vec<_> = conflicts.into_iter().filter_map(|conflict| conflict.other_value).collect();
    kept.sort();
    assert_eq!(kept, ["\"four\"", "\"three\"", "\"two\""]);
}
