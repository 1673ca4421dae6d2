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
async fn of_each_month_of_two_merged_records_there_is_one_and_no_hour_is_lost() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    let hours = |hours, month| MonthlyJobStatus { hours_worked: Some(hours), ..month };
    for month_on in ["2024-02-01", "2024-03-01", "2024-04-01"] {
        scene.ana.create(&month(&first, month_on));
    }
    let both = month(&second, "2024-02-01");
    let differs = hours(60, month(&second, "2024-03-01"));
    let alone = hours(70, month(&second, "2024-05-01"));
    for month in [&both, &differs, &alone] {
        scene.radu.create(month);
    }
    scene.ana.sync().await;
    scene.radu.sync().await;
    // On its way while the office merges: a correction of a month that both have, and one that nobody else has.
    let seen = |id: MonthlyJobStatusId| scene.radu.cache.rows[&(EntityKind::MonthlyJobStatus, id.0)].seq;
    let (of_both, of_alone) = (seen(both.id), seen(alone.id));
    scene.radu.change(&both, &hours(50, both.clone()), of_both);
    let corrected = scene.radu.change(&alone, &hours(75, alone.clone()), of_alone);
    let late = scene.radu.create(&hours(40, month(&second, "2024-04-01")));
    let fresh = scene.radu.create(&month(&second, "2024-06-01"));
    let fresh_corrected = scene.radu.change(&month(&second, "2024-06-01"), &hours(99, month(&second, "2024-06-01")), 0);
    let merged = scene.accept(&proposal, &first).await;
    assert_eq!(merged["mergeProposal"]["state"], "MERGED", "{merged}");
    let answer = scene.radu.sync().await;
    assert_eq!((answer.outcome(corrected), answer.outcome(late)), (Outcome::Merged, Outcome::Conflict));
    assert_eq!([fresh, fresh_corrected].map(|no| answer.result(no)), [None; 2]);
    scene.ana.sync().await;

    let of_first = |hours_worked, month_on| hours(hours_worked, month(&first, month_on));
    for device in [&scene.ana, &scene.radu] {
        let shown = months(device);
        let ids: Vec<_> = shown.iter().map(|month| (month.id, month.employment_id)).collect();
        let names = ["2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01", "2024-06-01"];
        assert_eq!(ids, names.map(|name| (month(&first, name).id, first.id)), "one row for each month");
        assert_eq!(shown[3], of_first(75, "2024-05-01"), "it goes on under the record that stays");
        assert_eq!(shown[4], of_first(99, "2024-06-01"));
        assert_eq!(shown[1], of_first(100, "2024-03-01"));
        assert_eq!(other_hours(device, &shown[1]), [Some("60".to_owned())]);
        let either = [shown[2].hours_worked.map(|hours| hours.to_string()), other_hours(device, &shown[2])[0].clone()];
        assert!(either.contains(&Some("40".to_owned())) && either.contains(&Some("100".to_owned())), "{either:?}");
        assert_eq!((shown[0].hours_worked, other_hours(device, &shown[0])), (Some(50), vec![]), "they were equal");
    }
    let open = scene.ana.cache.all::<Conflict>().into_iter().find(|conflict| conflict.subject_id == differs_in(&first));
    let input = json!({ "conflictId": open.unwrap().id, "takesOther": true });
    scene.office.perform("resolveConflict", "conflict { state }", input).await;
    scene.radu.sync().await;
    assert_eq!(months(&scene.radu)[1].hours_worked, Some(60));
    // What still names a month by its old name goes to the one that stands.
    let seen = scene.radu.cache.cursor.seq;
    let no = scene.radu.change(&differs, &MonthlyJobStatus { is_wage_paid: Some(true), ..differs.clone() }, seen);
    scene.radu.sync().await;
    assert_eq!(
        scene.radu.cache.get::<MonthlyJobStatus>(month(&first, "2024-03-01").id).unwrap().is_wage_paid,
        Some(true)
    );
    assert_eq!(number(scene.db(), &format!("SELECT count(*) FROM held_item WHERE mutation_no = {no}")).await, 0);
}

fn differs_in(first: &Employment) -> Uuid {
    month(first, "2024-03-01").id.0
}

