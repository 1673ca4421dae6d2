//! A service over its own Postgres.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::store::{Db, migrate};
use crate::world::FixedWorld;
use tempfile::TempDir;

use super::super::{NewDevice, SignedIn};

pub(super) const PROGRAMME: Uuid = Uuid::from_u128(0xA);
pub(super) const USER: Uuid = Uuid::from_u128(1);
pub(super) const EMAIL: &str = "ana@example.org";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, lanes: 1 };

/// The service with one account.
pub(super) struct Bench {
    pub(super) db: Db,
    pub(super) world: Arc<FixedWorld>,
    pub(super) auth: AuthService,
    _cluster: Cluster,
}

impl Bench {
    pub(super) async fn start() -> Self {
        let (cluster, url) = start_postgres();
        migrate::migrate(&url).await.unwrap();
        let db = Db::new(&url, 4, Duration::from_secs(5)).unwrap();
        let world = Arc::new(FixedWorld::at(Timestamp(1_790_000_000_000)));
        let auth = AuthService::new(db.clone(), world.clone(), limits());
        auth.create_account(&new_account(1, EMAIL)).await.unwrap();
        Self { db, world, auth, _cluster: cluster }
    }

    pub(super) async fn login(&self, password: &str) -> Result<SignedIn, AuthError> {
        self.auth.login(EMAIL, &Secret::new(password)).await
    }

    pub(super) async fn enrol(&self) -> SignedIn {
        self.auth.enrol(EMAIL, &Secret::new(PASSWORD), &phone()).await.unwrap()
    }

    /// Refreshes from the enrolled phone.
    pub(super) async fn refresh(&self, token: &Secret) -> Result<SignedIn, AuthError> {
        self.auth.refresh(token.expose(), Some(phone().id)).await
    }
}

pub(super) fn limits() -> AuthLimits {
    AuthLimits { password_cost: CHEAP, ..AuthLimits::default() }
}

pub(super) fn new_account(user: u128, email: &str) -> NewAccount {
    NewAccount {
        user_id: Uuid::from_u128(user),
        programme_id: PROGRAMME,
        email: email.to_owned(),
        password: Secret::new(PASSWORD),
    }
}

pub(super) fn phone() -> NewDevice {
    NewDevice {
        id: Uuid::from_u128(0xD),
        name: "Ana's phone".to_owned(),
        model: "A-1".to_owned(),
        app_version: "1.0.0".to_owned(),
    }
}

/// A Postgres that lives as long as this value.
struct Cluster {
    server: Child,
    _folder: TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // At once, but with its shared memory given back, which a SIGKILL would leave behind.
        let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

/// Starts an empty Postgres that listens on a socket in its own folder.
fn start_postgres() -> (Cluster, String) {
    const BIN: &str = "/usr/lib/postgresql/15/bin";
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().to_str().unwrap().to_owned();
    let data = format!("{socket}/data");
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("there is a user `postgres`");
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    chown(folder.path(), Some(ids[0]), Some(ids[1])).unwrap();
    let command = |program: &str| {
        let mut command = Command::new(format!("{BIN}/{program}"));
        command.uid(ids[0]).gid(ids[1]).current_dir(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let made = command("initdb").args(["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync"]).status().unwrap();
    assert!(made.success(), "initdb failed");
    let server = command("postgres")
        .args(["-D", &data, "-k", &socket, "-c", "listen_addresses=", "-c", "fsync=off"])
        .spawn()
        .unwrap();
    let cluster = Cluster { server, _folder: folder };
    let is_ready = || command("pg_isready").args(["-q", "-h", &socket]).status().unwrap().success();
    while !is_ready() {
        std::thread::sleep(Duration::from_millis(20));
    }
    (cluster, format!("postgres://postgres@{}/postgres", socket.replace('/', "%2F")))
}
