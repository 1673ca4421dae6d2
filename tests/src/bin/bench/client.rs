//! The client side: a process of its own, which does one task and says how it went.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use client_sdk::account::{AccountClient, Enrolment};
use client_sdk::config::Config;
use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{AcceptAll, Query, Store, StoreOptions};
use client_sdk::sync::{HttpTransport, SyncOptions, SyncReport, Syncer};
use client_sdk::world::SystemWorld;
use serde::{Deserialize, Serialize};
use sync_protocol::entity::EntityKind;
use sync_protocol::patch;
use sync_protocol::value::Value;

use super::fixture::Fixture;
use super::limits::RawCommits;
use super::measure::{self, shared_clock_ns};
use super::stage::PASSWORD;

const KIND: EntityKind = EntityKind::FollowUpAction;
/// Rows between two turns of writing one by one and the raw limit of it.
const BLOCK_ROWS: usize = 250;

/// What a client is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) server: String,
    pub(crate) folder: PathBuf,
    pub(crate) mentor: usize,
    pub(crate) work: Work,
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Enrol, then sync once, measured.
    First,
    /// Sync once, measured.
    Sync,
    /// Enrol, record rows one by one and in one transaction, each measured, then push both when told to; then record
    /// as many anew and push them, until that was done `rounds` times.
    Write { count: usize, rounds: usize },
    /// Stay connected and say when each change is here.
    Follow { changes: usize },
    /// Change one row and sync, each time when told to.
    Change { changes: usize },
    /// Enrol many devices, then record rows on each and push all at once when told to, `rounds` times.
    Herd { devices: usize, count: usize, rounds: usize },
}

/// How something went.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) ms: f64,
    pub(crate) rows: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_rss_mb: f64,
}

/// Runs the client process.
pub(crate) fn run(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(work(task))
}

async fn work(task: Task) -> Result<()> {
    match task.work {
        Work::First => {
            let device = Device::open(&task, "")?;
            device.enrol().await?;
            say(&measured(&device).await?)
        }
        Work::Sync => say(&measured(&Device::open(&task, "")?).await?),
        Work::Write { count, rounds } => write(&task, count, rounds).await,
        Work::Follow { changes } => follow(&task, changes).await,
        Work::Change { changes } => change(&task, changes).await,
        Work::Herd { devices, count, rounds } => herd(&task, devices, count, rounds).await,
    }
}

fn say(message: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(message)?);
    Ok(())
}

/// Waits for the word of the bench.
fn wait() -> Result<()> {
    std::io::stdin().lock().lines().next().context("the bench has gone away")??;
    Ok(())
}

/// A device of a mentor.
struct Device {
    store: Arc<Store>,
    syncer: Arc<Syncer>,
    account: Arc<AccountClient>,
    email: String,
}

impl Device {
    fn open(task: &Task, name: &str) -> Result<Self> {
        let mentor = Fixture::mentor_of(task.mentor);
        let config = Config::new(task.server.clone(), task.folder.join(name));
        let store = Arc::new(Store::open(StoreOptions {
            folder: config.folder.clone(),
            keys: Arc::new(FixedKeyProvider([0x5a; 32])),
            world: Arc::new(SystemWorld::new()),
            validator: Arc::new(AcceptAll),
            vfs: None,
            ballast_bytes: 0,
        })?);
        let account = Arc::new(AccountClient::new(&config, store.clone())?);
        let transport = Arc::new(HttpTransport::new(&config)?);
        let syncer = Syncer::new(store.clone(), transport, account.clone(), config.app, config.wait_ms);
        Ok(Self { store, syncer: Arc::new(syncer), account, email: mentor.email })
    }

    async fn enrol(&self) -> Result<()> {
        let enrolment = Enrolment {
            email: self.email.clone(),
            password: PASSWORD.to_owned().into(),
            device_name: "bench".to_owned(),
            device_model: "bench".to_owned(),
        };
        self.account.enrol(&enrolment).await?;
        Ok(())
    }

    async fn sync(&self) -> Result<SyncReport> {
        let report = self.syncer.sync_once(SyncOptions::default()).await?;
        anyhow::ensure!(report.complete, "the sync did not complete: {report:?}");
        Ok(report)
    }
}

async fn measured(device: &Device) -> Result<Done> {
    let pid = std::process::id();
    measure::reset_peak(pid);
    let before = measure::usage(pid)?;
    let start = Instant::now();
    let report = device.sync().await?;
    let ms = start.elapsed().as_secs_f64() * 1_000.0;
    let after = measure::usage(pid)?;
    Ok(Done {
        ms,
        rows: report.pulled_rows.max(report.pushed),
        bytes_sent: report.bytes_sent,
        bytes_received: report.bytes_received,
        cpu_s: after.cpu_s - before.cpu_s,
        peak_rss_mb: (after.peak_rss_mb - before.rss_mb).max(0.0),
    })
}

