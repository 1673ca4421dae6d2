//! `serve`: from nothing to a running server, and back.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::failure::Failure;
use super::{Login, banner, demo, print, runtime};
use crate::app::App;
use crate::config::{Config, Environment};
use crate::listener;
use crate::ops::{shutdown, telemetry};
use crate::restore::MarkKeeper;
use crate::world::SystemWorld;

/// How long work that ignores the end may hold it up.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Serves until a signal ends it.
pub(super) fn run(config: Config) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    // Before the database, so that a taken port is told at once.
    let address = config.http.listen;
    let listener = TcpListener::bind(address).map_err(|error| Failure::listen(address, &error))?;
    // Before the runtime: Postgres ends with the thread that starts it. Dropped last, it stops Postgres.
    let database = Database::start(&config)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config, &database, listener));
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

async fn serve(config: Config, database: &Database, listener: TcpListener) -> Result<(), Failure> {
    let app = App::new(config, Arc::new(SystemWorld), &database.url())?;
    shutdown::on_signal(app.stopping.clone()).map_err(Failure::unexpected)?;
    let (logins, keeper) = tokio::select! {
        prepared = prepare(&app, database) => prepared?,
        () = app.stopping.cancelled() => return Ok(()),
    };
    let address = listener.local_addr().map_err(Failure::unexpected)?;
    if let Some(keeper) = keeper {
        tokio::spawn(keeper.run(app.clone()));
    }
    print(&banner::banner(address, &database.shown(), &logins))?;
    listener::serve(app, listener).await.map_err(Failure::unexpected)?;
    tracing::info!("stopped");
    Ok(())
}

/// What must be true before the first request, in order. Returns the logins to show, and who keeps the marks.
async fn prepare(app: &App, database: &Database) -> Result<(Vec<Login>, Option<Arc<MarkKeeper>>), Failure> {
    database.prepare().await?;
    let keeper = keep_marks(app).await?;
    match app.config.environment {
        Environment::Development => Ok((demo::ensure(app).await?, keeper)),
        Environment::Production => Ok((Vec::new(), keeper)),
    }
}

/// Compares the database with its marks. Before anything else: what is pushed to a restored database that nobody has
/// noticed would get numbers that were given before.
async fn keep_marks(app: &App) -> Result<Option<Arc<MarkKeeper>>, Failure> {
    let Some(path) = app.config.database.marks_file() else {
        if app.config.environment == Environment::Production {
            tracing::warn!(
                "no `database.marks_file` is set: a restore of the database is not noticed by the server; run \
                 `server new-epoch` after each one"
            );
        }
        return Ok(None);
    };
    let keeper = Arc::new(MarkKeeper::open(app, &path).map_err(Failure::unexpected)?);
    keeper.check().await.map_err(Failure::unexpected)?;
    Ok(Some(keeper))
}
