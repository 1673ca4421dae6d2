//! A network between a phone and the server, inside the test's process: it counts bytes, and does to connections
//! what bad networks do ([`Harm`]). It stops with the runtime of its test.
//!
//! What it does follows from a seed and the number of a connection. What a harm does to one connection does not
//! depend on the others.

mod line;
mod messages;
mod relay;
mod toxic;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use toxic::{Harm, TWO_G_EDGE, Toxic, VILLAGE_WIFI};

/// A proxy before a server.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    target: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes that passed from the client to the server, and back.
    passed: [AtomicU64; 2],
    /// How many more bytes may pass in the same directions before everything is cut.
    left: [AtomicU64; 2],
    gates: watch::Sender<[Gate; 2]>,
    drops: watch::Sender<u64>,
    toxics: Mutex<(Vec<Toxic>, u64)>,
    connections: AtomicU64,
    /// The connections that are open.
    open: AtomicU64,
    /// The requests that have passed, `None` while they are not kept.
    requests: Mutex<Option<Vec<Vec<u8>>>>,
    started: Instant,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up = 0,
    /// To the client.
    Down = 1,
}

/// What happens now to bytes that go one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// They pass.
    Open,
    /// They wait, as TCP keeps them, and arrive when the gate opens.
    Held,
    /// They are lost, and their connection with them, of which nobody is told: a network that forgot it.
    Lost,
}

impl Proxy {
    /// Starts a proxy before `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let never = || AtomicU64::new(u64::MAX);
        let shared = Arc::new(Shared {
            passed: Default::default(),
            left: [never(), never()],
            gates: watch::Sender::new([Gate::Open; 2]),
            drops: watch::Sender::new(0),
            toxics: Mutex::default(),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            requests: Mutex::default(),
            started: Instant::now(),
        });
        let kept = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                kept.open.fetch_add(1, Ordering::SeqCst);
                let shared = kept.clone();
                tokio::spawn(async move {
                    relay::relay(client, target, shared.clone()).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, target, shared }
    }

    /// Does this to every connection that is opened from now on.
    pub fn set(&self, seed: u64, toxics: &[Toxic]) {
        *self.shared.toxics.lock().expect("no task panics with it") = (toxics.to_vec(), seed);
    }

    /// Sets what happens to bytes of connections old and new, for each way.
    pub fn set_gates(&self, up: Gate, down: Gate) {
        self.shared.gates.send_replace([up, down]);
    }

    /// Resets every open connection, and waits until both sides can know of it.
    pub async fn drop_connections(&self) {
        self.shared.drops.send_modify(|count| *count += 1);
        while self.shared.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// Lets `bytes` more pass in one direction, then cuts every connection, old or new, at its next byte.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.heal();
        self.shared.left[way as usize].store(bytes, Ordering::SeqCst);
    }

    /// Lets nothing pass, as a phone without a signal.
    pub fn cut(&self) {
        self.cut_after(Way::Up, 0);
    }

    /// Harms no more. Connections that are broken already stay so.
    pub fn heal(&self) {
        self.shared.left.iter().for_each(|left| left.store(u64::MAX, Ordering::SeqCst));
        self.set_gates(Gate::Open, Gate::Open);
        self.set(0, &[]);
    }

    /// Returns how many bytes have passed in one direction since the last call.
    pub fn take_passed(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].swap(0, Ordering::SeqCst)
    }

    /// Returns how many connections have been opened.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Keeps every request from now on, for [`Proxy::replay`].
    pub fn keep_requests(&self) {
        *self.shared.requests.lock().expect("no task panics with it") = Some(Vec::new());
    }

    /// Sends every request that was kept once more, hours later as it were, and returns the answers' statuses.
    pub async fn replay(&self) -> Vec<u16> {
        let requests = self.shared.requests.lock().expect("no task panics with it").clone().unwrap_or_default();
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(relay::send_again(request, self.target).await);
        }
        statuses
    }
}

impl Shared {
    fn next_connection(&self) -> (Vec<Toxic>, u64, u64) {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let (toxics, seed) = self.toxics.lock().expect("no task panics with it").clone();
        (toxics, seed, number)
    }

    /// Waits while bytes are held; then says whether they pass.
    async fn gate(&self, way: Way) -> Gate {
        let mut gates = self.gates.subscribe();
        let gates = gates.wait_for(|gates| gates[way as usize] != Gate::Held).await;
        gates.map_or(Gate::Lost, |gates| gates[way as usize])
    }

    /// Waits until every connection is dropped.
    async fn dropped(&self) {
        let _ = self.drops.subscribe().changed().await;
    }

    /// Waits until the network resets its connections, if it does.
    async fn next_reset(&self, toxics: &[(Harm, ChaCha8Rng)]) {
        let every =
            toxics.iter().find_map(|(harm, _)| if let Harm::ResetEvery { ms } = harm { Some(*ms) } else { None });
        let Some(every_ms) = every else { return std::future::pending().await };
        let passed = self.started.elapsed().as_millis() as u64 / every_ms;
        sleep_until(self.started + Duration::from_millis((passed + 1) * every_ms)).await;
    }

    fn note_request(&self, request: &[u8]) {
        if let Some(requests) = &mut *self.requests.lock().expect("no task panics with it") {
            requests.push(request.to_vec());
        }
    }

    /// Returns how many of `read` bytes pass, and whether nothing passes after them.
    fn take(&self, way: Way, read: usize) -> (usize, bool) {
        let spend = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(read as u64));
        let left = self.left[way as usize].fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
        let left = left.unwrap_or(u64::MAX);
        let passes = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.passed[way as usize].fetch_add(passes as u64, Ordering::SeqCst);
        (passes, left <= read as u64)
    }
}
