//! The data of a private Postgres.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::account::{self, Account};
use super::binaries::Binaries;
use super::{Durability, PostgresError, USER};

/// Returns the major version that wrote the data, `None` where there are none yet.
pub(super) fn major(data: &Path) -> Result<Option<u32>, PostgresError> {
    let path = data.join("PG_VERSION");
    match std::fs::read_to_string(&path) {
        Ok(version) => Ok(version.trim().parse().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PostgresError::Folder { path, source }),
    }
}

/// Makes the data where there are none: beside their place first, so that half-made data never count.
pub(super) fn ensure(
    binaries: &Binaries,
    data: &Path,
    account: Option<Account>,
    durability: Durability,
) -> Result<(), PostgresError> {
    if data.exists() {
        return Ok(());
    }
    let new = data.with_extension("new");
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(PostgresError::at(&new))?;
    }
    std::fs::create_dir(&new).map_err(PostgresError::at(&new))?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o700)).map_err(PostgresError::at(&new))?;
    account::give(&new, account)?;
    initdb(binaries, &new, account, durability)?;
    std::fs::rename(&new, data).map_err(PostgresError::at(data))
}

/// Sorts by bytes, the same everywhere; letters are known by Unicode, so that `lower('Ș')` works.
fn initdb(
    binaries: &Binaries,
    data: &Path,
    account: Option<Account>,
    durability: Durability,
) -> Result<(), PostgresError> {
    let mut command = account::command(&binaries.program("initdb"), account);
    command.args(["--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]);
    if cfg!(target_os = "linux") {
        command.arg("--lc-ctype=C.UTF-8");
    }
    if durability == Durability::Fast {
        command.arg("--no-sync");
    }
    let output = command.arg("--pgdata").arg(data).output().map_err(PostgresError::at(binaries.program("initdb")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(PostgresError::Program { program: "initdb", output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
