//! The phases, in order.

use anyhow::Result;
use server::store::Sql;
use sync_protocol::entity::{EntityKind, Row};

use super::SyncOptions;
use super::client::{Done, Task, Work};
use super::fixture::{Fixture, row_bytes};
use super::graphql;
use super::limits;
use super::measure::{self, percentile};
use super::report::{Line, round};
use super::stage::{ClientProcess, Stage, make_reachable, start_postgres};

/// Rows of the small scope and of the offline work.
const SMALL: usize = 10_000;
/// Rows changed in phase C.
const CHANGED: usize = 1_000;
/// Changes of phase D.
const CHANGES: usize = 100;
/// Devices of phase E and the rows on each.
const HERD: (usize, usize) = (50, 200);
/// How often a push and its limit are measured, in turns.
const ROUNDS: usize = 5;
const SQLITE: &str = "raw encrypted SQLite bulk upsert of the same rows";
const POSTGRES: &str = "raw Postgres bulk upsert of the same rows";
const COMMITS: &str = "raw one-row commits, encrypted SQLite, synchronous = FULL";

/// The mentors, by what they are for.
const MENTOR_SMALL: usize = 1;
const MENTOR_LARGE: usize = 2;
const MENTOR_WRITES: usize = 3;
const MENTOR_FOLLOWS: usize = 4;
const MENTOR_HERD: usize = 100;

/// Runs the phases that were asked for.
pub(crate) fn run(options: &SyncOptions) -> Result<()> {
    // Not where memory is a file system: the rate of commits is part of what is measured.
    let folder = tempfile::Builder::new().prefix("teren-bench-").tempdir_in("/var/tmp")?;
    make_reachable(folder.path())?;
    let postgres = start_postgres(&folder)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stage = Stage::start(&runtime, postgres, folder)?;
    let bench = Bench { stage, runtime, fixture: Fixture::new(), rows: options.rows };
    bench.prepare(&options.phase)?;
    for phase in &options.phase {
        match phase.as_str() {
            "A" => bench.first_sync()?,
            "B" => bench.offline_work()?,
            "C" => bench.changed_rows()?,
            "D" => bench.one_row()?,
            "E" => bench.herd()?,
            "I" => bench.idle()?,
            "G" => bench.graphql()?,
            other => anyhow::bail!("there is no phase `{other}`; choose from A, B, C, D, E, I, G"),
        }
    }
    Ok(())
}

struct Bench {
    stage: Stage,
    runtime: tokio::runtime::Runtime,
    fixture: Fixture,
    rows: usize,
}

/// What the server and Postgres had used before a phase.
struct Before {
    server: measure::Usage,
    postgres_cpu_s: f64,
}

impl Bench {
    fn prepare(&self, phases: &[String]) -> Result<()> {
        let has = |wanted: &[&str]| phases.iter().any(|phase| wanted.contains(&phase.as_str()));
        self.load(EntityKind::Programme, &[self.fixture.programme_row()])?;
        self.load_mentor(MENTOR_SMALL, SMALL)?;
        self.load_mentor(MENTOR_LARGE, if has(&["A", "C", "I"]) { self.rows } else { 10 })?;
        self.load_mentor(MENTOR_WRITES, 0)?;
        self.load_mentor(MENTOR_FOLLOWS, 1)?;
        if has(&["E"]) {
            (0..HERD.0).try_for_each(|n| self.load_mentor(MENTOR_HERD + n, 0))?;
        }
        if has(&["G"]) {
            graphql::mentors().try_for_each(|n| self.load_mentor(n, 0))?;
            self.load_rows(self.fixture.coordinator_rows(graphql::COORDINATOR))?;
            self.account(graphql::COORDINATOR)?;
        }
        // Postgres would do this by itself, in the middle of a phase.
        self.runtime.block_on(async {
            let mut conn = self.stage.db.conn().await?;
            conn.execute(Sql::new("VACUUM ANALYZE")).await?;
            conn.execute(Sql::new("CHECKPOINT")).await?;
            Ok(())
        })
    }

    fn load_mentor(&self, n: usize, actions: usize) -> Result<()> {
        self.load_rows(self.fixture.mentor_rows(n))?;
        let mentor = Fixture::mentor_of(n);
        for from in (0..actions).step_by(10_000) {
            let rows = self.fixture.actions(&mentor, from, (actions - from).min(10_000));
            self.load(EntityKind::FollowUpAction, &rows)?;
        }
        self.account(n)
    }

    fn load_rows(&self, rows: Vec<(EntityKind, Row)>) -> Result<()> {
        for kind in EntityKind::ALL {
            let of_kind: Vec<Row> = rows.iter().filter(|(k, _)| k == kind).map(|(_, row)| row.clone()).collect();
            self.load(*kind, &of_kind)?;
        }
        Ok(())
    }

    fn load(&self, kind: EntityKind, rows: &[Row]) -> Result<()> {
        self.runtime.block_on(self.stage.load(self.fixture.programme.0, kind, rows))
    }

