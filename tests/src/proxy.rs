//! A TCP proxy that counts bytes and cuts connections where a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A proxy before a server. It stops with the runtime of its test.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes that passed from the client to the server, and back.
    passed: [AtomicU64; 2],
    /// How many more bytes may pass in the same directions before everything is cut.
    left: [AtomicU64; 2],
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up = 0,
    /// To the client.
    Down = 1,
}

impl Proxy {
    /// Starts a proxy before `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let never = || AtomicU64::new(u64::MAX);
        let shared = Arc::new(Shared { passed: Default::default(), left: [never(), never()] });
        let kept = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, target, kept.clone()));
            }
        });
        Self { address, shared }
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

    /// Cuts no more.
    pub fn heal(&self) {
        self.shared.left.iter().for_each(|left| left.store(u64::MAX, Ordering::SeqCst));
    }

    /// Returns how many bytes have passed in one direction since the last call.
    pub fn take_passed(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].swap(0, Ordering::SeqCst)
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let was_cut = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = pass(&mut from_client, &mut to_server, &shared, Way::Up);
        let down = pass(&mut from_server, &mut to_client, &shared, Way::Down);
        // The answer ends the exchange; the request may have ended before.
        tokio::pin!(up, down);
        tokio::select! {
            was_cut = &mut down => was_cut,
            was_cut = &mut up => if was_cut { true } else { down.await },
        }
    };
    if was_cut {
        // A reset, as from a radio link that is gone: what was on the way is lost.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Passes bytes on and returns whether the connection is to be cut.
async fn pass(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    shared: &Shared,
    way: Way,
) -> bool {
    let mut buffer = vec![0; 16 * 1_024];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => {
                let _ = to.shutdown().await;
                return false;
            }
            Ok(read) => read,
        };
        let (passes, is_cut) = shared.take(way, read);
        if to.write_all(&buffer[..passes]).await.is_err() {
            return false;
        }
        if is_cut {
            return true;
        }
    }
}

impl Shared {
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
