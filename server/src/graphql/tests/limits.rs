//! Requests that would cost too much are refused fast, and the process lives on.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::*;

async fn refused(bench: &Bench, query: &str) -> String {
    let start = Instant::now();
    let answer = bench.ask(COORDINATOR, query, json!({})).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?} for {query:.60}", start.elapsed());
    assert_eq!(answer.body.get("data"), None, "{query:.60}");
    assert!(answer.body["errors"].as_array().unwrap().len() <= 10);
    answer.code().to_owned()
}

#[tokio::test]
async fn bombs_are_refused_fast_and_the_server_goes_on() {
    let bench = Bench::start().await;
    for levels in [500, 2_000, 20_000] {
        for open in ["[", "{a:"] {
            let query = format!("{{ enterprises(filter: {}", open.repeat(levels));
            assert_eq!(refused(&bench, &query).await, "COST_LIMIT");
        }
    }
    assert_eq!(refused(&bench, &fragment_bomb(22, "id")).await, "COST_LIMIT");
    assert_eq!(refused(&bench, &fragment_bomb(22, "__typename")).await, "COST_LIMIT");
    let cycle = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
    assert!(matches!(refused(&bench, cycle).await.as_str(), "DEPTH_LIMIT" | "COST_LIMIT"));
    let aliases: String = (0..31).map(|n| format!("a{n}: viewer {{ role }} ")).collect();
    assert_eq!(refused(&bench, &format!("{{ {aliases} }}")).await, "COST_LIMIT");
    assert_eq!(refused(&bench, &format!("{{ viewer {{ {} }} }}", "__typename ".repeat(3_000))).await, "COST_LIMIT");
    assert_eq!(
        refused(&bench, &format!("{{ viewer {} {{ role }} }}", "@skip(if: false)".repeat(6))).await,
        "COST_LIMIT"
    );
    assert_eq!(refused(&bench, &format!("{{ {} }}", "nope ".repeat(1_000))).await, "GRAPHQL_VALIDATION_FAILED");
    let deep = format!(
        "{{ enterprises {{ nodes {{ {}{} }} }} }}",
        "mentor { enterprises { nodes { ".repeat(4),
        "id".to_owned() + &" } } }".repeat(4)
    );
    assert_eq!(refused(&bench, &deep).await, "DEPTH_LIMIT");
    assert_eq!(bench.data(COORDINATOR, "{ viewer { role } }").await["viewer"]["role"], "COORDINATOR");
}

/// Fragments of which each spreads the next one twice.
fn fragment_bomb(levels: usize, leaf: &str) -> String {
    let mut query = "{ node(id: \"00000000-0000-0000-0000-000000000001\") { ...F0 } }".to_owned();
    for level in 0..levels {
        query += &format!(" fragment F{level} on Node {{ ...F{next} ...F{next} }}", next = level + 1);
    }
    query + &format!(" fragment F{levels} on Node {{ {leaf} }}")
}

#[tokio::test]
async fn the_cost_counts_rows_and_every_nested_list_multiplies() {
    let bench = Bench::start().await;
    let nested = "{ enterprises(first: 100) { nodes { visits(first: 50) { nodes { id } } } } }";
    assert_eq!(refused(&bench, nested).await, "COST_LIMIT");
    let by_variable = "query($n: Int!) { enterprises(first: $n) { nodes { visits(first: $n) { nodes { id } } } } }";
    let answer = bench.ask(COORDINATOR, by_variable, json!({ "n": 200 })).await;
    assert_eq!(answer.code(), "COST_LIMIT");
    let answer = bench.ask(COORDINATOR, by_variable, json!({ "n": 10 })).await;
    assert_eq!(answer.code(), "");
    // A reporting tool may ask for more at once.
    assert_eq!(bench.ask(ANALYST, nested, json!({})).await.code(), "");
}

#[tokio::test]
async fn a_body_that_is_too_big_is_refused() {
    let bench = Bench::start().await;
    let body = format!(r#"{{"query":"{{ viewer {{ role }} }}","extensions":{{"x":"{}"}}}}"#, "x".repeat(300_000));
    let answer = bench.post(COORDINATOR, &body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(
        bench.post(COORDINATOR, &format!(r#"{{"query":"{}"}}"#, "#".repeat(100_000))).await.code(),
        "COST_LIMIT"
    );
}