    fn account(&self, n: usize) -> Result<()> {
        let mentor = Fixture::mentor_of(n);
        self.runtime.block_on(self.stage.accounts(self.fixture.programme.0, &[(mentor.user.0, mentor.email)]))
    }

    fn task(&self, mentor: usize, folder: &str, work: Work) -> Task {
        Task { server: self.stage.address.clone(), folder: self.stage.client_folder(folder), mentor, work }
    }

    fn before(&self) -> Result<Before> {
        measure::reset_peak(self.stage.server_pid);
        Ok(Before {
            server: measure::usage(self.stage.server_pid)?,
            postgres_cpu_s: measure::postgres_cpu_s(self.stage.postmaster)?,
        })
    }

    /// Starts a line with what the processes used since `before`.
    fn line(&self, phase: &str, done: &Done, before: &Before) -> Result<Line> {
        let server = measure::usage(self.stage.server_pid)?;
        let postgres_cpu_s = measure::postgres_cpu_s(self.stage.postmaster)? - before.postgres_cpu_s;
        Ok(Line {
            phase: phase.to_owned(),
            rows: done.rows as usize,
            ms: round(done.ms),
            client_cpu_s: Some(hundredths(done.cpu_s)),
            server_cpu_s: Some(hundredths(server.cpu_s - before.server.cpu_s)),
            postgres_cpu_s: Some(hundredths(postgres_cpu_s)),
            client_peak_rss_mb: Some(round(done.peak_rss_mb)),
            server_peak_rss_mb: Some(round((server.peak_rss_mb - before.server.rss_mb).max(0.0))),
            ..Line::default()
        })
    }

    fn first_sync(&self) -> Result<()> {
        for (mentor, rows, folder) in [(MENTOR_SMALL, SMALL, "first-small"), (MENTOR_LARGE, self.rows, "first-large")] {
            let limit = self.sqlite_limit(mentor, rows)?;
            let before = self.before()?;
            let mut client = ClientProcess::start(&self.task(mentor, folder, Work::First))?;
            let done: Done = client.next()?;
            client.finish()?;
            let mut line = self.line("A", &done, &before)?;
            line.wire_bytes_per_row = Some(round(done.bytes_received as f64 / done.rows as f64));
            line.against(done.rows as f64 / done.ms * 1_000.0, SQLITE, limit).print();
        }
        Ok(())
    }

    fn sqlite_limit(&self, mentor: usize, count: usize) -> Result<f64> {
        let rows = self.fixture.actions(&Fixture::mentor_of(mentor), 0, count);
        let bytes = rows.iter().map(row_bytes).sum::<usize>() / count.max(1);
        eprintln!("rows of {} columns and {bytes} bytes", EntityKind::FollowUpAction.def().fields.len() + 1);
        let folder = tempfile::tempdir_in(self.stage.folder.path())?;
        limits::sqlite_bulk(folder.path(), &rows)
    }

    fn offline_work(&self) -> Result<()> {
        let mentor = Fixture::mentor_of(MENTOR_WRITES);
        let rows = self.fixture.actions(&mentor, 500_000, SMALL);
        let folder = tempfile::tempdir_in(self.stage.folder.path())?;
        let at_once = limits::sqlite_bulk(folder.path(), &rows)?;
        let work = Work::Write { count: SMALL, rounds: ROUNDS };
        let mut client = ClientProcess::start(&self.task(MENTOR_WRITES, "writes", work))?;
        let rate = |done: &Done| done.rows as f64 / done.ms * 1_000.0;
        let plain = |phase: &str, done: &Done| Line {
            phase: phase.to_owned(),
            rows: done.rows as usize,
            ms: round(done.ms),
            ..Line::default()
        };
        let one_by_one: Done = client.next()?;
        let commits: f64 = client.next()?;
        plain("B one by one", &one_by_one).against(rate(&one_by_one), COMMITS, commits).print();
        let together: Done = client.next()?;
        plain("B in one transaction", &together).against(rate(&together), SQLITE, at_once).print();
        let pushes = (0..ROUNDS).map(|_| self.push_round(&mut client, &rows)).collect::<Result<Vec<_>>>()?;
        client.finish()?;
        Line::median(pushes).print();
        Ok(())
    }

    /// Measures the limit, then a push.
    fn push_round(&self, client: &mut ClientProcess, rows: &[Row]) -> Result<Line> {
        client.next::<String>()?;
        let limit = self.runtime.block_on(limits::postgres_bulk(&self.stage.db, rows))?;
        let before = self.before()?;
        client.go()?;
        let pushed: Done = client.next()?;
        let mut line = self.line("B push", &pushed, &before)?;
        line.wire_bytes_per_row = Some(round(pushed.bytes_sent as f64 / pushed.rows as f64));
        Ok(line.against(pushed.rows as f64 / pushed.ms * 1_000.0, POSTGRES, limit))
    }

