//! Someone in the office: a browser that speaks GraphQL.

use std::net::SocketAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::device::http_client;

/// A person who is signed in.
#[derive(Clone, Debug)]
pub struct Office {
    address: SocketAddr,
    token: String,
    http: reqwest::Client,
}

impl Office {
    /// Signs a person in.
    pub async fn sign_in(address: SocketAddr, email: &str, password: &str) -> Self {
        let http = http_client();
        let body = json!({"email": email, "password": password});
        let answer = http.post(format!("http://{address}/auth/login")).json(&body).send().await.expect("it answers");
        let body: Value = answer.json().await.expect("the answer is JSON");
        let token = body["accessToken"].as_str().unwrap_or_else(|| panic!("{email} cannot sign in: {body}")).to_owned();
        Self { address, token, http }
    }

    /// Returns the data of an answer without errors.
    pub async fn ask(&self, document: &str, variables: Value) -> Value {
        let request = self.http.post(format!("http://{}/graphql", self.address)).bearer_auth(&self.token);
        let request = request.json(&json!({"query": document, "variables": variables}));
        let mut answer: Value = request.send().await.expect("it answers").json().await.expect("the answer is JSON");
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].take()
    }

    /// Carries out a verb under a fresh id and returns its result: `fields` of a success, or what was refused.
    pub async fn perform(&self, verb: &str, fields: &str, mut input: Value) -> Value {
        let mut type_name = verb.to_owned();
        type_name[..1].make_ascii_uppercase();
        if input.get("clientMutationId").is_none() {
            input["clientMutationId"] = json!(Uuid::new_v4());
        }
        let document = format!(
            "mutation($input: {type_name}Input!) {{ result: {verb}(input: $input) {{ __typename \
             ... on {type_name}Success {{ {fields} }} ... on UserError {{ code message path }} }} }}"
        );
        self.ask(&document, json!({ "input": input })).await["result"].take()
    }
}
