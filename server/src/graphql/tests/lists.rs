//! Pages, orders, filters and searches.

use serde_json::{Value as Json, json};
use sync_protocol::entity::EntityKind;
use sync_protocol::value::Value;

use super::bench::*;

/// Walks a list page by page and returns the identifiers in the order of the walk.
async fn walk(bench: &Bench, arguments: &str, forward: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = Json::Null;
    loop {
        let page = if forward { "first: 4, after: $c" } else { "last: 4, before: $c" };
        let query = format!(
            "query($c: String) {{ visits({page}, {arguments}) {{ nodes {{ id }} \
             pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        let answer = bench.ask(COORDINATOR, &query, json!({ "c": cursor })).await;
        let page = &answer.body["data"]["visits"];
        let mut ids: Vec<String> = page["nodes"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .iter()
            .map(|n| n["id"].to_string())
            .collect();
        if !forward {
            ids.reverse();
        }
        found.extend(ids);
        let (more, next) = if forward { ("hasNextPage", "endCursor") } else { ("hasPreviousPage", "startCursor") };
        if page["pageInfo"][more] != json!(true) {
            return found;
        }
        cursor = page["pageInfo"][next].clone();
    }
}

#[tokio::test]
async fn pages_cover_a_list_exactly_once_in_both_directions_and_every_order() {
    let bench = Bench::start().await;
    bench.insert_enterprises(3).await;
    bench.insert_visits(3, 7).await;
    for order in [
        "orderBy: []",
        "orderBy: [{field: ACTUAL_START_AT}]",
        "orderBy: [{field: ACTUAL_START_AT, direction: DESC}]",
        "orderBy: [{field: ENTERPRISE_ID, direction: DESC}, {field: ACTUAL_START_AT}]",
        "orderBy: [{field: KIND}, {field: ID, direction: DESC}]",
    ] {
        let forward = walk(&bench, order, true).await;
        let mut backward = walk(&bench, order, false).await;
        backward.reverse();
        assert_eq!(forward, backward, "{order}");
        let mut distinct = forward.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((forward.len(), distinct.len()), (21, 21), "{order}");
    }
}

#[tokio::test]
async fn an_order_puts_nulls_last_when_rising() {
    let bench = Bench::start().await;
    bench.insert_enterprises(1).await;
    bench.insert_visits(1, 7).await;
    let query = "{ visits(orderBy: [{field: ACTUAL_START_AT}]) { nodes { actualStartAt } } }";
    let data = bench.data(COORDINATOR, query).await;
    let starts: Vec<&Json> = data["visits"]["nodes"].as_array().unwrap().iter().map(|n| &n["actualStartAt"]).collect();
    assert_eq!(starts.iter().filter(|start| start.is_null()).count(), 2);
    assert!(starts[5].is_null() && starts[6].is_null());
    assert!(starts[..5].windows(2).all(|pair| pair[0].as_str() <= pair[1].as_str()));
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let bench = Bench::start().await;
    bench.insert_enterprises(3).await;
    bench.insert_visits(3, 2).await;
    let data = bench.data(COORDINATOR, "{ visits(first: 1) { edges { cursor } } }").await;
    let cursor = data["visits"]["edges"][0]["cursor"].as_str().unwrap().to_owned();
    let forged = format!("{}A", &cursor[..cursor.len() - 1]);
    for (cursor, arguments) in [
        (cursor.as_str(), "orderBy: [{field: KIND}]"),
        (cursor.as_str(), "filter: {kind: {eq: ROUTINE}}"),
        ("bm9uc2Vuc2U", "first: 1"),
        ("%", "first: 1"),
        ("", "first: 1"),
    ] {
        let query = format!("{{ visits(after: \"{cursor}\", {arguments}) {{ nodes {{ id }} }} }}");
        let answer = bench.ask(COORDINATOR, &query, json!({})).await;
        assert_eq!((answer.code(), &answer.body["data"]["visits"]), ("BAD_CURSOR", &Json::Null), "{query}");
    }
    // A forged position is only another place in the same list.
    let query = format!("{{ visits(after: \"{forged}\") {{ nodes {{ id }} }} }}");
    let answer = bench.ask(COORDINATOR, &query, json!({})).await;
    assert!(matches!(answer.code(), "" | "BAD_CURSOR"), "{answer:?}");
}

#[tokio::test]
async fn filters_combine_and_an_empty_one_lets_every_row_pass() {
    let bench = Bench::start().await;
    bench.insert_enterprises(5).await;
    let cases = [
        ("{}", 5),
        ("{and: []}", 5),
        ("{or: []}", 0),
        ("{code: {eq: \"ENT-002\"}}", 1),
        ("{code: {in: [\"ENT-002\", \"ENT-004\", \"x\"]}}", 2),
        ("{code: {in: []}}", 0),
        ("{code: {gte: \"ENT-002\", lt: \"ENT-004\"}}", 2),
        ("{not: {code: {eq: \"ENT-002\"}}}", 4),
        ("{or: [{code: {eq: \"ENT-001\"}}, {name: {contains: \"rprise 003\"}}]}", 2),
        ("{name: {contains: \"%\"}}", 0),
        ("{name: {contains: \"'; DROP TABLE visit; --\"}}", 0),
        ("{mentorId: {isNull: true}}", 5),
        ("{not: {mentorId: {eq: \"00000000-0000-0000-0000-000000000002\"}}}", 5),
        ("{kind: {eq: WISE}}", 0),
        ("{kind: {in: [SE]}, status: {eq: PLANNED}}", 5),
        ("{id: {eq: \"00000000-0000-0000-0000-000900000001\"}}", 1),
    ];
    for (filter, expected) in cases {
        let query = format!("{{ enterprises(filter: {filter}) {{ totalCount nodes {{ id }} }} }}");
        let data = bench.data(COORDINATOR, &query).await;
        let page = &data["enterprises"];
        assert_eq!(
            (page["totalCount"].as_i64(), page["nodes"].as_array().map(Vec::len)),
            (Some(expected), Some(expected as usize)),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_filter_out_of_bounds_is_the_clients_mistake() {
    let bench = Bench::start().await;
    let many = vec!["\"a\""; 101].join(",");
    for filter in [format!("{{code: {{in: [{many}]}}}}"), "{not: {not: {not: {not: {}}}}}".to_owned()] {
        let answer = bench
            .ask(COORDINATOR, &format!("{{ enterprises(filter: {filter}) {{ nodes {{ id }} }} }}"), json!({}))
            .await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{filter}");
    }
    for arguments in ["first: 201", "first: -1", "first: 1, last: 1", "first: 1, before: \"x\"", "search: \"\""] {
        let answer =
            bench.ask(COORDINATOR, &format!("{{ enterprises({arguments}) {{ totalCount }} }}"), json!({})).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{arguments}");
    }
    let answer = bench.ask(COORDINATOR, "{ enterprises(search: \"a\\u0000b\") { totalCount } }", json!({})).await;
    assert_eq!(answer.code(), "BAD_USER_INPUT");
    let query = "query($s: String) { enterprises(search: $s) { totalCount } }";
    let answer = bench.ask(COORDINATOR, query, json!({ "s": "a\u{0}b" })).await;
    assert_eq!(answer.code(), "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_search_ignores_case_and_diacritics() {
    let bench = Bench::start().await;
    let kind = EntityKind::Enterprise;
    let named = |n, name: &str| row(kind, id(kind, n), &[("name", text(name)), ("social_mission", text("x"))]);
    bench.insert(kind, vec![named(1, "Brutăria Țărănească"), named(2, "Spălătoria"), named(3, "100% Lemn")]).await;
    for (search, expected) in [("TARANEASCA", 1), ("ăria", 1), ("atori", 1), ("100%", 1), ("_", 3), ("xyz", 0)] {
        let query = format!("{{ enterprises(search: \"{search}\") {{ totalCount }} }}");
        // `_` stands in the other fields of every row, such as `locality_name`.
        assert_eq!(bench.data(COORDINATOR, &query).await["enterprises"]["totalCount"], expected, "{search}");
    }
}

#[tokio::test]
async fn nested_lists_have_their_own_filter_order_and_count() {
    let bench = Bench::start().await;
    bench.insert_enterprises(2).await;
    bench.insert_visits(2, 4).await;
    let extra = [("enterprise_id", Value::Uuid(id(EntityKind::Enterprise, 2))), ("kind", text("CLOSING"))];
    bench.insert(EntityKind::Visit, vec![row(EntityKind::Visit, id(EntityKind::Visit, 100), &extra)]).await;
    let query = "{ enterprises { nodes { all: visits { totalCount } \
                   closing: visits(filter: {kind: {eq: CLOSING}}) { totalCount nodes { kind } } \
                   newest: visits(last: 1) { nodes { id } pageInfo { hasNextPage hasPreviousPage } } } } }";
    let data = bench.data(COORDINATOR, query).await;
    let second = &data["enterprises"]["nodes"][1];
    assert_eq!(second["all"]["totalCount"], 5);
    assert_eq!(second["closing"], json!({ "totalCount": 1, "nodes": [{ "kind": "CLOSING" }] }));
    assert_eq!(second["newest"]["nodes"][0]["id"], json!(id(EntityKind::Visit, 100)));
    assert_eq!(second["newest"]["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": true }));
    assert_eq!(data["enterprises"]["nodes"][0]["closing"], json!({ "totalCount": 0, "nodes": [] }));
}
