//! HTTP: methods, media types, and errors as documents.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::bench::*;

const TOKEN: &str = "authorization: Bearer 00000000-0000-0000-0000-00000000000a/00000000-0000-0000-0000-000000000001";
const QUERY: &str = r#"{"query":"{ viewer { role } }"}"#;

#[tokio::test]
async fn only_a_post_of_json_is_answered() {
    let bench = Bench::start().await;
    let json_type = "content-type: application/json";
    let cases = [
        ("POST", "", 401, "UNAUTHENTICATED"),
        ("POST", "content-type: text/plain", 415, "BAD_REQUEST"),
        ("POST", "content-type: application/x-www-form-urlencoded", 415, "BAD_REQUEST"),
        ("POST", "content-type: multipart/form-data; boundary=x", 415, "BAD_REQUEST"),
        ("POST", "x-no: type", 415, "BAD_REQUEST"),
        ("PUT", json_type, 405, "BAD_REQUEST"),
        ("GET", json_type, 405, "BAD_REQUEST"),
        ("POST", "content-type: application/json\r\naccept: text/html", 406, "BAD_REQUEST"),
    ];
    for (method, head, status, code) in cases {
        let head = if head.is_empty() { json_type.to_owned() } else { format!("{TOKEN}\r\n{head}") };
        let answer = bench.send(method, &head, QUERY).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {head}");
        assert_eq!(answer.head.contains("allow: post"), status == 405);
        assert!(answer.head.contains("x-content-type-options: nosniff"));
    }
    let answer = bench.send("POST", &format!("{TOKEN}\r\ncontent-type: application/json; charset=utf-8"), QUERY).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({ "data": { "viewer": { "role": "COORDINATOR" } } })));
}

#[tokio::test]
async fn a_malformed_request_is_told_so_without_internals() {
    let bench = Bench::start().await;
    for body in [
        "",
        "{",
        "[]",
        "1",
        r#"[{"query":"{ viewer { role } }"}]"#,
        r#"{"query":1}"#,
        r#"{"q":"{a}"}"#,
        r#"{"query":"{a}","variables":[]}"#,
        r#"{"query":"{a}","operationName":1}"#,
        r#"{"query":"{a}","extensions":1}"#,
    ] {
        let answer = bench.post(COORDINATOR, body).await;
        assert_eq!((answer.status, answer.code()), (400, "BAD_REQUEST"), "{body}");
        let message = answer.body["errors"][0]["message"].as_str().unwrap();
        assert!(!message.contains("Error") && !message.contains("line"), "{message}");
    }
}

#[tokio::test]
async fn the_media_type_decides_the_status_of_a_request_that_does_not_fit_the_schema() {
    let bench = Bench::start().await;
    for (query, code) in [
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer {", "GRAPHQL_PARSE_FAILED"),
        ("query A { viewer { role } } query B { viewer { role } }", "BAD_REQUEST"),
        ("{ enterprise(id: \"x\") { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ __schema { queryType { name } } }", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let body = json!({ "query": query }).to_string();
        for (accept, status) in [("application/json", 200), ("application/graphql-response+json", 400)] {
            let head = format!("{TOKEN}\r\ncontent-type: application/json\r\naccept: {accept}");
            let answer = bench.send("POST", &head, &body).await;
            assert_eq!((answer.status, answer.code()), (status, code), "{query}");
            assert_eq!(answer.body.get("data"), None, "{query}");
            assert!(answer.head.contains(&format!("content-type: {accept}")), "{}", answer.head);
            assert!(!answer.body.to_string().contains("Did you mean"));
        }
    }
}

#[tokio::test]
async fn a_failure_inside_is_told_only_by_its_request_id() {
    let bench = Bench::start().await;
    bench.db.conn().await.unwrap().batch("DROP TABLE attendee").await.unwrap();
    let query = json!({ "query": "{ attendees { nodes { id } } viewer { role } }" }).to_string();
    let head = format!("{TOKEN}\r\ncontent-type: application/json\r\nx-request-id: r-42");
    let answer = bench.send("POST", &head, &query).await;
    assert_eq!((answer.status, answer.code()), (200, "INTERNAL"));
    assert_eq!(answer.body["data"], json!({ "attendees": null, "viewer": { "role": "COORDINATOR" } }));
    assert_eq!(answer.body["errors"][0]["path"], json!(["attendees"]));
    let text = answer.body.to_string();
    assert!(text.contains("r-42") && !text.contains("relation") && !text.contains("SELECT"), "{text}");
}

#[tokio::test]
async fn a_user_who_may_not_sign_in_any_more_is_refused_at_once() {
    let bench = Bench::start().await;
    let off = "UPDATE \"user\" SET is_active = false WHERE id = '00000000-0000-0000-0000-000000000001'";
    bench.db.conn().await.unwrap().batch(off).await.unwrap();
    let answer = bench.post(COORDINATOR, QUERY).await;
    assert_eq!((answer.status, answer.code()), (401, "UNAUTHENTICATED"));
    assert_eq!(bench.post(Uuid::from_u128(99), QUERY).await.status, 401);
}

#[tokio::test]
async fn variables_may_be_left_out() {
    let bench = Bench::start().await;
    let query = "query($first: Int, $filter: EnterpriseFilter, $order: [EnterpriseOrder!] = [{field: CODE}]) \
                 { enterprises(first: $first, filter: $filter, orderBy: $order) { nodes { id } } }";
    for variables in [Json::Null, json!({}), json!({ "first": null, "filter": {} })] {
        let answer = bench.ask(COORDINATOR, query, variables).await;
        assert_eq!(answer.body, json!({ "data": { "enterprises": { "nodes": [] } } }));
    }
}

#[tokio::test]
async fn development_offers_a_page_and_introspection_to_those_who_are_signed_in() {
    let bench = Bench::start_in(true).await;
    let page = bench.send("GET", "accept: text/html", "").await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"));
    let anonymous = bench.send("POST", "content-type: application/json", QUERY).await;
    assert_eq!(anonymous.status, 401);
    let data = bench.data(COORDINATOR, INTROSPECTION).await;
    assert!(data["__schema"]["types"].as_array().unwrap().len() > 100);
    assert_eq!(Bench::start().await.send("GET", "accept: text/html", "").await.status, 405);
}

/// What tools ask to learn a schema.
const INTROSPECTION: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } \
    types { ...FullType } directives { name description locations args { ...InputValue } } } } \
    fragment FullType on __Type { kind name description \
      fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated } \
      inputFields { ...InputValue } interfaces { ...TypeRef } \
      enumValues(includeDeprecated: true) { name description } possibleTypes { ...TypeRef } } \
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue } \
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name \
      ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }";
