//! Answers requests on a socket until the server is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;

use crate::app::App;
use crate::domain::{fleet, pruning};
use crate::router::router;

/// Connections that may wait to be accepted.
const LINE: libc::c_int = 4_096;

/// Answers requests until `app.stopping` is cancelled, and then those that are open, for a limited time.
pub async fn serve(app: App, listener: TcpListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    wait_in_line(&listener)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (stopping, drain) = (app.stopping.clone(), app.config.http.drain_timeout());
    let fleet = app.clone();
    let writing = app.clone();
    tokio::spawn(async move {
        // Not on a connection of the phones: each of those belongs to a session.
        fleet::keep_written(&writing.fleet, &writing.reports, &writing.metrics.sync, &writing.stopping).await;
    });
    let forgetting = app.clone();
    tokio::spawn(async move {
        let App { reports, world, config, metrics, stopping, .. } = &forgetting;
        pruning::keep_pruned(reports, world, pruning::Retention::of(&config.sync), &metrics.sync, stopping).await;
    });
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stopping.clone().cancelled_owned());
    let out_of_time = async {
        stopping.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    let served = tokio::select! {
        served = serving => served,
        () = out_of_time => {
            tracing::warn!("some requests did not finish in time and were cut off");
            Ok(())
        }
    };
    fleet.fleet.write_to(&fleet.reports, &fleet.metrics.sync).await;
    served
}

/// Lets a herd wait in line: with the usual 128 places, the kernel drops the others' first packets, and each of them
/// tries again after a second, then three, then seven.
fn wait_in_line(listener: &TcpListener) -> std::io::Result<()> {
    // SAFETY: listen touches no memory, and the socket is ours; calling it again only changes the length of the line.
    match unsafe { libc::listen(listener.as_raw_fd(), LINE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