    fn changed_rows(&self) -> Result<()> {
        if !self.stage.client_folder("first-large").exists() {
            self.sync_client(MENTOR_LARGE, "first-large", Work::First)?;
        }
        let enterprise = Fixture::mentor_of(MENTOR_LARGE).enterprise;
        self.runtime.block_on(async {
            let sql = "UPDATE follow_up_action SET priority = 'HIGH', due_on = due_on + 7 WHERE programme_id = $1 \
                       AND id IN (SELECT id FROM follow_up_action WHERE programme_id = $1 AND enterprise_id = $2 \
                       ORDER BY md5(id::text) LIMIT $3)";
            let sql = Sql::new(sql).bind(self.fixture.programme.0).bind(enterprise.0).bind(CHANGED as i64);
            self.stage.db.conn().await?.execute(sql).await
        })?;
        let before = self.before()?;
        let done = self.sync_client(MENTOR_LARGE, "first-large", Work::Sync)?;
        let mut line = self.line("C", &done, &before)?;
        line.wire_bytes_per_row = Some(round(done.bytes_received as f64 / done.rows as f64));
        line.rows_per_s = Some(round(done.rows as f64 / done.ms * 1_000.0));
        line.print();
        Ok(())
    }

    fn sync_client(&self, mentor: usize, folder: &str, work: Work) -> Result<Done> {
        let mut client = ClientProcess::start(&self.task(mentor, folder, work))?;
        let done = client.next()?;
        client.finish()?;
        Ok(done)
    }

    fn one_row(&self) -> Result<()> {
        let mut follower =
            ClientProcess::start(&self.task(MENTOR_FOLLOWS, "follower", Work::Follow { changes: CHANGES }))?;
        let mut writer = ClientProcess::start(&self.task(MENTOR_FOLLOWS, "writer", Work::Change { changes: CHANGES }))?;
        follower.next::<String>()?;
        writer.next::<String>()?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        let mut times = Vec::with_capacity(CHANGES);
        for _ in 0..CHANGES {
            writer.go()?;
            let written_ns: u64 = writer.next()?;
            let seen_ns: u64 = follower.next()?;
            times.push(seen_ns.saturating_sub(written_ns) as f64 / 1e6);
        }
        writer.finish()?;
        follower.finish()?;
        times.sort_by(f64::total_cmp);
        Line {
            phase: "D".to_owned(),
            rows: CHANGES,
            ms: round(times.iter().sum()),
            p50_ms: Some(round(percentile(&times, 0.5))),
            p99_ms: Some(round(percentile(&times, 0.99))),
            ..Line::default()
        }
        .print();
        Ok(())
    }

    fn herd(&self) -> Result<()> {
        let (devices, count) = HERD;
        let rows = self.fixture.actions(&Fixture::mentor_of(MENTOR_WRITES), 900_000, SMALL);
        let work = Work::Herd { devices, count, rounds: ROUNDS };
        let mut client = ClientProcess::start(&self.task(MENTOR_HERD, "herd", work))?;
        let rounds = (0..ROUNDS).map(|_| self.herd_round(&mut client, &rows)).collect::<Result<Vec<_>>>()?;
        client.finish()?;
        Line::median(rounds).print();
        Ok(())
    }

    /// Measures the limit, then lets the devices push at once.
    fn herd_round(&self, client: &mut ClientProcess, rows: &[Row]) -> Result<Line> {
        client.next::<String>()?;
        let limit = self.runtime.block_on(limits::postgres_bulk(&self.stage.db, rows))?;
        let before = self.before()?;
        client.go()?;
        let done: Done = client.next()?;
        let mut line = self.line("E", &done, &before)?;
        let mut times: Vec<f64> = client.next()?;
        times.sort_by(f64::total_cmp);
        line.p50_ms = Some(round(percentile(&times, 0.5)));
        line.p99_ms = Some(round(percentile(&times, 0.99)));
        line.client_peak_rss_mb = None;
        Ok(line.against(done.rows as f64 / done.ms * 1_000.0, POSTGRES, limit))
    }

    fn idle(&self) -> Result<()> {
        if !self.stage.client_folder("first-large").exists() {
            self.sync_client(MENTOR_LARGE, "first-large", Work::First)?;
        }
        self.sync_client(MENTOR_LARGE, "first-large", Work::Sync)?;
        let http = reqwest::Client::new();
        let statements = self.runtime.block_on(graphql::statements(&http, &self.stage.address))?;
        let before = self.before()?;
        let done = self.sync_client(MENTOR_LARGE, "first-large", Work::Sync)?;
        let mut line = self.line("I", &done, &before)?;
        line.statements = Some(self.runtime.block_on(graphql::statements(&http, &self.stage.address))? - statements);
        line.bytes_sent = Some(done.bytes_sent);
        line.bytes_received = Some(done.bytes_received);
        line.print();
        Ok(())
    }

    fn graphql(&self) -> Result<()> {
        let email = Fixture::mentor_of(graphql::COORDINATOR).email;
        self.runtime.block_on(graphql::run(&self.stage, &email))?.print();
        Ok(())
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
