//! Answers requests on a socket until the server is told to stop.

use std::net::{SocketAddr, TcpListener};

use crate::app::App;
use crate::domain::fleet;
use crate::router::router;

/// Answers requests until `app.stopping` is cancelled, and then those that are open, for a limited time.
pub async fn serve(app: App, listener: TcpListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (stopping, drain) = (app.stopping.clone(), app.config.http.drain_timeout());
    let fleet = app.clone();
    let writing = app.clone();
    tokio::spawn(async move {
        fleet::keep_written(&writing.fleet, &writing.sync, &writing.metrics.sync, &writing.stopping).await;
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
    fleet.fleet.write_to(&fleet.sync, &fleet.metrics.sync).await;
    served
}
