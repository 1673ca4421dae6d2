//! A connection through the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::line::{Line, Verdict};
use super::messages::Messages;
use super::toxic::{Harm, draw};
use super::{Gate, Shared, Way};

/// What the sign-in page of a network says to everyone.
const PORTAL: &str = "<!doctype html><title>Wi-Fi</title><form action=/login>Accept the terms of Hotel Bega.</form>";

/// Relays one connection to its end.
pub(super) async fn relay(mut client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let (toxics, seed, number) = shared.next_connection();
    let drawn = || draw(&toxics, seed, number);
    let harms = drawn();
    if harms.iter().any(|(harm, _)| *harm == Harm::CaptivePortal) {
        return answer_as_portal(client).await;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (mut up, mut down) = (Line::new(Way::Up, drawn()), Line::new(Way::Down, drawn()));
    let is_reset = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = pass(&mut from_client, &mut to_server, &shared, Way::Up, &mut up, target);
        let down = pass(&mut from_server, &mut to_client, &shared, Way::Down, &mut down, target);
        tokio::select! {
            is_reset = both(up, down) => is_reset,
            () = shared.next_reset(&harms) => true,
            () = shared.dropped() => true,
        }
    };
    if is_reset {
        // A reset, as from a radio link that is gone: what was on the way is lost.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Waits for the end and returns whether it is a reset. The answer ends the exchange; the request may have ended
/// before.
async fn both(up: impl Future<Output = bool>, down: impl Future<Output = bool>) -> bool {
    tokio::pin!(up, down);
    tokio::select! {
        is_reset = &mut down => is_reset,
        is_reset = &mut up => if is_reset { true } else { down.await },
    }
}

/// Passes bytes on and returns whether the connection is to be reset.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    way: Way,
    line: &mut Line,
    target: SocketAddr,
) -> bool {
    let mut buffer = vec![0; 16 * 1_024];
    loop {
        let read = match from.read(&mut buffer).await {
            // Whoever leaves a dead connection leaves it for good.
            Ok(0) | Err(_) if line.is_lost => return true,
            Ok(0) | Err(_) => {
                let _ = to.shutdown().await;
                return false;
            }
            Ok(read) => read,
        };
        if shared.gate(way).await == Gate::Lost {
            line.is_lost = true;
        }
        let (passes, is_cut) = shared.take(way, read);
        let verdict = line.pass(&mut buffer[..passes], to).await;
        for request in std::mem::take(&mut line.requests) {
            shared.note_request(&request);
            (0..line.replays()).for_each(|_| drop(tokio::spawn(send_again(request.clone(), target))));
        }
        match verdict {
            _ if is_cut => return true,
            Verdict::Goes => {}
            Verdict::Reset => return true,
            Verdict::Ends => return false,
            Verdict::HalfCloses => {
                let _ = to.shutdown().await;
                line.is_lost = true;
            }
        }
    }
}

/// Sends a request once more and returns the status of the answer, 0 where none came.
pub(super) async fn send_again(request: Vec<u8>, target: SocketAddr) -> u16 {
    let Ok(mut server) = TcpStream::connect(target).await else { return 0 };
    if server.write_all(&request).await.is_err() {
        return 0;
    }
    let mut messages = Messages::default();
    let (mut head, mut buffer) = (Vec::new(), vec![0; 16 * 1_024]);
    while let Ok(read @ 1..) = server.read(&mut buffer).await {
        head.extend_from_slice(&buffer[..read.min(64)]);
        if buffer[..read].iter().any(|byte| messages.step(*byte).is_last) {
            break;
        }
    }
    head.get(9..12).and_then(|status| str::from_utf8(status).ok()?.parse().ok()).unwrap_or(0)
}

async fn answer_as_portal(mut client: TcpStream) {
    let mut messages = Messages::default();
    let mut buffer = vec![0; 16 * 1_024];
    while let Ok(read @ 1..) = client.read(&mut buffer).await {
        if buffer[..read].iter().any(|byte| messages.step(*byte).is_last) {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\n";
            let page = format!("{head}content-length: {}\r\n\r\n{PORTAL}", PORTAL.len());
            let _ = client.write_all(page.as_bytes()).await;
            let _ = client.shutdown().await;
            // Closed at once, the page might be lost to a reset.
            let _ = tokio::time::timeout(Duration::from_millis(200), client.read(&mut buffer)).await;
            return;
        }
    }
}
