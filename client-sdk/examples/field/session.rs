//! What every command needs: the open client, today's date, the language.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use anyhow::{Context as _, Result};
use client_sdk::client::{Client, ClientConfig};
use client_sdk::config::Config;
use client_sdk::key::FileKeyProvider;
use client_sdk::world::SystemWorld;
use sync_protocol::code::Locale;
use sync_protocol::entity::User;
use sync_protocol::time::Date;

use crate::args::Arguments;
use crate::texts::{Key, text};

const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// The open client with what was chosen on the command line.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) server: String,
    home: PathBuf,
}

impl Session {
    /// Opens the folder. Needs no network.
    pub(crate) fn open(arguments: &Arguments) -> Result<Self> {
        let home = home(arguments)?;
        let server = arguments.server.clone().or_else(|| remembered(&home)).unwrap_or(DEFAULT_SERVER.to_owned());
        let config = Config {
            app: concat!("teren-field/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Config::new(&server, home.join("data"))
        };
        // A terminal has no key store of its own. On a phone, the keys come from the platform's.
        let keys = FileKeyProvider::new(home.join("keys"), Arc::new(SystemWorld::new()));
        let client = Client::open(ClientConfig::new(config, Arc::new(keys)))?;
        let session = Self { client, server, home };
        session.client.set_locale(arguments.lang.map_or_else(|| session.own_locale(), Locale::from));
        session.tell_repairs();
        Ok(session)
    }

    /// Remembers the server, so that it is named once.
    pub(crate) fn remember_server(&self) -> Result<()> {
        fs::write(server_file(&self.home), &self.server).context("cannot remember the server")
    }

    pub(crate) fn locale(&self) -> Locale {
        self.client.locale()
    }

    pub(crate) fn text(&self, key: Key) -> &'static str {
        text(key, self.locale())
    }

    pub(crate) fn today(&self) -> Date {
        self.client.today()
    }

    /// Returns the language of the account; English until the first sync.
    fn own_locale(&self) -> Locale {
        let user = self.client.status().ok().and_then(|status| status.user);
        let account = user.and_then(|user| self.client.get::<User>(user).ok().flatten());
        account.map_or(Locale::En, |account| account.locale)
    }

    fn tell_repairs(&self) {
        if let Some(salvaged) = self.client.open_report().salvaged {
            eprintln!("{}: {}", self.text(Key::Salvaged), salvaged.saved);
            eprintln!("{}: {}", self.text(Key::Lost), salvaged.lost);
            if salvaged.lost > 0 {
                eprintln!("{}", self.text(Key::LostAdvice));
            }
        }
    }
}

fn home(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(home) = &arguments.home {
        return Ok(home.clone());
    }
    let home = env::home_dir().context("there is no home folder; name a folder with --home")?;
    Ok(home.join(".teren-field"))
}

fn remembered(home: &Path) -> Option<String> {
    fs::read_to_string(server_file(home)).ok().map(|server| server.trim().to_owned())
}

fn server_file(home: &Path) -> PathBuf {
    home.join("server")
}
