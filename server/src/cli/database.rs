//! The database of a command: the one that was named, or a private one.

use std::time::Duration;

use super::failure::Failure;
use crate::config::Config;
use crate::postgres::{Durability, Lifetime, PrivatePostgres, Settings};
use crate::store::migrate::{MigrateError, Migrated, migrate};
use crate::store::{Db, database};

/// The database inside a private Postgres.
const PRIVATE_NAME: &str = "teren";

/// The database of a command. A private one stops when this is dropped.
pub(super) enum Database {
    /// The one that was named.
    Named { url: String },
    /// Our own.
    Private { postgres: PrivatePostgres },
}

impl Database {
    /// Returns the named database, or starts the private one. Call it from the main thread.
    pub(super) fn start(config: &Config) -> Result<Self, Failure> {
        if let Some(url) = &config.database.url {
            return Ok(Self::Named { url: url.expose().to_owned() });
        }
        let postgres = PrivatePostgres::start(&Settings {
            folder: config.database.folder(),
            binaries: config.database.postgres_bin.clone(),
            durability: Durability::Durable,
            lifetime: Lifetime::ThisProcess,
        })?;
        Ok(Self::Private { postgres })
    }

    /// Returns where to connect.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Named { url } => url.clone(),
            Self::Private { postgres } => postgres.url(PRIVATE_NAME),
        }
    }

    /// Returns its name for people, without a password. A private one has none, and its URL is what `psql` takes.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Named { url } => shown(url),
            Self::Private { .. } => self.url(),
        }
    }

    /// Returns how to get another database.
    fn other(&self) -> &'static str {
        match self {
            Self::Named { .. } => "name an empty database, made with `createdb`, in DATABASE_URL",
            Self::Private { .. } => "choose another folder with `database.data_dir`",
        }
    }

    /// Brings the database to this version.
    pub(super) async fn prepare(&self) -> Result<Migrated, Failure> {
        if let Self::Private { postgres } = self {
            let maintenance = Db::new(&postgres.url(database::MAINTENANCE), 1, Duration::from_secs(10))?;
            database::ensure(&maintenance, PRIVATE_NAME, None).await?;
        }
        let database = self.shown();
        migrate(&self.url()).await.map_err(|error| match error {
            MigrateError::Connect(reason) => Failure::Database { database, problem: connect_problem(&reason) },
            newer @ MigrateError::Newer { .. } => Failure::Content {
                database,
                problem: format!("{newer}; run that version, restore a backup made before it, or {}", self.other()),
            },
            foreign @ MigrateError::Foreign { .. } => {
                Failure::Content { database, problem: format!("{foreign}; {}", self.other()) }
            }
            MigrateError::Failed(reason) => Failure::Content {
                database,
                problem: format!(
                    "a migration failed and was undone: {reason}; the migrations before it stay, and the next start \
                     goes on from there. Restore a backup if someone changed the tables by hand"
                ),
            },
        })
    }
}

/// Says what is wrong, from what the driver says.
fn connect_problem(reason: &str) -> String {
    let remedy = match reason {
        _ if reason.starts_with("invalid co") => {
            "it is not a database URL; it looks like postgres://user:password@host:5432/database"
        }
        "error connecting to server" => "no server answers there; start it, or correct the host and the port",
        _ if reason.contains("password authentication") || reason.starts_with("authentication") => {
            "correct the user and the password in DATABASE_URL"
        }
        _ if reason.starts_with("database ") => "make it with `createdb`, or correct the name in DATABASE_URL",
        _ => "correct DATABASE_URL, or leave it away to use a private Postgres",
    };
    match reason {
        "error connecting to server" => remedy.to_owned(),
        _ if reason.starts_with("invalid co") => remedy.to_owned(),
        _ => format!("{reason}; {remedy}"),
    }
}

/// Leaves out the password, and the parameters, which may hold one.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "DATABASE_URL".to_owned() };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    // A password may itself hold an @.
    match rest.rsplit_once('@') {
        Some((who, place)) => format!("{scheme}://{}@{place}", who.split(':').next().unwrap_or_default()),
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for url in ["postgres://u:se@cret@h:5/d", "postgres://u@h:5/d?password=cret"] {
            assert_eq!(shown(url), "postgres://u@h:5/d");
        }
        assert_eq!(shown("host=h password=cret"), "DATABASE_URL");
    }
}
