//! Kills in a loop: the server's process, or a backend of Postgres, while many devices push at once.
//!
//! Each kill hits whatever the devices have under way. They send again what was not confirmed, with what is new; in
//! the end every change must be there once.

use std::iter::Sum;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::app::App;
use server::config::Config;
use server::postgres::{Durability, Lifetime, PrivatePostgres, Settings};
use server::store::{Db, Sql, StoreError, database, migrate};
use server::world::SystemWorld;
use sync_protocol::wire::Message;

use tests::programme::{self, ANA, ENTERPRISES};
use tests::{ACCESS_TOKEN_TTL_S, Answer, Device, ServerProcess, TestDb, data_folder, sample, state};

/// Servers that are killed at the same time: most of a loop is waiting.
const LOOPS: u64 = 4;
/// After so many kills the devices and the database are new: each kill reads again all that they hold by then.
const KILLS_OF_A_FLEET: u64 = 500;
/// Devices that push at the same time.
const DEVICES: usize = 8;
/// The most changes that a device records between two kills.
const MOST_CHANGES: u32 = 6;
/// A push takes about so long at first; it is measured as the loop goes.
const USUAL_MS: u64 = 40;
/// Of so many kills, some come between a commit and its answer.
const ENOUGH_KILLS: u64 = 100;
/// Postgres takes some time to recover, and the server to find new connections.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of the kills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Kills.
    pub(crate) kills: u64,
    /// Pushes at which a kill was aimed.
    pub(crate) pushes: u64,
    /// Those that it left without an answer.
    pub(crate) hit: u64,
    /// Those of them that the server had taken, which the device heard only later.
    pub(crate) unheard: u64,
    /// Changes that were sent.
    pub(crate) changes: u64,
    /// Changes that took effect more than once.
    pub(crate) duplicates: u64,
    /// Changes that are not there.
    pub(crate) lost: u64,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            kills: sum.kills + one.kills,
            pushes: sum.pushes + one.pushes,
            hit: sum.hit + one.hit,
            unheard: sum.unheard + one.unheard,
            changes: sum.changes + one.changes,
            duplicates: sum.duplicates + one.duplicates,
            lost: sum.lost + one.lost,
        })
    }
}

impl Tally {
    /// Counts what the server has taken of a device that did not hear of it.
    fn hear(&mut self, device: &Device, answer: &Answer) {
        let has = answer.messages.iter().filter_map(|message| match message {
            Message::Welcome(welcome) => Some(welcome.last_no),
            _ => None,
        });
        self.unheard += has.filter(|has| *has > device.confirmed).count() as u64;
    }

    /// Whether kills came before the commit of a push, after the answer and, where there were enough of them, in the short
    /// time between the two: else this shows too little.
    pub(crate) fn has_met_everything(&self) -> bool {
        let is_between = self.unheard > 0 || self.kills < ENOUGH_KILLS;
        self.hit > self.unheard && self.pushes > self.hit && is_between
    }
}

/// Devices with one visit each, and what they have recorded.
struct Fleet {
    devices: Vec<Device>,
    visits: Vec<sync_protocol::entity::Visit>,
    random: ChaCha8Rng,
    /// How long all pushes of a round took when no kill came before their answers.
    usual: Duration,
    tally: Tally,
}

impl Fleet {
    async fn enrol(address: SocketAddr, seed: u64) -> Self {
        let mut fleet = Self {
            devices: Vec::new(),
            visits: Vec::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            usual: Duration::from_millis(USUAL_MS),
            tally: Tally::default(),
        };
        for at in 0..DEVICES {
            let mut device = Device::enrol(address, ANA).await;
            device.sync().await;
            let visit = sample::visit(ENTERPRISES[at % 2], ANA);
            device.create(&visit);
            fleet.devices.push(device);
            fleet.visits.push(visit);
        }
        fleet
    }

    /// Lets all devices push, and `kill` come in the middle of it.
    async fn push_through(&mut self, address: SocketAddr, kill: impl AsyncFnOnce()) {
        let mut pushes = Vec::new();
        for (device, visit) in self.devices.iter_mut().zip(&self.visits) {
            for _ in 0..self.random.random_range(1..=MOST_CHANGES) {
                device.create(&sample::finding(visit, &format!("{}", uuid::Uuid::new_v4())));
            }
            device.address = address;
            let sending = device.clone();
            pushes.push(async move { sending.send(&sending.pending()).await });
        }
        let mut pushes = tokio::spawn(futures::future::join_all(pushes));
        // Somewhat longer than the pushes take, so that kills come before, within and after them.
        let started = tokio::time::Instant::now();
        let patience = self.usual.mul_f64(self.random.random_range(0.0..1.5));
        let answered = tokio::time::timeout(patience, &mut pushes).await;
        let took = started.elapsed();
        kill().await;
        self.tally.kills += 1;
        // Without an answer in time, the next kill may come later.
        self.usual = if answered.is_ok() { (self.usual + took) / 2 } else { self.usual.mul_f64(1.3) };
        let answers = match answered {
            Ok(answers) => answers,
            Err(_) => pushes.await,
        };
        for (device, answer) in self.devices.iter_mut().zip(answers.expect("no push panics")) {
            self.tally.hear(device, &answer);
            device.take(&answer.messages);
            self.tally.pushes += 1;
            self.tally.hit += u64::from(device.confirmed < device.outbox.len() as u64);
        }
    }

