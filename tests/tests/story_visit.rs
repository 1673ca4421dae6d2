//! A visit in a village without a signal: nothing is lost on the phone, and the office sees all of it later.

use client_sdk::error::ApiErrorKind;
use serde_json::{Value, json};
use sync_protocol::code::{VisitKind, VisitMode};
use sync_protocol::entity::EntityKind;
use sync_protocol::id::VisitId;
use tests::demo::{self, ANA, DEMO_PASSWORD, ELENA};
use tests::visit::{Step, next_step};
use tests::{Office, Phone, Proxy, TestServer};

const VISIT: &str = "query Visit($id: ID!) { visit(id: $id) { status mentor { displayName } enterprise { code } \
    summary signerName answers(first: 200) { nodes { questionCode itemId value } totalCount } \
    findings(first: 10) { nodes { severity text } } } \
    followUpActions(first: 10, filter: { visitId: { eq: $id } }) { nodes { text status } } }";

/// Makes a visit without a network. The application is killed after every step.
fn visit_offline(phone: &mut Phone) -> (VisitId, Vec<Step>) {
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let id = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    let mut steps = Vec::new();
    loop {
        phone.restart();
        let Some(step) = next_step(phone, id).unwrap() else { return (id, steps) };
        if step.kind == EntityKind::Finding {
            assert_completion_needs_an_action(phone, id);
        }
        phone.restart();
        let shown = phone.store().get(step.kind, step.row.id).unwrap();
        assert_eq!(shown.map(|shown| shown.row), Some(step.row.clone()), "the restart lost the last step");
        steps.push(step);
    }
}

fn assert_completion_needs_an_action(phone: &Phone, visit: VisitId) {
    let refused = phone.visits().complete(visit).unwrap_err();
    assert_eq!(refused.kind, ApiErrorKind::Refused);
    let names_the_finding = refused.refusals.iter().any(|refusal| refusal.message.contains("critic"));
    assert!(names_the_finding, "{refused:?}");
}

/// Returns each answer that the phone has given, as the office should see it.
fn given(phone: &Phone, visit: VisitId) -> Vec<Value> {
    let questions = phone.visits().questions(visit).unwrap();
    let answers = questions.into_iter().filter_map(|question| question.answer);
    answers.map(|answer| json!({"questionCode": answer.question_code, "itemId": answer.item_id})).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_without_a_signal_survives_every_restart_and_reaches_the_coordinator_whole() {
    let server = TestServer::new().await;
    demo::load(&server.app).await;
    let network = Proxy::start(server.address).await;
    let mut phone = Phone::new(network.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;

    network.cut();
    let offline = phone.try_sync().await.unwrap_err();
    assert_eq!(offline.kind, ApiErrorKind::Offline);
    let (visit, steps) = visit_offline(&mut phone);
    assert_eq!(phone.visits().progress(visit).unwrap().missing_required, Vec::<String>::new());
    let pending = phone.status().unwrap().sync.pending;
    assert!(pending > steps.len() as u64, "{pending} changes for {} steps", steps.len());

    network.heal();
    assert_eq!(phone.sync().await.applied, pending);
    let seen = Office::sign_in(server.address, ELENA, DEMO_PASSWORD).await.ask(VISIT, json!({"id": visit})).await;
    let summary = json!({"status": "SUBMITTED", "mentor": {"displayName": "Ana Berceanu"}, "enterprise": {"code": "ENT-012"},
        "summary": "Activitatea continuă", "signerName": "Ioana Pop"});
    for (field, expected) in summary.as_object().unwrap() {
        assert_eq!(&seen["visit"][field], expected, "{field}");
    }
    let finding = json!([{"severity": "CRITICAL", "text": "Cuptorul nu are protecție"}]);
    assert_eq!(seen["visit"]["findings"]["nodes"], finding);
    let action = json!([{"text": "Montarea protecției", "status": "OPEN"}]);
    assert_eq!(seen["followUpActions"]["nodes"], action);
    assert_answers(&seen["visit"]["answers"], &given(&phone, visit));
}

fn assert_answers(seen: &Value, given: &[Value]) {
    let nodes = seen["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| !node["value"].is_null()), "{seen}");
    assert_eq!(seen["totalCount"], json!(given.len()));
    for answer in given {
        let is_seen = nodes.iter().any(|node| ["questionCode", "itemId"].iter().all(|key| node[*key] == answer[*key]));
        assert!(is_seen, "the office does not see {answer}");
    }
}
