//! The client that an application opens: one folder, one person, one server.

mod network;

pub use network::VerifyReport;

use std::sync::Arc;

use sync_protocol::code::Locale;
use sync_protocol::id::UserId;
use sync_protocol::time::Date;
use uuid::Uuid;

use crate::account::AccountClient;
use crate::api::Rules;
use crate::api::error::ApiResult;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::key::KeyProvider;
use crate::store::{BALLAST_BYTES, OpenReport, Room, Store, StoreOptions, SyncStatus};
use crate::sync::{HttpTransport, Syncer};
use crate::world::{SharedWorld, SystemWorld};

/// What a client is opened with.
#[derive(Clone)]
pub struct ClientConfig {
    /// The folder, the server and the waiting times.
    pub config: Config,
    /// Where the keys of the files come from: the platform's key store.
    pub keys: Arc<dyn KeyProvider>,
    /// The clocks and randomness.
    pub world: SharedWorld,
    /// The language of texts for the person.
    pub locale: Locale,
    /// The SQLite VFS beneath the files; `None` for the one of the system.
    pub vfs: Option<String>,
}

impl ClientConfig {
    /// Returns the settings with the real clocks and Romanian texts.
    pub fn new(config: Config, keys: Arc<dyn KeyProvider>) -> Self {
        Self { config, keys, world: Arc::new(SystemWorld::new()), locale: Locale::Ro, vfs: None }
    }
}

/// The open client. Cloning is cheap; all clones work on the same files.
///
/// Reading and recording are synchronous, take milliseconds and never need the network. Only enrolment and sync
/// are `async`. What is recorded is on the disk, and shown, when the call returns `Ok`.
///
/// ```
/// use std::sync::Arc;
///
/// use client_sdk::client::{Client, ClientConfig};
/// use client_sdk::config::Config;
/// use client_sdk::key::FileKeyProvider;
/// use client_sdk::world::SystemWorld;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let keys = FileKeyProvider::new(folder.path().join("keys"), Arc::new(SystemWorld::new()));
/// let config = Config::new("https://teren.example.org", folder.path().join("data"));
/// let client = Client::open(ClientConfig::new(config, Arc::new(keys)))?;
///
/// // Everything below works without a network. Once, with one: `client.enrol(…).await`, `client.sync(…).await`.
/// assert!(client.enterprises().search("brutaria bogodint")?.is_empty());
/// assert_eq!(client.status()?.sync.pending, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) store: Arc<Store>,
    pub(crate) rules: Arc<Rules>,
    account: Arc<AccountClient>,
    syncer: Arc<Syncer>,
}

/// How things stand, for a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What waits, what is refused, and when everything was last here.
    pub sync: SyncStatus,
    /// How long the oldest change has waited, in milliseconds.
    pub oldest_pending_ms: Option<u64>,
    /// How much room is left: warn the person when it is not [`Room::Plenty`].
    pub room: Room,
    /// Who works on the device; `None` before the enrolment.
    pub user: Option<UserId>,
    /// Whether the next sync can go without the password.
    pub is_signed_in: bool,
}

impl Client {
    /// Opens the folder, or makes it. Needs no network.
    ///
    /// Fails without touching the files when another process has them open, or the key is not there or not theirs.
    pub fn open(settings: ClientConfig) -> ApiResult<Self> {
        let ClientConfig { config, keys, world, locale, vfs } = settings;
        let rules = Arc::new(Rules::new(locale));
        let validator = rules.clone();
        let options =
            StoreOptions { folder: config.folder.clone(), keys, world, validator, vfs, ballast_bytes: BALLAST_BYTES };
        let store = Arc::new(Store::open(options)?);
        let account = Arc::new(AccountClient::new(&config, store.clone())?);
        let transport = Arc::new(HttpTransport::new(&config)?);
        let syncer = Syncer::new(store.clone(), transport, account.clone(), config.app, config.wait_ms);
        Ok(Self { store, rules, account, syncer: Arc::new(syncer) })
    }

    /// Returns what was found and repaired at the opening. Tell the person when something was saved from a damaged
    /// file.
    pub fn open_report(&self) -> &OpenReport {
        self.store.report()
    }

    /// Sets the language of texts for the person.
    pub fn set_locale(&self, locale: Locale) {
        self.rules.set_locale(locale);
    }

    /// Returns the language of texts for the person.
    pub fn locale(&self) -> Locale {
        self.rules.locale()
    }

    /// Returns how things stand.
    pub fn status(&self) -> ApiResult<Status> {
        let sync = self.store.status()?;
        let age = |at: sync_protocol::time::Timestamp| (self.store.world().now().0 - at.0).max(0) as u64;
        Ok(Status {
            sync,
            oldest_pending_ms: sync.oldest_pending_at.map(age),
            room: self.store.room(),
            user: self.store.account()?.map(|account| account.user),
            is_signed_in: self.store.tokens()?.is_some(),
        })
    }

    /// Returns the store beneath, for what the typed areas do not offer.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Returns today's date in UTC, which the rules use everywhere.
    pub fn today(&self) -> Date {
        self.store.world().now().date()
    }

    /// Returns the person who works on the device.
    pub(crate) fn me(&self) -> Result<UserId> {
        self.store.account()?.map(|account| account.user).ok_or(Error::NeedsSignIn)
    }

    pub(crate) fn new_id<I: From<Uuid>>(&self) -> I {
        self.store.world().new_id().into()
    }
}
