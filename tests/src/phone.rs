//! A phone: the SDK on files of its own, as an application opens it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client_sdk::account::Enrolment;
use client_sdk::client::{Client, ClientConfig};
use client_sdk::config::Config;
use client_sdk::error::ApiError;
use client_sdk::key::FixedKeyProvider;
use client_sdk::store::Query;
use client_sdk::sync::SyncReport;
use sync_protocol::entity::EntityKind;
use sync_protocol::rows::VersionedRow;
use sync_protocol::value::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::FaultDisk;
use crate::folder::copied;

/// A phone with an open application.
pub struct Phone {
    client: Option<Client>,
    folder: TempDir,
    server: SocketAddr,
    read_timeout: Option<Duration>,
}

/// The key of every phone's files.
const KEY: [u8; 32] = [0x7e; 32];

/// Opens the application on a folder.
pub fn open(folder: &Path, server: SocketAddr) -> Client {
    open_config(Config::new(format!("http://{server}"), folder))
}

/// Opens the application on a folder, with another disk beneath its files.
pub fn open_on(disk: &FaultDisk, folder: &Path, server: SocketAddr) -> Result<Client, ApiError> {
    let vfs = Some(disk.name().to_owned());
    Client::open(ClientConfig { vfs, ..settings(Config::new(format!("http://{server}"), folder)) })
}

fn open_config(config: Config) -> Client {
    Client::open(settings(config)).expect("the folder can be opened")
}

fn settings(config: Config) -> ClientConfig {
    ClientConfig::new(config, Arc::new(FixedKeyProvider(KEY)))
}

/// Enrols an application for a person, if that is possible.
pub async fn enrol(client: &Client, email: &str, password: &str) -> Result<(), ApiError> {
    let enrolment = Enrolment {
        email: email.to_owned(),
        password: password.to_owned().into(),
        device_name: "Telefonul".to_owned(),
        device_model: "test".to_owned(),
    };
    client.enrol(&enrolment).await.map(drop)
}

/// Rows by kind and identifier.
pub type Rows = BTreeMap<(EntityKind, Uuid), VersionedRow>;

/// Asserts that a phone shows what it should, versions included.
///
/// Postgres keeps JSON in a form of its own: spaces and the order of keys do not count.
pub fn assert_equal(shown: &Rows, expected: &Rows) {
    let (shown, expected) = (&plain(shown), &plain(expected));
    let missing: Vec<_> = expected.keys().filter(|key| !shown.contains_key(key)).collect();
    let beyond: Vec<_> = shown.keys().filter(|key| !expected.contains_key(key)).collect();
    assert!(missing.is_empty() && beyond.is_empty(), "missing {missing:?}, beyond {beyond:?}");
    let stale: Vec<_> = expected.iter().filter(|(key, row)| shown[*key] != **row).collect();
    let first = stale.first().map(|(key, row)| (&shown[*key], *row));
    assert!(stale.is_empty(), "{} rows differ, the first: {first:?}", stale.len());
}

fn plain(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    for value in rows.values_mut().flat_map(|row| &mut row.row.values) {
        if let Value::Json(text) = value {
            let json: serde_json::Value = serde_json::from_str(text).expect("the text is JSON");
            *text = json.to_string();
        }
    }
    rows
}

impl Phone {
    /// Returns a new phone that talks to a server, or to a proxy before it.
    pub fn new(server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        Self { client: Some(open(folder.path(), server)), folder, server, read_timeout: None }
    }

    /// Returns a new phone that gives a silent server up after `read_timeout`: for a network whose time runs faster.
    pub fn hurried(server: SocketAddr, read_timeout: Duration) -> Self {
        let mut phone = Self { read_timeout: Some(read_timeout), ..Self::new(server) };
        phone.restart();
        phone
    }

    /// Returns the folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Enrols it for a person.
    pub async fn enrol(&self, email: &str, password: &str) {
        self.try_enrol(email, password).await.expect("the person may enrol");
    }

    /// Enrols it for a person, if that is possible.
    pub async fn try_enrol(&self, email: &str, password: &str) -> Result<(), ApiError> {
        enrol(self, email, password).await
    }

    /// Syncs once, as far as it goes.
    pub async fn try_sync(&self) -> Result<SyncReport, ApiError> {
        Client::sync(self, None, std::future::pending()).await
    }

    /// Syncs once; the sync must bring both sides together.
    pub async fn sync(&self) -> SyncReport {
        let report = self.try_sync().await.expect("the server answers");
        assert!(report.complete, "{report:?}");
        report
    }

    /// Closes the application without a word to it.
    pub fn close(&mut self) {
        self.client = None;
    }

    /// Opens the application that was closed.
    pub fn reopen(&mut self) {
        let mut config = Config::new(format!("http://{}", self.server), self.folder.path());
        if let Some(read_timeout) = self.read_timeout {
            config.read_timeout = read_timeout;
            // The server may hold a request for half of it, so that waiting is not taken for silence.
            config.wait_ms = config.wait_ms.min(read_timeout.as_millis() as u32 / 2);
        }
        self.client = Some(open_config(config));
    }

    /// Copies the closed files to a second phone, as a backup of the operating system or a person does.
    pub fn copy(&mut self) -> Self {
        self.close();
        let folder = copied(self.folder.path());
        self.reopen();
        let mut copy = Self { client: None, folder, server: self.server, read_timeout: self.read_timeout };
        copy.reopen();
        copy
    }

    /// Lets the application talk to another server from now on.
    pub fn move_to(&mut self, server: SocketAddr) {
        self.server = server;
        self.restart();
    }

    /// Ends the application without a word to it and opens it again: only the files are left of what it knew.
    pub fn restart(&mut self) {
        self.close();
        self.reopen();
    }

    /// Does to the closed cache what a fault of a program would do, and opens the application again.
    pub fn damage_cache(&mut self, statements: &str) {
        self.close();
        let conn = rusqlite::Connection::open(self.folder.path().join("cache.db")).expect("the cache can be opened");
        let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        conn.execute_batch(&format!("PRAGMA key = \"x'{key}'\"; {statements}")).expect(statements);
        drop(conn);
        self.reopen();
    }

    /// Returns every row as it is shown.
    pub fn rows(&self) -> Rows {
        let all = Query::new().limit(u32::MAX);
        let rows = |kind: EntityKind| {
            let shown = self.store().list(kind, &all).expect("the cache can be read");
            shown.into_iter().map(move |row| ((kind, row.row.id), VersionedRow { seq: row.seq, row: row.row }))
        };
        EntityKind::ALL.iter().copied().flat_map(rows).collect()
    }
}

impl Deref for Phone {
    type Target = Client;
    fn deref(&self) -> &Client {
        self.client.as_ref().expect("the application is open")
    }
}
