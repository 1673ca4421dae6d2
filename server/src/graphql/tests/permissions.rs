//! What a viewer does not see, on every path.

use serde_json::{Value as Json, json};
use sync_protocol::entity::EntityKind;
use sync_protocol::field::ScopeRule;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::bench::*;
use crate::graphql::catalog::Catalog;

fn in_enterprise(kind: EntityKind, n: u128, enterprise: Uuid) -> Vec<(&'static str, Value)> {
    let mut fields = vec![("enterprise_id", Value::Uuid(enterprise))];
    if kind.def().field("visit_id").is_some() {
        fields.push(("visit_id", Value::Uuid(id(EntityKind::Visit, n))));
    }
    fields
}

/// Reads a row by its own field, by `node` and through its list.
async fn paths(bench: &Bench, user: Uuid, kind: EntityKind, row: Uuid) -> [bool; 3] {
    let shape = Catalog::get().shape(kind);
    let query = format!(
        "{{ one: {}(id: \"{row}\") {{ id }} any: node(id: \"{row}\") {{ id }} \
            list: {}(filter: {{id: {{eq: \"{row}\"}}}}) {{ totalCount nodes {{ id }} }} }}",
        shape.singular, shape.plural
    );
    let data = bench.data(user, &query).await;
    let listed = data["list"]["nodes"].as_array().unwrap().len();
    assert_eq!(data["list"]["totalCount"], listed, "the count tells no more than the rows");
    [data["one"] != Json::Null, data["any"] != Json::Null, listed == 1]
}

#[tokio::test]
async fn a_mentor_sees_granted_enterprises_and_nothing_of_others_on_every_path() {
    let bench = Bench::start().await;
    let (own, other, past) =
        (id(EntityKind::Enterprise, 1), id(EntityKind::Enterprise, 2), id(EntityKind::Enterprise, 3));
    bench.insert_enterprises(3).await;
    bench.grant(own, None).await;
    bench.grant(past, Some(Timestamp(NOW.0 - 1))).await;
    let kinds = EntityKind::ALL.iter().copied().filter(|kind| matches!(kind.def().scope, ScopeRule::Enterprise(_)));
    for kind in kinds {
        let scoped = |n, enterprise| row(kind, id(kind, n), &in_enterprise(kind, n, enterprise));
        bench.insert(kind, vec![scoped(1, own), scoped(2, other), scoped(3, past)]).await;
        for (n, visible) in [(1, true), (2, false), (3, false)] {
            assert_eq!(paths(&bench, MENTOR, kind, id(kind, n)).await, [visible; 3], "{kind:?} {n}");
        }
    }
    assert_eq!(paths(&bench, MENTOR, EntityKind::Enterprise, own).await, [true; 3]);
    assert_eq!(paths(&bench, MENTOR, EntityKind::Enterprise, other).await, [false; 3]);
}

#[tokio::test]
async fn a_relation_to_a_foreign_row_is_null_and_a_list_leaves_foreign_rows_out() {
    let bench = Bench::start().await;
    bench.insert_enterprises(2).await;
    bench.insert_visits(2, 2).await;
    bench.grant(id(EntityKind::Enterprise, 1), None).await;
    // A finding of the own enterprise that names a visit of another one.
    let fields = [
        ("enterprise_id", Value::Uuid(id(EntityKind::Enterprise, 1))),
        ("visit_id", Value::Uuid(id(EntityKind::Visit, 4))),
    ];
    bench.insert(EntityKind::Finding, vec![row(EntityKind::Finding, id(EntityKind::Finding, 1), &fields)]).await;
    let query = "{ findings { nodes { visitId visit { id } enterprise { visits { totalCount } } } } \
                   users { nodes { visits { totalCount nodes { enterpriseId } } } } }";
    let data = bench.data(MENTOR, query).await;
    let finding = &data["findings"]["nodes"][0];
    assert_eq!(finding["visit"], Json::Null);
    assert_eq!(finding["enterprise"]["visits"]["totalCount"], 2);
    let mentor = &data["users"]["nodes"][1]["visits"];
    assert_eq!(mentor["totalCount"], 2);
    assert_eq!(mentor["nodes"][0]["enterpriseId"], json!(id(EntityKind::Enterprise, 1)));
}

