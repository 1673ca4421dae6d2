//! Ctrl-C and SIGTERM: the first asks to finish, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell expects of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Cancels `stopping` at the first signal. A second one ends the process; its Postgres then ends by itself.
pub(crate) fn on_signal(stopping: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        stopping.cancel();
        tracing::info!("stopping when the open requests are answered; press Ctrl-C again to stop at once");
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
