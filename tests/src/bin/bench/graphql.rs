//! A page of enterprises with their last visits, asked for again and again.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::measure::{self, percentile};
use super::report::{Line, round};
use super::stage::{PASSWORD, Stage};

/// The page.
pub(crate) const QUERY: &str = "{ enterprises(first: 50) { nodes { id code name county status visits(last: 5) { nodes \
    { id status kind actualStartAt purpose } } } } }";
const REQUESTS: usize = 200;

/// Runs the phase. The caller has loaded 50 enterprises and a person who may see them all.
pub(crate) async fn run(stage: &Stage, email: &str) -> Result<Line> {
    let http = reqwest::Client::new();
    let token = sign_in(&http, &stage.address, email).await?;
    let ask = || async {
        let start = Instant::now();
        let request = http.post(format!("{}/graphql", stage.address)).bearer_auth(&token);
        let answer: Value = request.json(&json!({ "query": QUERY })).send().await?.json().await?;
        anyhow::ensure!(answer.get("errors").is_none(), "{}", answer["errors"]);
        anyhow::Ok((start.elapsed().as_secs_f64() * 1_000.0, answer))
    };
    for _ in 0..20 {
        ask().await?;
    }
    let statements = statements(&http, &stage.address).await?;
    let before = measure::usage(stage.server_pid)?;
    let postgres_before = measure::postgres_cpu_s(stage.postmaster)?;
    let start = Instant::now();
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        times.push(ask().await?.0);
    }
    let ms = start.elapsed().as_secs_f64() * 1_000.0;
    let cpu_s = measure::usage(stage.server_pid)?.cpu_s - before.cpu_s;
    let statements = (self::statements(&http, &stage.address).await? - statements) / REQUESTS as f64;
    times.sort_by(f64::total_cmp);
    Ok(Line {
        phase: "G".to_owned(),
        rows: REQUESTS,
        ms: round(ms),
        server_cpu_s: Some(cpu_s),
        postgres_cpu_s: Some(measure::postgres_cpu_s(stage.postmaster)? - postgres_before),
        p50_ms: Some(round(percentile(&times, 0.5))),
        p99_ms: Some(round(percentile(&times, 0.99))),
        statements: Some(round(statements)),
        ..Line::default()
    })
}

/// Signs a person in and returns the token.
pub(crate) async fn sign_in(http: &reqwest::Client, address: &str, email: &str) -> Result<String> {
    let request = http.post(format!("{address}/auth/login")).json(&json!({ "email": email, "password": PASSWORD }));
    let answer: Value = request.send().await?.json().await?;
    Ok(answer["accessToken"].as_str().with_context(|| format!("no token: {answer}"))?.to_owned())
}

/// Returns how many statements the office's connections have sent.
pub(crate) async fn statements(http: &reqwest::Client, address: &str) -> Result<f64> {
    let text = http.get(format!("{address}/metrics")).send().await?.text().await?;
    let of_pools = text.lines().filter(|line| line.starts_with("database_statements_total"));
    Ok(of_pools.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Returns the mentors whose enterprises make the page.
pub(crate) fn mentors() -> impl Iterator<Item = usize> {
    1_000..1_049
}

/// Returns the number of the person who sees every enterprise.
pub(crate) const COORDINATOR: usize = 2_000;
