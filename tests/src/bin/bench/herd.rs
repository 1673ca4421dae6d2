//! A herd comes back: many devices at once, each with edits, while someone in the office works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;
use server::store::Sql;
use sync_protocol::code::Role;
use sync_protocol::entity::{Entity, EntityKind};
use tests::herd::{HerdDevice, Returned, gather, return_at_once};
use tests::programme::{self, CARMEN, PROGRAMME};

use super::graphql::{QUERY, sign_in};
use super::measure::{self, percentile};
use super::report::round;
use super::stage::{Stage, make_reachable, start_postgres};

/// Devices that push before the herd comes and after it, to measure the rate: few at once, so that none is sent away,
/// and enough that the fastest second of a machine is not taken for its rate.
const MEASURED: usize = 3_000;
const MEASURED_AT_ONCE: usize = 12;
/// How often the office asks for its page.
const PAGE_EVERY: Duration = Duration::from_millis(100);

/// What comes back.
#[derive(Args)]
pub(crate) struct HerdOptions {
    /// The devices.
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// The edits on each.
    #[arg(long, default_value_t = 20)]
    edits: usize,
}

/// What came of it. Times in milliseconds.
#[derive(Serialize)]
struct Line {
    phase: &'static str,
    devices: usize,
    rows: i64,
    drained_ms: f64,
    /// What the same edits take at the rate of devices that come one after the other, 12 at once.
    ideal_ms: f64,
    ratio: f64,
    rows_per_s: f64,
    interactive_p50_ms: f64,
    interactive_p99_ms: f64,
    interactive_requests: usize,
    /// Pages of the office that were not answered as they should.
    interactive_failed: usize,
    refused: u64,
    most_refused: u32,
    broken: u64,
    server_peak_rss_mb: f64,
    server_cpu_s: f64,
    postgres_cpu_s: f64,
    herd_cpu_s: f64,
}

impl Line {
    /// Compares the time with that of the same edits at a rate.
    fn against(self, rows_per_s: f64) -> Self {
        let ideal_ms = self.rows as f64 / rows_per_s * 1_000.0;
        let ratio = (self.drained_ms / ideal_ms * 1_000.0).round() / 1_000.0;
        Self { ideal_ms: round(ideal_ms), ratio, rows_per_s: round(rows_per_s), ..self }
    }
}

/// Runs it.
pub(crate) fn run(options: &HerdOptions) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("teren-bench-").tempdir_in("/var/tmp")?;
    make_reachable(folder.path())?;
    let postgres = start_postgres(&folder)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stage = Stage::start(&runtime, postgres, folder)?;
    runtime.block_on(herd(&stage, options))
}

