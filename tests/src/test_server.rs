//! The server inside the test's process, where a test can see and set what a caller cannot.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use server::app::App;
use server::config::Config;
use server::listener;
use server::world::{SharedWorld, SystemWorld};

use crate::TestDb;

/// How long a request waits for a connection of the database.
const PATIENCE_MS: u64 = 10_000;

/// A server on a database of its own. It stops with the value.
pub struct TestServer {
    /// What its handlers share.
    pub app: App,
    /// Where it answers.
    pub address: SocketAddr,
    /// Its database.
    pub db: Arc<TestDb>,
}

impl TestServer {
    /// Starts a server with the default settings and the real clock.
    pub async fn new() -> Self {
        Self::with(Config::default(), Arc::new(SystemWorld)).await
    }

    /// Starts a server with these settings, this clock and this randomness.
    pub async fn with(config: Config, world: SharedWorld) -> Self {
        Self::on(Arc::new(TestDb::new().await), config, world)
    }

    /// Starts a server on a database that is there.
    ///
    /// It waits longer for a connection than the settings say: tests share the processors with whatever else the machine
    /// does, and what they look at is not how soon a busy server sends people away.
    pub fn on(db: Arc<TestDb>, mut config: Config, world: SharedWorld) -> Self {
        config.database.acquire_timeout_ms = config.database.acquire_timeout_ms.max(PATIENCE_MS);
        let app = App::new(config, world, &db.url).expect("the settings are valid");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let serving = app.clone();
        tokio::spawn(async move { listener::serve(serving, listener).await });
        Self { app, address, db }
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.app.stopping.cancel();
    }
}
