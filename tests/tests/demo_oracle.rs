//! The demo in the database and behind GraphQL is what its generator says it made.

use std::collections::BTreeMap;

use serde_json::json;
use server::demo::{self, Plan};
use sync_protocol::time::Date;
use tests::demo::{DEMO_PASSWORD, ELENA};
use tests::state::number;
use tests::{Office, TestServer};

fn plan(today: Date) -> Plan {
    Plan { seed: 1, projects: 2, today }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_office_counts_what_the_generator_counted() {
    let server = TestServer::new().await;
    let plan = plan(server.app.world.now().date());
    let programmes: Vec<_> = demo::generate(&plan).collect();
    for programme in &programmes {
        assert!(demo::load::load(&server.app.office, &server.app.auth, programme).await.unwrap());
        assert!(!demo::load::load(&server.app.office, &server.app.auth, programme).await.unwrap(), "made twice");
    }
    let expected = &programmes[0].expected;
    let office = Office::sign_in(server.address, ELENA, DEMO_PASSWORD).await;
    let total = async |field: &str, filter: serde_json::Value| {
        let kind = field.trim_end_matches('s');
        let query = format!("query($filter: {}Filter) {{ {field}(filter: $filter) {{ totalCount }} }}", upper(kind));
        office.ask(&query, json!({ "filter": filter })).await[field]["totalCount"].as_u64()
    };
    assert_eq!(
        total("visits", json!({})).await,
        expected.rows.get("visit").copied(),
        "one programme sees its own only"
    );
    for (status, count) in &expected.visits_by_status {
        assert_eq!(total("visits", json!({ "status": { "eq": status } })).await, Some(*count), "{status}");
    }
    for (severity, count) in &expected.findings_by_severity {
        assert_eq!(total("findings", json!({ "severity": { "eq": severity } })).await, Some(*count), "{severity}");
    }
    let committed = json!({ "isCommitted": { "eq": true } });
    assert_eq!(total("positions", committed).await, Some(expected.positions_committed));
}

fn upper(kind: &str) -> String {
    let (first, rest) = kind.split_at(1);
    first.to_uppercase() + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_holds_as_many_rows_as_were_made() {
    let server = TestServer::new().await;
    let plan = plan(Date::new(2026, 11, 22).unwrap());
    let mut made: BTreeMap<String, u64> = BTreeMap::new();
    for programme in demo::generate(&plan) {
        demo::load::load(&server.app.office, &server.app.auth, &programme).await.unwrap();
        for (kind, count) in programme.expected.rows {
            *made.entry(kind).or_default() += count;
        }
    }
    for (kind, count) in made {
        let found = number(&server.app.office, &format!("SELECT count(*) FROM \"{kind}\"")).await;
        assert_eq!(found as u64, count, "{kind}");
    }
}