    /// Sends everything again, without kills, and counts what the database holds.
    async fn count(mut self, db: &Db) -> Tally {
        let mut tally = self.tally;
        for device in &mut self.devices {
            sync_when_possible(device, &mut tally).await;
            tally.changes += device.outbox.len() as u64;
        }
        let number = async |text: &str| state::number(db, text).await as u64;
        let kept = number("SELECT count(*) FROM mutation").await;
        let (findings, texts) =
            (number("SELECT count(*) FROM finding").await, number("SELECT count(DISTINCT text) FROM finding").await);
        tally.duplicates = kept.saturating_sub(tally.changes) + (findings - texts);
        tally.lost = (tally.changes - DEVICES as u64).saturating_sub(texts) + tally.changes.saturating_sub(kept);
        tally
    }
}

/// Syncs as soon as the server can be reached.
async fn sync_when_possible(device: &mut Device, tally: &mut Tally) {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = device.send(&device.pending()).await;
        tally.hear(device, &answer);
        device.take(&answer.messages);
        let is_whole = answer.end().is_some_and(|end| !end.more) && answer.faults().is_empty();
        if is_whole && device.confirmed == device.outbox.len() as u64 {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "the device cannot sync: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills servers again and again, each beside the others with a database and devices of its own.
pub(crate) fn kill_servers(kills: u64, seed: u64) -> Tally {
    let fleets = kills.div_ceil(KILLS_OF_A_FLEET).max(LOOPS);
    let kills_of = |fleet| kills / fleets + u64::from(fleet < kills % fleets);
    let kill = |at: u64| -> Tally {
        let own = (at..fleets).step_by(LOOPS as usize);
        own.map(|fleet| runtime().block_on(kill_server(kills_of(fleet), seed * fleets + fleet))).sum()
    };
    std::thread::scope(|threads| {
        let loops: Vec<_> = (0..LOOPS).map(|at| threads.spawn(move || kill(at))).collect();
        loops.into_iter().map(|thread| thread.join().expect("a loop ends")).sum()
    })
}

/// Returns a runtime with as many threads as there are processors.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made")
}

/// Kills the server's process again and again.
async fn kill_server(kills: u64, seed: u64) -> Tally {
    let db = TestDb::new().await;
    let app = App::new(Config::default(), Arc::new(SystemWorld), &db.url).expect("the settings are valid");
    programme::load(&app).await;
    let address = ServerProcess::free_address();
    let mut server = ServerProcess::serve(&db, address);
    let mut fleet = Fleet::enrol(address, seed).await;
    for _ in 0..kills {
        fleet.push_through(address, async || server.signal(libc::SIGKILL)).await;
        drop(server);
        server = ServerProcess::serve(&db, address);
    }
    fleet.count(&app.office).await
}

/// A Postgres of one's own, which may be killed. To be started on the thread that stays: it ends with that thread.
pub(crate) struct KillablePostgres {
    postgres: PrivatePostgres,
    _folder: tempfile::TempDir,
}

impl KillablePostgres {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let folder = data_folder();
        let postgres = PrivatePostgres::start(&Settings {
            folder: folder.path().to_owned(),
            binaries: std::env::var_os("PG_BINDIR").map(Into::into),
            durability: Durability::Durable,
            lifetime: Lifetime::ThisProcess,
        });
        Self { postgres: postgres.expect("Postgres starts"), _folder: folder }
    }
}

/// Kills a backend of Postgres again and again: each time all of Postgres starts anew and recovers.
pub(crate) async fn kill_backends(postgres: &KillablePostgres, kills: u64, seed: u64) -> Tally {
    let maintenance = Db::new(&postgres.postgres.url(database::MAINTENANCE), 1, PATIENCE).expect("the URL is valid");
    database::ensure(&maintenance, "killed", None).await.expect("a database can be made");
    let url = postgres.postgres.url("killed");
    migrate::migrate(&url).await.expect("the migrations run");
    let mut config = Config::default();
    config.auth.access_token_ttl_s = ACCESS_TOKEN_TTL_S;
    let app = App::new(config, Arc::new(SystemWorld), &url).expect("the settings are valid");
    programme::load(&app).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("the listener has an address");
    let serving = app.clone();
    tokio::spawn(async move { server::listener::serve(serving, listener).await });
    let mut fleet = Fleet::enrol(address, seed).await;
    for _ in 0..kills {
        let pid = busy_backend(&url).await;
        let kill = async || {
            // SAFETY: kill touches no memory. The backend is one of the Postgres that belongs to this loop.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        };
        fleet.push_through(address, kill).await;
        sync_when_possible(&mut fleet.devices[0], &mut fleet.tally).await;
    }
    busy_backend(&url).await;
    let tally = fleet.count(&Db::new(&url, 1, PATIENCE).expect("the URL is valid")).await;
    app.stopping.cancel();
    tally
}

/// Returns the process of a connection of the server, as soon as Postgres has recovered: a kill that came after every
/// answer leaves it no time before.
async fn busy_backend(url: &str) -> i32 {
    const FIND: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY state_change DESC LIMIT 1";
    let db = Db::new(url, 1, PATIENCE).expect("the URL is valid");
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match find_backend(&db, FIND).await {
            Ok(Some(pid)) => return pid,
            other => assert!(tokio::time::Instant::now() < until, "no connection of the server: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn find_backend(db: &Db, text: &str) -> Result<Option<i32>, StoreError> {
    let found = db.conn().await?.query_opt(Sql::new(text)).await?;
    Ok(found.and_then(|record| record.opt_int(0).ok().flatten()).map(|pid| pid as i32))
}