async fn herd(stage: &Stage, options: &HerdOptions) -> Result<()> {
    stage.load(PROGRAMME, EntityKind::Programme, &[programme::programme().to_row()]).await?;
    stage.load(PROGRAMME, EntityKind::User, &[programme::user(CARMEN, Role::Coordinator).to_row()]).await?;
    stage.accounts(PROGRAMME, &[(CARMEN.0, programme::email(CARMEN))]).await?;
    // All at once, so that none has more to receive than another: the rate is that of the same work.
    let mut herd = gather(&stage.db, 0, options.devices + 2 * MEASURED, options.edits).await;
    let last = herd.split_off(options.devices + MEASURED);
    let first = herd.split_off(options.devices);
    stage.db.conn().await?.execute(Sql::new("VACUUM ANALYZE")).await?;
    stage.db.conn().await?.execute(Sql::new("CHECKPOINT")).await?;
    let address = address(stage)?;
    let before = rate(address, first, options.edits).await;
    let line = come_back(stage, address, herd, options.edits).await?;
    // Before and after: what else the machine does changes meanwhile. The faster one counts.
    let line = line.against(before.max(rate(address, last, options.edits).await));
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

fn address(stage: &Stage) -> Result<SocketAddr> {
    Ok(stage.address.strip_prefix("http://").context("the address is one of HTTP")?.parse()?)
}

/// Returns how many edits a second the server takes when nobody has to be sent away. The first quarter warms up.
async fn rate(address: SocketAddr, mut devices: Vec<HerdDevice>, edits: usize) -> f64 {
    let measured = devices.split_off(devices.len() / 4);
    return_at_once(address, devices, Some(MEASURED_AT_ONCE)).await;
    let count = measured.len();
    let returned = return_at_once(address, measured, Some(MEASURED_AT_ONCE)).await;
    (count * edits) as f64 / returned.drained_ms * 1_000.0
}

async fn come_back(stage: &Stage, address: SocketAddr, herd: Vec<HerdDevice>, edits: usize) -> Result<Line> {
    let before = mutations(stage).await?;
    measure::reset_peak(stage.server_pid);
    let (server, own) = (measure::usage(stage.server_pid)?, measure::usage(std::process::id())?);
    let postgres_cpu_s = measure::postgres_cpu_s(stage.postmaster)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let office = tokio::spawn(office(stage.address.clone(), is_over.clone()));
    let Returned { drained_ms, devices, refused, most_refused, broken } = return_at_once(address, herd, None).await;
    is_over.store(true, Ordering::Relaxed);
    let (times, failed) = office.await??;
    let after = measure::usage(stage.server_pid)?;
    let rows = mutations(stage).await? - before;
    anyhow::ensure!(rows == (devices * edits) as i64, "{rows} edits arrived of {devices} devices with {edits} each");
    Ok(Line {
        phase: "herd",
        devices,
        rows,
        drained_ms: round(drained_ms),
        ideal_ms: 0.0,
        ratio: 0.0,
        rows_per_s: 0.0,
        interactive_p50_ms: round(percentile(&times, 0.5)),
        interactive_p99_ms: round(percentile(&times, 0.99)),
        interactive_requests: times.len(),
        interactive_failed: failed,
        refused,
        most_refused,
        broken,
        server_peak_rss_mb: round(after.peak_rss_mb),
        server_cpu_s: round(after.cpu_s - server.cpu_s),
        postgres_cpu_s: round(measure::postgres_cpu_s(stage.postmaster)? - postgres_cpu_s),
        herd_cpu_s: round(measure::usage(std::process::id())?.cpu_s - own.cpu_s),
    })
}

/// Returns how many different edits the server has.
async fn mutations(stage: &Stage) -> Result<i64> {
    let sql = Sql::new("SELECT count(*) FROM mutation WHERE outcome = 'A'");
    let found = stage.db.conn().await?.query_opt(sql).await?;
    Ok(found.context("a count has a row")?.int(0)?)
}

/// Asks for a page every so often, whether the one before has come or not. Returns the times, sorted, and how many
/// did not come as they should.
async fn office(address: String, is_over: Arc<AtomicBool>) -> Result<(Vec<f64>, usize)> {
    let http = reqwest::Client::new();
    let token = sign_in(&http, &address, &programme::email(CARMEN)).await?;
    let mut pages = Vec::new();
    let mut ticks = tokio::time::interval(PAGE_EVERY);
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let request = http.post(format!("{address}/graphql")).bearer_auth(&token);
        let request = request.json(&serde_json::json!({ "query": QUERY }));
        pages.push(tokio::spawn(async move {
            let start = Instant::now();
            let answer: serde_json::Value = request.send().await?.json().await?;
            anyhow::ensure!(answer.get("errors").is_none(), "{}", answer["errors"]);
            anyhow::Ok(start.elapsed().as_secs_f64() * 1_000.0)
        }));
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    for page in pages {
        match page.await? {
            Ok(ms) => times.push(ms),
            Err(error) => {
                eprintln!("a page of the office: {error}");
                failed += 1;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    Ok((times, failed))
}
