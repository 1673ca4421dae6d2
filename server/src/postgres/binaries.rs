//! Where the Postgres programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PostgresError, distribution};

/// The folder of the Postgres programs, and their major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// Returns the programs in a folder, `None` where they are missing or do not run.
    fn open(folder: PathBuf) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, major })
    }

    /// Returns the path of a program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`.
fn parse_major(version: &str) -> Option<u32> {
    version.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Returns the programs to use: the ones that were named, or else the first ones found that fit the data, or else
/// a private copy, which is fetched once.
pub(super) fn obtain(named: Option<&Path>, folder: &Path, data_major: Option<u32>) -> Result<Binaries, PostgresError> {
    let places = match named {
        Some(named) => vec![named.to_owned()],
        None => places(folder),
    };
    let found: Vec<Binaries> = places.into_iter().filter_map(Binaries::open).collect();
    if !found.is_empty() {
        return choose(found, folder, data_major);
    }
    if let Some(named) = named {
        let reason = format!("PG_BINDIR is `{}`, which does not hold `postgres` and `initdb`", named.display());
        return Err(PostgresError::NoBinaries { reason });
    }
    let fetched = distribution::fetch(folder)?;
    choose(Binaries::open(fetched).into_iter().collect(), folder, data_major)
}

fn choose(found: Vec<Binaries>, folder: &Path, data_major: Option<u32>) -> Result<Binaries, PostgresError> {
    let versions = found.iter().map(|binaries| binaries.major.to_string()).collect::<Vec<_>>().join(", ");
    match (found.into_iter().find(|binaries| data_major.is_none_or(|major| major == binaries.major)), data_major) {
        (Some(binaries), _) => Ok(binaries),
        (None, Some(data)) => Err(PostgresError::OtherVersion { path: folder.join("pg"), data, found: versions }),
        (None, None) => {
            Err(PostgresError::NoBinaries { reason: "the fetched copy does not run on this machine".to_owned() })
        }
    }
}

/// Returns the places to look in, best first.
fn places(folder: &Path) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).filter(|place| place.is_absolute()).collect();
    places.extend(versioned("/usr/lib/postgresql", "", "bin"));
    places.extend(versioned("/usr", "pgsql-", "bin"));
    places.extend(versioned("/opt/homebrew/opt", "postgresql@", "bin"));
    places.extend(versioned("/usr/local/opt", "postgresql@", "bin"));
    places.push("/usr/local/pgsql/bin".into());
    places.push(distribution::bin_folder(folder));
    places
}

/// Returns `parent/<prefix><version>/<inner>` for every version there, newest first.
fn versioned(parent: &str, prefix: &str, inner: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(inner)))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(major: u32) -> Binaries {
        Binaries { folder: format!("/pg/{major}").into(), major }
    }

    #[test]
    fn reads_the_major_version() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn prefers_the_version_that_wrote_the_data() {
        let folder = Path::new("/data");
        assert_eq!(choose(vec![of(18), of(15)], folder, Some(15)).unwrap(), of(15));
        assert_eq!(choose(vec![of(18), of(15)], folder, None).unwrap(), of(18));
        let refused = choose(vec![of(18), of(15)], folder, Some(14)).unwrap_err().to_string();
        assert!(refused.contains("made by Postgres 14") && refused.contains("18, 15"), "{refused}");
    }

    #[test]
    fn a_folder_without_the_programs_is_refused_with_the_remedies() {
        let empty = tempfile::tempdir().unwrap();
        let refused = obtain(Some(empty.path()), empty.path(), None).unwrap_err().to_string();
        for remedy in ["apt-get install postgresql", "DATABASE_URL", "PG_BINDIR"] {
            assert!(refused.contains(remedy), "{refused}");
        }
    }
}
