//! The Postgres process: how it starts, when it is ready, how it ends.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use super::account::{self, Account};
use super::binaries::Binaries;
use super::{Durability, Lifetime, PostgresError};

const POLL: Duration = Duration::from_millis(10);
/// Recovery after a crash may take a while.
const POLLS_UNTIL_READY: usize = 12_000;
/// One minute; then it is told to drop everything, which loses nothing but takes recovery at the next start.
const POLLS_UNTIL_STOPPED: usize = 6_000;
/// A Postgres whose server was killed needs a moment to end.
const POLLS_FOR_LEFTOVER: usize = 1_000;

/// What a start needs.
pub(super) struct Start<'s> {
    pub(super) binaries: &'s Binaries,
    pub(super) data: &'s Path,
    pub(super) socket_folder: &'s Path,
    pub(super) log: &'s Path,
    pub(super) account: Option<Account>,
    pub(super) durability: Durability,
    pub(super) lifetime: Lifetime,
}

/// A running Postgres.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lifetime: Lifetime,
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Detached {
            return;
        }
        signal(self.child.id(), libc::SIGINT);
        if !self.ends() {
            signal(self.child.id(), libc::SIGQUIT);
            let _ = self.child.wait();
        }
    }
}

impl Process {
    fn ends(&mut self) -> bool {
        (0..POLLS_UNTIL_STOPPED).any(|_| {
            sleep(POLL);
            !matches!(self.child.try_wait(), Ok(None))
        })
    }
}

/// Starts Postgres and waits until it answers.
pub(super) fn start(start: &Start<'_>) -> Result<Process, PostgresError> {
    wait_for_leftover(start.data);
    let child = command(start)?.spawn().map_err(PostgresError::at(start.binaries.program("postgres")))?;
    let mut process = Process { child, lifetime: start.lifetime };
    for _ in 0..POLLS_UNTIL_READY {
        if ready_pid(start.data) == Some(process.child.id()) {
            return Ok(process);
        }
        if !matches!(process.child.try_wait(), Ok(None)) {
            break;
        }
        sleep(POLL);
    }
    Err(PostgresError::Program { program: "postgres", output: end_of(start.log) })
}

fn command(start: &Start<'_>) -> Result<Command, PostgresError> {
    let log = File::create(start.log).map_err(PostgresError::at(start.log))?;
    let mut command = account::command(&start.binaries.program("postgres"), start.account);
    command.arg("-D").arg(start.data).arg("-k").arg(start.socket_folder);
    command.args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "timezone=UTC"]);
    command.args(match start.durability {
        Durability::Durable => ["-c", "fsync=on", "-c", "max_connections=60"].as_slice(),
        Durability::Fast => FAST.as_slice(),
    });
    command.stdout(log.try_clone().map_err(PostgresError::at(start.log))?).stderr(log);
    tie(&mut command, start.lifetime);
    Ok(command)
}

const FAST: [&str; 12] = [
    "-c",
    "fsync=off",
    "-c",
    "synchronous_commit=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "wal_level=minimal",
    "-c",
    "max_wal_senders=0",
    "-c",
    "max_connections=400",
];

/// Its own session, so that Ctrl-C in the terminal does not end Postgres under a server that still drains.
fn tie(command: &mut Command, lifetime: Lifetime) {
    let before_exec = move || -> io::Result<()> {
        // SAFETY: both calls are async-signal-safe and touch no memory of this process.
        unsafe {
            libc::setsid();
            #[cfg(target_os = "linux")]
            if lifetime == Lifetime::ThisProcess && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock between fork and exec.
    unsafe { command.pre_exec(before_exec) };
}

/// Returns the process that is ready on the data, from the file that Postgres keeps there.
pub(super) fn ready_pid(data: &Path) -> Option<u32> {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid = file.lines().next()?.trim().parse().ok()?;
    (file.lines().nth(7)?.trim() == "ready" && is_alive(pid)).then_some(pid)
}

/// Waits for the Postgres of a server that was killed. One that stays is reported by Postgres itself.
fn wait_for_leftover(data: &Path) {
    let left = || {
        let file = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok().filter(|pid| is_alive(*pid))
    };
    for _ in 0..POLLS_FOR_LEFTOVER {
        if left().is_none() {
            return;
        }
        sleep(POLL);
    }
}

fn is_alive(pid: u32) -> bool {
    let answered = signal(pid, 0);
    answered || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

fn signal(pid: u32, signal: i32) -> bool {
    // SAFETY: kill touches no memory; a process that is gone gives an error.
    i32::try_from(pid).is_ok_and(|pid| unsafe { libc::kill(pid, signal) } == 0)
}

fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
