//! What the office decides of a proposal, and when it may not.

use super::*;

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