#[tokio::test]
async fn rows_of_another_programme_do_not_exist() {
    let bench = Bench::start().await;
    for kind in EntityKind::ALL.iter().copied() {
        bench.insert(kind, vec![row(kind, id(kind, 77), &[])]).await;
        assert_eq!(paths(&bench, FOREIGNER, kind, id(kind, 77)).await, [false; 3], "{kind:?}");
    }
}

#[tokio::test]
async fn a_role_without_permission_gets_empty_lists() {
    let bench = Bench::start().await;
    bench.insert_enterprises(1).await;
    bench
        .insert(EntityKind::Participation, vec![row(EntityKind::Participation, id(EntityKind::Participation, 1), &[])])
        .await;
    let query = "{ enterprises { totalCount } participations { totalCount } codes { totalCount } }";
    assert_eq!(bench.data(ANALYST, query).await["enterprises"]["totalCount"], 0);
    assert_eq!(bench.data(ADMIN, query).await["participations"]["totalCount"], 0);
    assert_eq!(bench.data(COORDINATOR, query).await["participations"]["totalCount"], 1);
}

#[tokio::test]
async fn protected_fields_are_null_and_cannot_be_searched_by_roles_that_may_not_read_them() {
    let bench = Bench::start().await;
    let fields =
        [("holder_name", text("Maria Pop")), ("vulnerability_codes", Value::Json(r#"["DISABILITY"]"#.to_owned()))];
    bench
        .insert(EntityKind::Employment, vec![row(EntityKind::Employment, id(EntityKind::Employment, 1), &fields)])
        .await;
    let query = "{ employments(search: \"maria\") { totalCount } \
                   all: employments { nodes { holderName vulnerabilityCodes isVulnerable } } }";
    for (user, name, codes, found) in [
        (OFFICER, json!("Maria Pop"), json!(["DISABILITY"]), 1),
        (COORDINATOR, json!("Maria Pop"), Json::Null, 1),
        (ADMIN, Json::Null, Json::Null, 0),
    ] {
        let data = bench.data(user, query).await;
        let expected = json!({ "holderName": name, "vulnerabilityCodes": codes, "isVulnerable": false });
        assert_eq!(data["all"]["nodes"][0], expected);
        assert_eq!(data["employments"]["totalCount"], found);
    }
}

#[tokio::test]
async fn the_viewer_is_told_what_may_be_done_and_where() {
    let bench = Bench::start().await;
    let own = id(EntityKind::Enterprise, 1);
    bench.grant(own, None).await;
    let query = "{ viewer { user { role } permissions { type action everywhere scopeIds } } }";
    let viewer = bench.data(MENTOR, query).await["viewer"].take();
    let permissions = viewer["permissions"].as_array().unwrap();
    let visit = json!({ "type": "Visit", "action": "UPDATE", "everywhere": false, "scopeIds": [own] });
    assert!(permissions.contains(&visit));
    assert!(!permissions.iter().any(|p| p["type"] == "Visit" && p["action"] == "VALIDATE"));
}

#[tokio::test]
async fn a_conflict_tells_no_more_of_a_protected_field_than_the_row_does() {
    let bench = Bench::start().await;
    let conflict = |n, field: &str| {
        let fields = [
            ("subject_kind", text("employment")),
            ("field", text(field)),
            ("kept_value", text("[\"DISABILITY\"]")),
            ("other_value", text("[]")),
        ];
        row(EntityKind::Conflict, id(EntityKind::Conflict, n), &fields)
    };
    let conflicts = vec![conflict(1, "vulnerability_codes"), conflict(2, "holder_name"), conflict(3, "fte")];
    bench.insert(EntityKind::Conflict, conflicts).await;
    for (user, expected) in
        [(COORDINATOR, [false, true, true]), (OFFICER, [true, true, true]), (ADMIN, [false, false, true])]
    {
        let data = bench.data(user, "{ conflicts { nodes { keptValue otherValue } } }").await;
        let nodes = data["conflicts"]["nodes"].as_array().unwrap();
        let shown = nodes.iter().map(|node| !node["keptValue"].is_null() && !node["otherValue"].is_null());
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
