//! A device with reference data, whose program is killed and opened again.

use std::sync::Arc;

use client_sdk::client::{Client, ClientConfig};
use client_sdk::config::Config;
use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{Account, Page, Tokens};
use client_sdk::world::FixedWorld;
use sync_protocol::code::Locale;
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::Entity;
use sync_protocol::rows::{Rows, VersionedRow};
use sync_protocol::wire::{Checkpoint, Scopes};
use tempfile::TempDir;
use uuid::Uuid;

use crate::fixture;

pub(crate) struct Device {
    folder: TempDir,
    world: Arc<FixedWorld>,
    client: Option<Client>,
}

impl Device {
    /// Returns a device that has synced once and has no network now.
    pub(crate) fn new() -> Self {
        let mut device =
            Self { folder: tempfile::tempdir().unwrap(), world: Arc::new(FixedWorld::at(fixture::NOW)), client: None };
        device.open();
        device.receive_reference_data();
        device
    }

    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// Ends the program without a word and starts it again, a minute later.
    pub(crate) fn kill(&mut self) -> &Client {
        // The files are let go of, nothing is flushed: `close` is not called.
        self.client = None;
        self.world.advance_ms(60_000);
        self.open();
        self.client()
    }

    fn open(&mut self) {
        let config = Config::new("http://127.0.0.1:1", self.folder.path());
        let settings = ClientConfig {
            world: self.world.clone(),
            locale: Locale::En,
            ..ClientConfig::new(config, Arc::new(FixedKeyProvider([7; 32])))
        };
        self.client = Some(Client::open(settings).unwrap());
    }

    fn receive_reference_data(&self) {
        let store = self.client().store();
        let tokens = Tokens { access: "access".to_owned().into(), refresh: "refresh".to_owned().into() };
        store.set_account(Account { user: fixture::MENTOR, programme: fixture::PROGRAMME }, &tokens).unwrap();
        let scopes = vec![fixture::PROGRAMME, fixture::ENTERPRISE.0, fixture::MENTOR.0];
        store.apply_scopes(&Scopes { scopes }).unwrap();
        self.receive(fixture::reference_data(), 10);
    }

    /// Takes rows as if a sync had brought them up to `seq` and ended.
    pub(crate) fn receive(&self, rows: Vec<Rows>, seq: u64) {
        let cursor = Some(Cursor { epoch: Uuid::from_u128(99), seq, ..Cursor::default() });
        let checkpoint = Checkpoint { cursor, behind: Vec::new(), rows_sent: 0, rows_expected: 0 };
        let store = self.client().store();
        store.apply_page(&Page { rows, gone: Vec::new(), checkpoint }).unwrap();
        store.flush().unwrap();
    }
}

/// Returns rows as the server sends them.
pub(crate) fn rows<T: Entity>(seq: u64, entities: &[T]) -> Rows {
    let rows = entities.iter().map(|entity| VersionedRow { seq, row: entity.to_row() });
    Rows { kind: Some(T::DEF.kind), rows: rows.collect(), unknown: Vec::new() }
}
