//! What the office does.

use serde_json::{Value as Json, json};
use sync_protocol::entity::EntityKind;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::bench::*;

const OTHER_MENTOR: Uuid = Uuid::from_u128(21);

/// Sends a verb and returns its result.
async fn send(bench: &Bench, user: Uuid, verb: &str, fields: &str, input: Json) -> Json {
    let mut type_name = verb.to_owned();
    type_name[..1].make_ascii_uppercase();
    let query = format!(
        "mutation($input: {type_name}Input!) {{ result: {verb}(input: $input) {{ __typename \
           ... on {type_name}Success {{ clientMutationId {fields} }} ... on UserError {{ code message path }} \
           ... on VersionConflict {{ currentVersion }} ... on ValidationFailed {{ rule }} }} }}"
    );
    let mut answer = bench.ask(user, &query, json!({ "input": input })).await;
    assert_eq!(answer.body["errors"], Json::Null, "{answer:?}");
    answer.body["data"]["result"].take()
}

async fn with_visit(status: &str) -> Bench {
    let bench = Bench::start().await;
    bench.insert_enterprises(1).await;
    let fields = [
        ("enterprise_id", Value::Uuid(id(EntityKind::Enterprise, 1))),
        ("mentor_id", Value::Uuid(MENTOR)),
        ("status", text(status)),
    ];
    bench.insert(EntityKind::Visit, vec![row(EntityKind::Visit, id(EntityKind::Visit, 1), &fields)]).await;
    bench
}

fn visit_input(mutation: u128) -> Json {
    json!({ "clientMutationId": Uuid::from_u128(mutation), "visitId": id(EntityKind::Visit, 1) })
}

#[tokio::test]
async fn a_visit_is_validated_once_however_often_the_request_comes() {
    let bench = with_visit("SUBMITTED").await;
    let fields = "visit { status validatedBy { id } validatedAt version }";
    let first = send(&bench, OFFICER, "validateVisit", fields, visit_input(7)).await;
    assert_eq!(first["__typename"], "ValidateVisitSuccess", "{first}");
    assert_eq!(first["clientMutationId"], json!(Uuid::from_u128(7)));
    assert_eq!(first["visit"]["status"], "VALIDATED");
    assert_eq!(first["visit"]["validatedBy"]["id"], json!(OFFICER));
    assert_eq!(first["visit"]["validatedAt"], json!(NOW.to_string()));
    assert_eq!(send(&bench, OFFICER, "validateVisit", fields, visit_input(7)).await, first, "a retry changes nothing");
    let again = send(&bench, OFFICER, "validateVisit", fields, visit_input(8)).await;
    assert_eq!(again["__typename"], "ValidateVisitSuccess");
}

#[tokio::test]
async fn a_rule_refuses_with_its_text_in_the_language_of_the_viewer() {
    let bench = with_visit("PLANNED").await;
    let refused = send(&bench, COORDINATOR, "validateVisit", "visit { id }", visit_input(1)).await;
    assert_eq!((&refused["__typename"], &refused["rule"]), (&json!("ValidationFailed"), &json!("STATE")));
    assert_eq!(refused["path"], json!(["input", "status"]));
    let bench = with_visit("SUBMITTED").await;
    let mut input = visit_input(2);
    input["reason"] = json!(" ");
    let refused = send(&bench, COORDINATOR, "returnVisit", "visit { id }", input.clone()).await;
    assert_eq!(refused["code"], "RETURN_REASON_MISSING", "{refused}");
    // A refusal leaves no trace: the same id may be tried again.
    input["reason"] = json!("The photo is missing.");
    let returned = send(&bench, COORDINATOR, "returnVisit", "visit { status returnReason }", input).await;
    assert_eq!(returned["visit"], json!({ "status": "RETURNED", "returnReason": "The photo is missing." }));
}

