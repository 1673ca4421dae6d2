//! One private, fast Postgres for every test process of a run, and a database of its own for each test.
//!
//! Every process holds `users.lock` shared for its life. Under `start.lock` the first one starts Postgres and
//! migrates a template; the others find it running. A detached watcher stops it once nobody holds `users.lock`
//! for three seconds. Threads (`cargo test`) and processes (nextest) share it alike.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use server::postgres::{self, Durability, Lifetime, PrivatePostgres, Settings};
use server::store::{Db, database, migrate};

const TEMPLATE: &str = "template_migrated";
const TEMPLATE_IN_WORK: &str = "template_in_work";

/// Stops Postgres when three looks in a row find no user. It stops under `start.lock`, so no process can find it
/// running and then lose it.
const WATCHER: &str = r#"
    unused=0
    while sleep 1; do
        if flock -n users.lock true; then unused=$((unused + 1)); else unused=0; fi
        [ "$unused" -lt 3 ] && continue
        exec 9>>start.lock && flock 9
        if flock -n users.lock true; then break; fi
        exec 9>&-
        unused=0
    done
    pid=$(head -n 1 pg/postmaster.pid) && kill -INT "$pid" && while kill -0 "$pid"; do sleep 0.05; done
"#;

/// A migrated, empty database for one test. Dropped with the value.
#[derive(Debug)]
pub struct TestDb {
    /// Where to connect.
    pub url: String,
    name: String,
}

impl TestDb {
    /// Makes a database with every migration.
    pub async fn new() -> Self {
        Self::make(Some(TEMPLATE)).await
    }

    /// Makes a database without a single table.
    pub async fn empty() -> Self {
        Self::make(None).await
    }

    async fn make(template: Option<&str>) -> Self {
        let name = next_name();
        let shared = Shared::get();
        database::ensure(&maintenance(&shared.folder), &name, template).await.expect("a database can be made");
        Self { url: url(&shared.folder, &name), name }
    }

    /// Makes a copy of the database as it is, as a backup. Waits until the connections of a stopped server are gone.
    pub async fn copy(&self) -> Self {
        for _ in 0..200 {
            let name = next_name();
            let copied = database::ensure(&maintenance(&Shared::get().folder), &name, Some(&self.name)).await;
            if copied.is_ok() {
                return Self { url: url(&Shared::get().folder, &name), name };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the database stays in use");
    }

    /// Returns a small pool for the test's own statements.
    pub fn db(&self) -> Db {
        Db::new(&self.url, 2, Duration::from_secs(10)).expect("the URL is valid")
    }
}

fn next_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // The test's runtime may be the thread that drops this, and it cannot wait for itself.
        let dropped =
            on_own_runtime(async move { Ok(database::drop(&maintenance(&Shared::get().folder), &name).await?) });
        if let Err(error) = dropped {
            eprintln!("a test database stays behind until Postgres stops: {error:#}");
        }
    }
}

/// This process' part in the shared Postgres.
struct Shared {
    folder: PathBuf,
    _user: File,
}

impl Shared {
    fn get() -> &'static Self {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        SHARED.get_or_init(|| Self::join().expect("the tests' Postgres starts"))
    }

    fn join() -> Result<Self> {
        let folder = folder();
        std::fs::create_dir_all(&folder)?;
        let user = File::create(folder.join("users.lock"))?;
        user.lock_shared()?;
        let start = File::create(folder.join("start.lock"))?;
        start.lock()?;
        if postgres::running_url(&folder, TEMPLATE)?.is_none() {
            start_fresh(&folder)?;
        }
        let template = folder.clone();
        on_own_runtime(async move { ensure_template(&template).await })?;
        Ok(Self { folder, _user: user })
    }
}

/// Old data are thrown away: they cost a second to make, and nothing of an earlier run can get into this one.
fn start_fresh(folder: &Path) -> Result<()> {
    let data = folder.join("pg");
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    PrivatePostgres::start(&Settings {
        folder: folder.to_owned(),
        binaries: std::env::var_os("PG_BINDIR").map(PathBuf::from),
        durability: Durability::Fast,
        lifetime: Lifetime::Detached,
    })?;
    start_watcher(folder)
}

fn start_watcher(folder: &Path) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCHER]).current_dir(folder).process_group(0);
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    watcher.spawn().context("the watcher of the tests' Postgres starts")?;
    Ok(())
}

/// A template of this very set of migrations: Postgres may still run from before an edit.
async fn ensure_template(folder: &Path) -> Result<()> {
    let maintenance = maintenance(folder);
    let marker = folder.join("pg/migrations.hash");
    let wanted = migrations_hash()?;
    let ready = std::fs::read_to_string(&marker).is_ok_and(|found| found == wanted);
    if ready && database::exists(&maintenance, TEMPLATE).await? {
        return Ok(());
    }
    database::drop(&maintenance, TEMPLATE).await?;
    database::drop(&maintenance, TEMPLATE_IN_WORK).await?;
    database::ensure(&maintenance, TEMPLATE_IN_WORK, None).await?;
    migrate::migrate(&url(folder, TEMPLATE_IN_WORK)).await?;
    wait_until_unused(&maintenance).await?;
    Ok(std::fs::write(marker, wanted)?)
}

/// A connection that was just closed lives a moment longer on the server, and a database in use is not renamed.
async fn wait_until_unused(maintenance: &Db) -> Result<()> {
    for _ in 0..100 {
        if database::rename(maintenance, TEMPLATE_IN_WORK, TEMPLATE).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the template of the test databases stays in use")
}

fn migrations_hash() -> Result<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../server/migrations"))? {
        let path = entry?.path();
        files.push((std::fs::read(path.join("up.sql"))?, path));
    }
    files.sort_by(|one, other| one.1.cmp(&other.1));
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// One folder for each checkout and account, where the account that Postgres runs as may go.
fn folder() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    // SAFETY: geteuid has no preconditions and cannot fail.
    let uid = unsafe { libc::geteuid() };
    std::env::temp_dir().join(format!("teren-tests-{uid}-{:08x}", hasher.finish() as u32))
}

fn url(folder: &Path, name: &str) -> String {
    let url = postgres::running_url(folder, name).expect("the folder of the tests' Postgres can be read");
    url.expect("Postgres runs as long as this process holds users.lock")
}

fn maintenance(folder: &Path) -> Db {
    Db::new(&url(folder, database::MAINTENANCE), 1, Duration::from_secs(30)).expect("the URL is valid")
}

/// Runs work on a thread with a runtime of its own and waits for it.
fn on_own_runtime(work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let thread = std::thread::spawn(move || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(work)
    });
    thread.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?
}