async fn write(task: &Task, count: usize, rounds: usize) -> Result<()> {
    let device = Device::open(task, "")?;
    device.enrol().await?;
    device.sync().await?;
    let fixture = Fixture::new();
    let mentor = Fixture::mentor_of(task.mentor);
    let one_by_one = fixture.actions(&mentor, 0, count);
    let at_once = fixture.actions(&mentor, count, count);

    let mut raw = RawCommits::start(&task.folder)?;
    let mut spent = Duration::ZERO;
    for block in one_by_one.chunks(BLOCK_ROWS) {
        raw.block(block)?;
        let start = Instant::now();
        for row in block {
            device.store.write(|batch| batch.put(KIND, row.clone()))?;
        }
        spent += start.elapsed();
    }
    say(&Done { ms: spent.as_secs_f64() * 1_000.0, rows: count as u64, ..Done::default() })?;
    say(&raw.rate())?;

    let start = Instant::now();
    device.store.write(|batch| at_once.into_iter().try_for_each(|row| batch.put(KIND, row).map(drop)))?;
    say(&Done { ms: start.elapsed().as_secs_f64() * 1_000.0, rows: count as u64, ..Done::default() })?;

    for round in 1..=rounds {
        say(&"ready")?;
        wait()?;
        say(&measured(&device).await?)?;
        let anew = fixture.actions(&mentor, 2 * count * round, if round < rounds { 2 * count } else { 0 });
        device.store.write(|batch| anew.into_iter().try_for_each(|row| batch.put(KIND, row).map(drop)))?;
    }
    Ok(())
}

async fn follow(task: &Task, changes: usize) -> Result<()> {
    let device = Device::open(task, "")?;
    device.enrol().await?;
    device.sync().await?;
    let mut shown = device.store.subscribe();
    let syncer = device.syncer.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let connected = tokio::spawn(async move {
        let cancel = async { stopped.await.unwrap_or_default() };
        syncer.run_connected(SyncOptions::default(), cancel, |_| {}).await
    });
    say(&"ready")?;
    let mut seen = 0;
    let mut last_notes = notes(&device.store)?;
    while seen < changes {
        shown.changed().await?;
        let now_ns = shared_clock_ns();
        let found = notes(&device.store)?;
        if found != last_notes {
            last_notes = found;
            seen += 1;
            say(&now_ns)?;
        }
    }
    let _ = stop.send(());
    Ok(connected.await??)
}

/// What the rows of the first page say, by which a change shows.
fn notes(store: &Store) -> Result<Vec<Value>> {
    let at = KIND.def().position("status_note").context("no such field")?;
    let rows = store.list(KIND, &Query::new().limit(5))?;
    Ok(rows.into_iter().filter_map(|shown| shown.row.values.into_iter().nth(at)).collect())
}

async fn change(task: &Task, changes: usize) -> Result<()> {
    let device = Device::open(task, "")?;
    device.enrol().await?;
    device.sync().await?;
    let at = KIND.def().position("status_note").context("no such field")?;
    let rows = device.store.list(KIND, &Query::new().limit(1))?;
    let row = rows.first().context("there is no row to change")?.row.clone();
    say(&"ready")?;
    for n in 0..changes {
        wait()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut after = row.clone();
        after.values[at] = Value::Text(format!("Schimbarea {n}"));
        let patch = patch::diff(&row, &after);
        device.store.write(|batch| batch.patch(KIND, row.id, &patch))?;
        say(&shared_clock_ns())?;
        device.sync().await?;
    }
    Ok(())
}

/// Records rows on every device of the herd.
fn record(herd: &[Arc<Device>], fixture: &Fixture, task: &Task, from: usize, count: usize) -> Result<()> {
    for (n, device) in herd.iter().enumerate() {
        let rows = fixture.actions(&Fixture::mentor_of(task.mentor + n), from, count);
        device.store.write(|batch| rows.into_iter().try_for_each(|row| batch.put(KIND, row).map(drop)))?;
    }
    Ok(())
}

async fn herd(task: &Task, devices: usize, count: usize, rounds: usize) -> Result<()> {
    let fixture = Fixture::new();
    let mut herd = Vec::with_capacity(devices);
    for n in 0..devices {
        let task = Task { mentor: task.mentor + n, ..task.clone() };
        let device = Device::open(&task, &format!("device-{n}"))?;
        device.enrol().await?;
        device.sync().await?;
        herd.push(Arc::new(device));
    }
    // A server that runs for a while has prepared its statements on every connection.
    record(&herd, &fixture, task, 900_000, 2)?;
    futures::future::try_join_all(herd.iter().map(|device| device.sync())).await?;
    for round in 0..rounds {
        record(&herd, &fixture, task, round * count, count)?;
        say(&"ready")?;
        wait()?;
        push_at_once(&herd).await?;
    }
    Ok(())
}

/// Lets every device push, and says how it went.
async fn push_at_once(herd: &[Arc<Device>]) -> Result<()> {
    let before = measure::usage(std::process::id())?;
    let start = Instant::now();
    let syncs = herd.iter().map(|device| {
        let device = device.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let pushed = device.sync().await?.pushed;
            anyhow::Ok((pushed, started.elapsed().as_secs_f64() * 1_000.0))
        })
    });
    let mut times = Vec::with_capacity(herd.len());
    let mut pushed = 0;
    for sync in futures::future::join_all(syncs).await {
        let (rows, ms) = sync??;
        pushed += rows;
        times.push(ms);
    }
    let ms = start.elapsed().as_secs_f64() * 1_000.0;
    let cpu_s = measure::usage(std::process::id())?.cpu_s - before.cpu_s;
    say(&Done { ms, rows: pushed, cpu_s, ..Done::default() })?;
    say(&times)
}