#[tokio::test]
async fn an_old_version_is_a_conflict_that_names_the_new_one() {
    let bench = with_visit("SUBMITTED").await;
    let query = format!("{{ visit(id: \"{}\") {{ version }} }}", id(EntityKind::Visit, 1));
    let version = bench.data(OFFICER, &query).await["visit"]["version"].take();
    let mut input = visit_input(3);
    input["expectedVersion"] = json!("1");
    let conflict = send(&bench, OFFICER, "validateVisit", "visit { id }", input.clone()).await;
    assert_eq!((&conflict["__typename"], &conflict["currentVersion"]), (&json!("VersionConflict"), &version));
    input["expectedVersion"] = version;
    let done = send(&bench, OFFICER, "validateVisit", "visit { status }", input).await;
    assert_eq!(done["visit"]["status"], "VALIDATED");
}

#[tokio::test]
async fn who_may_not_is_told_so_and_who_may_not_see_finds_nothing() {
    let bench = with_visit("SUBMITTED").await;
    for (user, expected) in
        [(ADMIN, "NotPermitted"), (ANALYST, "NotFound"), (MENTOR, "NotFound"), (FOREIGNER, "NotFound")]
    {
        let refused = send(&bench, user, "validateVisit", "visit { id }", visit_input(4)).await;
        assert_eq!(refused["__typename"], expected);
    }
    bench.grant(id(EntityKind::Enterprise, 1), None).await;
    let refused = send(&bench, MENTOR, "validateVisit", "visit { id }", visit_input(4)).await;
    assert_eq!(refused["__typename"], "NotPermitted");
    let absent = json!({ "clientMutationId": Uuid::from_u128(5), "visitId": Uuid::from_u128(5) });
    assert_eq!(send(&bench, OFFICER, "validateVisit", "visit { id }", absent).await["__typename"], "NotFound");
}

