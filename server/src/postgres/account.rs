//! The account that Postgres runs as.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::PostgresError;

/// An account that root gives the work to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

/// Returns the account to change to, `None` where this process is not root and keeps its own.
pub(super) fn account() -> Result<Option<Account>, PostgresError> {
    if !is_root() {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = find(&accounts, "postgres").or_else(|| find(&accounts, "nobody"));
    found.map(Some).ok_or(PostgresError::NoAccount)
}

/// Returns whether this process is root.
pub(super) fn is_root() -> bool {
    effective_uid() == 0
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

fn find(accounts: &str, name: &str) -> Option<Account> {
    let mut fields = accounts.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
    Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

/// Returns the user id that owns what Postgres writes.
pub(super) fn owner(account: Option<Account>) -> u32 {
    account.map_or_else(effective_uid, |account| account.uid)
}

/// Gives a file or folder to the account.
pub(super) fn give(path: &Path, account: Option<Account>) -> Result<(), PostgresError> {
    match account {
        Some(Account { uid, gid }) => {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(PostgresError::at(path))
        }
        None => Ok(()),
    }
}

/// Returns a command that runs as the account, in a folder that it may enter, and whose messages are English.
pub(super) fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C").stdin(std::process::Stdio::null());
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_account_by_its_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:7::/:\npostgres:x:101:104::/var:/bin/sh\n";
        assert_eq!(find(accounts, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(find(accounts, "nobody"), None);
    }
}
