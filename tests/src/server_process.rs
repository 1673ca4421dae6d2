//! The server as a process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use crate::{ACCESS_TOKEN_TTL_S, TestDb};

/// A command that should end and instead serves must fail its test, not hang it.
const LIMIT: Duration = Duration::from_secs(60);

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A server that runs. Killed with the value.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    banner: String,
    /// Where it answers.
    pub address: SocketAddr,
}

/// Returns a folder for the data of a private Postgres, open to the account that Postgres runs as.
pub fn data_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("teren-data-").tempdir().expect("a folder can be made");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    folder
}

impl ServerProcess {
    /// Returns a command for the server that knows nothing of the surroundings but `PATH`.
    pub fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(program("server-under-test"));
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TEREN__HTTP__LISTEN", "127.0.0.1:0");
        command
    }

    /// Starts a server on a database of a test, at an address that stays the same from one start to the next.
    pub fn serve(db: &TestDb, address: SocketAddr) -> Self {
        let mut command = Self::command(&["serve"]);
        command.env("DATABASE_URL", &db.url).env("TEREN__ENVIRONMENT", "production");
        command.env("TEREN__HTTP__BEHIND_TLS_PROXY", "true").env("TEREN__LOG__FILTER", "error");
        command.env("TEREN__HTTP__LISTEN", address.to_string());
        command.env("TEREN__AUTH__ACCESS_TOKEN_TTL_S", ACCESS_TOKEN_TTL_S.to_string());
        Self::start(&mut command)
    }

    /// Returns an address at which nothing answers yet.
    pub fn free_address() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
    }

    /// Runs a command to its end, which must come by itself.
    pub fn run(command: &mut Command) -> Ended {
        let child = command.spawn().expect("the server can be run");
        let pid = child.id() as i32;
        let (ended, end) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: kill touches no memory; the child is not waited for before the channel closes.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        let output = child.wait_with_output().expect("the child is ours");
        drop(ended);
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a server and waits for its banner.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the server can be run");
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            if stdout.read_line(&mut banner).expect("the output is text") == 0 {
                let mut stderr = String::new();
                let _ = child.stderr.take().expect("standard error is piped").read_to_string(&mut stderr);
                panic!("the server did not start: {stderr}");
            }
        }
        let (_, after) = banner.split_once("http://").expect("the banner names the address");
        let address = after.split('/').next().and_then(|text| text.parse().ok()).expect("the address is valid");
        Self { child, stdout, banner, address }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill touches no memory, and the child was not waited for, so its number is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Stops reading what it logs, as a log collector that crashed.
    pub fn close_log(&mut self) {
        self.child.stderr = None;
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let (mut stdout, mut stderr) = (self.banner.clone(), String::new());
        let _ = self.stdout.read_to_string(&mut stdout);
        if let Some(mut log) = self.child.stderr.take() {
            let _ = log.read_to_string(&mut stderr);
        }
        Ended { code: self.child.wait().expect("the child is ours").code(), stdout, stderr }
    }

    /// Returns the status and the whole text of the answer to a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the status and the whole text of the answer to a GET, as it came over the connection.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("the answer is HTTP");
    (status, answer)
}

/// Returns the path of a program of this package: Cargo puts them beside the folder of its tests.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program has a path");
    let folder = own.parent().expect("a program is in a folder");
    if folder.ends_with("deps") { folder.with_file_name(name) } else { folder.join(name) }
}