#[tokio::test]
async fn a_new_mentor_gets_the_enterprise_and_the_old_one_loses_it() {
    let bench = Bench::start().await;
    bench.insert_enterprises(1).await;
    let fields = [("role", text("MENTOR")), ("is_active", Value::Bool(true))];
    bench.insert(EntityKind::User, vec![row(EntityKind::User, OTHER_MENTOR, &fields)]).await;
    let enterprise = id(EntityKind::Enterprise, 1);
    let mut shown = Vec::new();
    for (n, mentor, user) in [(1, MENTOR, COORDINATOR), (2, OTHER_MENTOR, ADMIN), (3, OTHER_MENTOR, ADMIN)] {
        let input = json!({ "clientMutationId": Uuid::from_u128(n), "enterpriseId": enterprise, "mentorId": mentor });
        let done = send(&bench, user, "assignMentor", "enterprise { mentorId }", input).await;
        assert_eq!(done["enterprise"]["mentorId"], json!(mentor), "{done}");
        let seen = bench.data(MENTOR, "{ enterprises { totalCount } }").await;
        shown.push(seen["enterprises"]["totalCount"].as_i64().unwrap());
    }
    assert_eq!(shown, [1, 0, 0]);
    let grants = bench.data(ADMIN, "{ scopeGrants { nodes { userId validUntilAt } } }").await;
    let nodes = grants["scopeGrants"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert!(nodes.iter().all(|grant| grant["validUntilAt"].is_null() == (grant["userId"] == json!(OTHER_MENTOR))));
    let input = json!({ "clientMutationId": Uuid::from_u128(9), "enterpriseId": enterprise, "mentorId": ADMIN });
    let refused = send(&bench, COORDINATOR, "assignMentor", "enterprise { id }", input).await;
    assert_eq!((&refused["code"], &refused["path"]), (&json!("MENTOR_UNKNOWN"), &json!(["input", "mentorId"])));
}

#[tokio::test]
async fn a_planned_visit_reaches_the_list_of_its_enterprise_once() {
    let bench = Bench::start().await;
    bench.insert_enterprises(1).await;
    let input = json!({
        "clientMutationId": Uuid::from_u128(6), "enterpriseId": id(EntityKind::Enterprise, 1), "mentorId": MENTOR,
        "kind": "ROUTINE", "mode": "ON_SITE", "plannedStartAt": "2026-12-01T08:00:00Z",
    });
    let fields = "visit { id status plannedStartAt enterprise { visits { totalCount } } }";
    for _ in 0..2 {
        let planned = send(&bench, COORDINATOR, "planVisit", fields, input.clone()).await;
        assert_eq!(planned["visit"]["status"], "PLANNED", "{planned}");
        assert_eq!(planned["visit"]["plannedStartAt"], "2026-12-01T08:00:00.000Z");
        assert_eq!(planned["visit"]["enterprise"]["visits"]["totalCount"], 1);
    }
    // The same id for another change is a mistake, not a success.
    let enterprise = id(EntityKind::Enterprise, 1);
    let mentor = json!({ "clientMutationId": Uuid::from_u128(6), "enterpriseId": enterprise, "mentorId": MENTOR });
    let reused = send(&bench, COORDINATOR, "assignMentor", "enterprise { id }", mentor).await;
    assert_eq!(reused["code"], "MUTATION_ID_REUSED");
}

#[tokio::test]
async fn a_job_record_is_verified_by_someone_else_than_its_recorder() {
    let bench = Bench::start().await;
    bench.insert_enterprises(1).await;
    let record = |n: u128, recorded_by: Uuid| {
        let fields = [
            ("enterprise_id", Value::Uuid(id(EntityKind::Enterprise, 1))),
            ("weekly_hours", Value::Decimal(rust_decimal::Decimal::from(30))),
            ("recorded_by", Value::Uuid(recorded_by)),
            ("contract_no", text("17")),
        ];
        row(EntityKind::Employment, id(EntityKind::Employment, n), &fields)
    };
    bench.insert(EntityKind::Employment, vec![record(1, MENTOR), record(2, OFFICER)]).await;
    let input = |n: u128| {
        let employment = id(EntityKind::Employment, n);
        json!({ "clientMutationId": Uuid::from_u128(n), "employmentId": employment, "verification": "VERIFIED" })
    };
    let fields = "employment { verification verifiedById verifiedOn }";
    let done = send(&bench, OFFICER, "verifyEmployment", fields, input(1)).await;
    let expected = json!({ "verification": "VERIFIED", "verifiedById": OFFICER, "verifiedOn": NOW.date().to_string() });
    assert_eq!(done["employment"], expected, "{done}");
    let refused = send(&bench, OFFICER, "verifyEmployment", fields, input(2)).await;
    assert_eq!(refused["rule"], "DUTIES", "{refused}");
}

#[tokio::test]
async fn a_conflict_is_settled_once_and_gives_the_other_value_back_if_asked() {
    let bench = with_visit("IN_PROGRESS").await;
    let conflict = |n, other: &str| {
        let fields = [
            ("subject_scope_id", Value::Uuid(id(EntityKind::Enterprise, 1))),
            ("subject_kind", text("visit")),
            ("subject_id", Value::Uuid(id(EntityKind::Visit, 1))),
            ("field", text("summary")),
            ("other_value", text(other)),
            ("state", text("OPEN")),
        ];
        row(EntityKind::Conflict, id(EntityKind::Conflict, n), &fields)
    };
    bench.insert(EntityKind::Conflict, vec![conflict(1, "\"What the mentor wrote\""), conflict(2, "\"x\"")]).await;
    let input = |mutation: u128, n, takes_other: bool| {
        let conflict = id(EntityKind::Conflict, n);
        json!({ "clientMutationId": Uuid::from_u128(mutation), "conflictId": conflict, "takesOther": takes_other })
    };
    let fields = "conflict { state resolvedBy { id } }";
    for (mutation, n, takes_other) in [(1, 1, true), (2, 2, false)] {
        let done = send(&bench, COORDINATOR, "resolveConflict", fields, input(mutation, n, takes_other)).await;
        assert_eq!(done["conflict"], json!({ "state": "RESOLVED", "resolvedBy": { "id": COORDINATOR } }), "{done}");
    }
    let visits = bench.data(COORDINATOR, "{ visits { nodes { summary } } }").await;
    assert_eq!(visits["visits"]["nodes"], json!([{ "summary": "What the mentor wrote" }]));
    let again = send(&bench, COORDINATOR, "resolveConflict", fields, input(3, 1, false)).await;
    assert_eq!((&again["code"], &again["path"]), (&json!("CONFLICT_SETTLED"), &json!(["input", "conflictId"])));
}