#[tokio::test(flavor = "multi_thread")]
async fn two_months_that_come_after_the_merge_end_alike_in_either_order() {
    let mut endings = Vec::new();
    for radu_is_first in [false, true] {
        let mut scene = Scene::new().await;
        (scene.ana.id.0, scene.radu.id.0) = (scene.ana.id.0.min(scene.radu.id.0), scene.ana.id.0.max(scene.radu.id.0));
        let (first, second, proposal) = scene.registered_twice().await;
        scene.ana.create(&month(&first, "2024-03-01"));
        scene.radu.create(&MonthlyJobStatus { hours_worked: Some(60), ..month(&second, "2024-03-01") });
        scene.accept(&proposal, &first).await;
        let Scene { ana, radu, .. } = &mut scene;
        let mut order = [ana, radu];
        if radu_is_first {
            order.reverse();
        }
        for device in order {
            device.sync().await;
        }
        scene.ana.sync().await;
        scene.radu.sync().await;
        let shown = months(&scene.ana);
        assert_eq!(months(&scene.radu), shown);
        assert_eq!(shown.len(), 1, "{shown:?}");
        let names = "SELECT alias_id || ' ' || survivor_id || ' ' || decided_by FROM merge_proposal WHERE subject_kind = 'monthly_job_status'";
        let march = month(&second, "2024-03-01").id;
        assert_eq!(texts(scene.db(), names).await, [format!("{march} {} {CARMEN}", shown[0].id)]);
        endings.push((shown[0].clone(), other_hours(&scene.ana, &shown[0])));
    }
    assert_eq!(endings[0], endings[1]);
    assert_eq!(endings[0].1.len(), 1, "the other one is kept beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_was_booked_late_stays_in_its_period_and_a_later_one_waits() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    programme::load_officer(&scene.server.app).await;
    let locked = programme::period(1, day("2024-03-01"), day("2024-03-31"));
    let open = programme::period(2, day("2024-04-01"), day("2024-06-30"));
    programme::import(scene.db(), &[locked.clone(), open]).await;
    let officer = Office::sign_in(scene.server.address, &email(OFFICER), PASSWORD).await;
    officer.perform("lockPeriod", "reportingPeriod { state }", json!({ "periodId": locked.id })).await;
    let approve = async |scene: &Scene| {
        let held =
            scene.office.ask("{ heldItems(first: 9, filter: { state: { eq: HELD } }) { nodes { id } } }", json!({}));
        let input = json!({ "heldItemId": held.await["heldItems"]["nodes"][0]["id"] });
        let approved = scene.office.perform("approveHeld", "heldItem { state }", input).await;
        assert_eq!(approved["heldItem"]["state"], "APPLIED", "{approved}");
    };
    let no = scene.radu.create(&month(&second, "2024-03-01"));
    assert_eq!(scene.radu.sync().await.code(no), "HELD_PERIOD_LOCKED");
    approve(&scene).await;
    let merged = scene.accept(&proposal, &first).await;
    assert_eq!(merged["mergeProposal"]["state"], "MERGED", "it counts in an open period: {merged}");
    let booked = "SELECT subject_id || ' ' || original_period_id FROM late_adjustment ORDER BY approved_at";
    let of_march = format!("{} {}", month(&first, "2024-03-01").id, locked.id);
    assert_eq!(texts(scene.db(), booked).await, std::slice::from_ref(&of_march));

    let locked = programme::period(3, day("2024-02-01"), day("2024-02-29"));
    programme::import(scene.db(), std::slice::from_ref(&locked)).await;
    officer.perform("lockPeriod", "reportingPeriod { state }", json!({ "periodId": locked.id })).await;
    let no = scene.radu.create(&month(&second, "2024-02-01"));
    assert_eq!(scene.radu.sync().await.code(no), "HELD_PERIOD_LOCKED");
    approve(&scene).await;
    let of_february = format!("{} {}", month(&first, "2024-02-01").id, locked.id);
    assert_eq!(texts(scene.db(), booked).await, [of_march, of_february]);
    scene.radu.sync().await;
    assert_eq!(months(&scene.radu), [month(&first, "2024-02-01"), month(&first, "2024-03-01")]);
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
