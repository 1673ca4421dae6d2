//! `serve`: from nothing to a running server, and back.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::failure::Failure;
use super::{Login, banner, demo, print, runtime};
use crate::app::App;
use crate::config::{Config, Environment};
use crate::ops::{shutdown, telemetry};
use crate::router::router;
use crate::world::SystemWorld;

/// How long work that ignores the end may hold it up.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Serves until a signal ends it.
pub(super) fn run(config: Config) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    // Before the database, so that a taken port is told at once.
    let listener = listen(config.http.listen)?;
    // Before the runtime: Postgres ends with the thread that starts it. Dropped last, it stops Postgres.
    let database = Database::start(&config)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config, &database, listener));
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|error| Failure::listen(address, &error))?;
    listener.set_nonblocking(true).map_err(|error| Failure::listen(address, &error))?;
    Ok(listener)
}

async fn serve(config: Config, database: &Database, listener: TcpListener) -> Result<(), Failure> {
    let app = App::new(config, Arc::new(SystemWorld), &database.url())?;
    shutdown::on_signal(app.stopping.clone()).map_err(Failure::unexpected)?;
    let logins = tokio::select! {
        logins = prepare(&app, database) => logins?,
        () = app.stopping.cancelled() => return Ok(()),
    };
    let address = listener.local_addr().map_err(Failure::unexpected)?;
    print(&banner::banner(address, &database.shown(), &logins))?;
    answer(app, listener).await
}

/// What must be true before the first request, in order. Returns the logins to show.
async fn prepare(app: &App, database: &Database) -> Result<Vec<Login>, Failure> {
    database.prepare().await?;
    match app.config.environment {
        Environment::Development => demo::ensure(app).await,
        Environment::Production => Ok(Vec::new()),
    }
}

/// Answers requests until the server is told to stop, and then those that are open, for a limited time.
async fn answer(app: App, listener: TcpListener) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Failure::unexpected)?;
    let (stopping, drain) = (app.stopping.clone(), app.config.http.drain_timeout());
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stopping.clone().cancelled_owned());
    tokio::select! {
        served = serving => served.map_err(Failure::unexpected)?,
        () = async { stopping.cancelled().await; tokio::time::sleep(drain).await } => {
            tracing::warn!("some requests did not finish in time and were cut off");
        }
    }
    tracing::info!("stopped");
    Ok(())
}
