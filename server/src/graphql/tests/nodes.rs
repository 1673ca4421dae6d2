//! Single rows, their values and what they are tied to.

use serde_json::json;
use sync_protocol::entity::EntityKind;
use sync_protocol::value::Value;

use super::bench::*;

#[tokio::test]
async fn every_kind_is_read_by_its_identifier_and_by_any() {
    let bench = Bench::start().await;
    for kind in EntityKind::ALL.iter().copied().filter(|kind| !matches!(kind, EntityKind::Programme)) {
        bench.insert(kind, vec![row(kind, id(kind, 1), &[])]).await;
        let (name, singular) =
            (kind.def().type_name, crate::graphql::catalog::Catalog::get().shape(kind).singular.clone());
        let row_id = id(kind, 1);
        let fields = scalars_of(kind);
        let query = format!(
            "{{ one: {singular}(id: \"{row_id}\") {{ __typename id version {fields} }} \
               any: node(id: \"{row_id}\") {{ __typename id version ... on {name} {{ {fields} }} }} }}"
        );
        let data = bench.data(OFFICER, &query).await;
        assert_eq!(data["one"]["__typename"], name);
        assert_eq!(data["one"]["id"], json!(row_id));
        assert_ne!(data["one"]["version"], "0");
        assert_eq!(data["one"], data["any"]);
    }
}

/// Returns a selection of every value of a kind.
fn scalars_of(kind: EntityKind) -> String {
    use crate::graphql::catalog::{column_name, scalar_name};
    let fields = kind.def().fields.iter().map(|field| match scalar_name(field).as_str() {
        "I18nText" => format!("{} {{ ro en it text }}", column_name(field)),
        "Place" => format!("{} {{ latitude isMock fixedAt }}", column_name(field)),
        _ => column_name(field),
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn values_have_one_textual_form() {
    let bench = Bench::start().await;
    let fields = [
        ("actual_start_at", Value::Timestamp(sync_protocol::time::Timestamp(1_711_966_205_120))),
        ("next_visit_on", Value::Date(sync_protocol::time::Date(19_814))),
        ("travel_km", Value::Int(42)),
        ("arrival_place", Value::Json(r#"{"latitude":45.5,"longitude":22.25,"accuracy_m":9.0}"#.to_owned())),
    ];
    bench.insert(EntityKind::Visit, vec![row(EntityKind::Visit, id(EntityKind::Visit, 1), &fields)]).await;
    let query = format!(
        "{{ visit(id: \"{}\") {{ travelKm nextVisitOn actualStartAt \
           arrivalPlace {{ longitude accuracyM isMock }} status signedAt }} }}",
        id(EntityKind::Visit, 1)
    );
    let visit = bench.data(COORDINATOR, &query).await["visit"].take();
    let expected = json!({
        "travelKm": 42, "nextVisitOn": "2024-04-01", "actualStartAt": "2024-04-01T10:10:05.120Z",
        "arrivalPlace": { "longitude": 22.25, "accuracyM": 9.0, "isMock": false },
        "status": "PLANNED", "signedAt": null,
    });
    assert_eq!(visit, expected);
    let keys: Vec<_> = visit.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 6);
}

#[tokio::test]
async fn a_text_is_given_in_the_language_of_the_viewer_or_the_one_asked_for() {
    let bench = Bench::start().await;
    let query = "{ viewer { role programme { title { own: text ro: text(locale: RO) it: text(locale: IT) } } } }";
    let viewer = bench.data(COORDINATOR, query).await["viewer"].take();
    let title = json!({ "own": "Visit", "ro": "Vizită", "it": "Vizită" });
    assert_eq!(viewer, json!({ "role": "COORDINATOR", "programme": { "title": title } }));
}

#[tokio::test]
async fn a_page_of_fifty_with_five_children_each_takes_three_statements() {
    let bench = Bench::start().await;
    bench.insert_enterprises(50).await;
    bench.insert_visits(50, 6).await;
    let query = "{ enterprises(first: 50) { nodes { id code name status county localityName \
                   visits(first: 5) { nodes { id kind status mode summary riskRating } } } } }";
    bench.data(COORDINATOR, query).await;
    let before = bench.db.statements();
    let data = bench.data(COORDINATOR, query).await;
    assert_eq!(bench.db.statements() - before, 3, "viewer, enterprises, visits");
    let nodes = data["enterprises"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 50);
    for (at, node) in nodes.iter().enumerate() {
        let visits = node["visits"]["nodes"].as_array().unwrap();
        let first = id(EntityKind::Visit, at as u128 * 6 + 1);
        assert_eq!((visits.len(), &visits[0]["id"]), (5, &json!(first)));
    }
}

#[tokio::test]
async fn relations_of_one_level_are_read_together_and_in_the_order_of_the_document() {
    let bench = Bench::start().await;
    bench.insert_enterprises(3).await;
    bench.insert_visits(3, 2).await;
    let query = "query { visits { edges { node { mentor { role id } ...E } } } } \
                 fragment E on Visit { enterprise { name } enterprise { code } mentorId }";
    let before = bench.db.statements();
    let data = bench.data(COORDINATOR, query).await;
    assert_eq!(bench.db.statements() - before, 4, "viewer, visits, mentors, enterprises");
    let node = &data["visits"]["edges"][5]["node"];
    let expected = json!({
        "mentor": { "role": "MENTOR", "id": MENTOR },
        "enterprise": { "name": "Enterprise 003", "code": "ENT-003" },
        "mentorId": MENTOR,
    });
    assert_eq!(*node, expected);
    let aliased =
        "{ enterprises(first: 1) { nodes { a: visits(first: 1) { nodes { id } } b: visits { nodes { id } } } } }";
    let data = bench.data(COORDINATOR, aliased).await;
    let node = &data["enterprises"]["nodes"][0];
    assert_eq!(node["a"]["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(node["b"]["nodes"].as_array().map(Vec::len), Some(2));
}
