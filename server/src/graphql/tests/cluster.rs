//! One throw-away Postgres for all tests of this process, one database for each test.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::store::Db;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A running Postgres. It ends when its standard input does, that is with this process.
struct Cluster {
    socket: String,
    _lifeline: Child,
}

/// Creates an empty database and returns its URL.
pub(super) async fn create_database(name: &str) -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(start);
    let url = |database: &str| format!("postgres://postgres@{}/{database}", cluster.socket.replace('/', "%2F"));
    let admin = Db::new(&url("postgres"), 1, Duration::from_secs(10)).unwrap();
    admin.conn().await.unwrap().batch(&format!("CREATE DATABASE {name}")).await.unwrap();
    url(name)
}

fn start() -> Cluster {
    let folder = tempfile::tempdir().unwrap().keep();
    let socket = folder.to_str().unwrap().to_owned();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("there is a user `postgres`");
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    chown(&folder, Some(ids[0]), Some(ids[1])).unwrap();
    let command = |program: &str| {
        let mut command = Command::new(program);
        command.uid(ids[0]).gid(ids[1]).current_dir(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let script = format!(
        "{BIN}/initdb -D data -A trust -U postgres -E UTF8 --locale=C --lc-ctype=C.UTF-8 --no-sync || exit 1\n\
         {BIN}/postgres -D data -k {socket} -c listen_addresses= -c fsync=off &\n\
         read line; kill -INT $!; wait; cd /; rm -rf {socket}"
    );
    let lifeline = command("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    let is_ready = || command(&format!("{BIN}/pg_isready")).args(["-q", "-h", &socket]).status().unwrap().success();
    while !is_ready() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Cluster { socket, _lifeline: lifeline }
}
