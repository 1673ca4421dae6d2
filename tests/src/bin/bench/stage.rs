//! The parts that run during the bench: a durable Postgres, the server as a process, the clients as processes.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use server::auth::{AuthLimits, AuthService, NewAccount, Secret};
use server::postgres::{Durability, Lifetime, PrivatePostgres, Settings};
use server::store::{Db, database, migrate, rows};
use server::world::SystemWorld;
use sync_protocol::entity::{EntityKind, Row};
use tempfile::TempDir;
use uuid::Uuid;

use super::client::Task;
use super::measure;

/// The password of every account of the bench.
pub(crate) const PASSWORD: &str = "bench-password-1";
/// Rows of one transaction of the fixture.
const CHUNK_ROWS: usize = 2_000;

/// Everything that runs.
pub(crate) struct Stage {
    pub(crate) db: Db,
    pub(crate) address: String,
    pub(crate) server_pid: u32,
    pub(crate) postmaster: u32,
    pub(crate) folder: TempDir,
    auth: AuthService,
    server: Child,
    _postgres: PrivatePostgres,
}

impl Stage {
    /// Starts Postgres, with every setting that keeps data, and the server.
    pub(crate) fn start(runtime: &tokio::runtime::Runtime, postgres: PrivatePostgres, folder: TempDir) -> Result<Self> {
        let url = postgres.url("bench");
        runtime.block_on(async {
            let maintenance = Db::new(&postgres.url(database::MAINTENANCE), 1, Duration::from_secs(10))?;
            database::ensure(&maintenance, "bench", None).await?;
            migrate::migrate(&url).await?;
            anyhow::Ok(())
        })?;
        let db = Db::new(&url, 4, Duration::from_secs(30))?;
        let auth = AuthService::new(db.clone(), Arc::new(SystemWorld), AuthLimits::default());
        let (server, address) = start_server(&url)?;
        let postmaster = measure::postmaster(&folder.path().join("postgres"))?;
        let server_pid = server.id();
        Ok(Self { db, address, server_pid, postmaster, folder, auth, server, _postgres: postgres })
    }

    /// Writes rows as any writer may; the triggers number them.
    pub(crate) async fn load(&self, programme: Uuid, kind: EntityKind, rows: &[Row]) -> Result<()> {
        for chunk in rows.chunks(CHUNK_ROWS) {
            let mut tx = self.db.conn().await?.write_tx().await?;
            rows::insert(&mut tx, programme, kind, &chunk.iter().collect::<Vec<_>>()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Makes accounts.
    pub(crate) async fn accounts(&self, programme_id: Uuid, people: &[(Uuid, String)]) -> Result<()> {
        let accounts: Vec<NewAccount> = people
            .iter()
            .map(|(user_id, email)| NewAccount {
                user_id: *user_id,
                programme_id,
                email: email.clone(),
                password: Secret::new(PASSWORD),
            })
            .collect();
        Ok(self.auth.ensure_accounts(&accounts).await?)
    }

    /// Returns the folder of a client.
    pub(crate) fn client_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // SAFETY: the child is ours and has not been waited for.
        unsafe { libc::kill(self.server.id() as i32, libc::SIGTERM) };
        let _ = self.server.wait();
    }
}

/// Postgres has an account of its own when the bench runs as root.
pub(crate) fn make_reachable(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?)
}

/// Starts the Postgres of the bench. Must be called from the main thread, before any runtime.
pub(crate) fn start_postgres(folder: &TempDir) -> Result<PrivatePostgres> {
    Ok(PrivatePostgres::start(&Settings {
        folder: folder.path().join("postgres"),
        binaries: std::env::var_os("PG_BINDIR").map(PathBuf::from),
        durability: Durability::Durable,
        lifetime: Lifetime::ThisProcess,
    })?)
}

fn start_server(url: &str) -> Result<(Child, String)> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("server")
        .env("DATABASE_URL", url)
        .env("TEREN__ENVIRONMENT", "production")
        .env("TEREN__LOG__FILTER", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("the server has an output")?).lines();
    let address = loop {
        let line = lines.next().context("the server ended at its start")??;
        if let Some((_, rest)) = line.split_once("http://") {
            break format!("http://{}", rest.split('/').next().unwrap_or_default());
        }
    };
    // Whoever writes into a pipe that nobody reads stops some day.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((server, address))
}

/// A client at work.
pub(crate) struct ClientProcess {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl ClientProcess {
    /// Starts a client.
    pub(crate) fn start(task: &Task) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["client", &serde_json::to_string(task)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("a client has an output")?).lines();
        let input = child.stdin.take().context("a client has an input")?;
        Ok(Self { child, lines, input })
    }

    /// Waits for the client's next message.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.lines.next().context("the client ended early")??;
        serde_json::from_str(&line).with_context(|| format!("the client said: {line}"))
    }

    /// Tells the client to go on.
    pub(crate) fn go(&mut self) -> Result<()> {
        use std::io::Write as _;
        Ok(writeln!(self.input, "go")?)
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<()> {
        drop(self.input);
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a client failed: {status}");
        }
        Ok(())
    }
}
