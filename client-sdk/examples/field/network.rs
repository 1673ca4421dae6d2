//! Enrolment and sync, the two commands that need the server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use client_sdk::account::Enrolment;
use client_sdk::sync::{Failure, Notice, Progress, SyncReport, Watcher};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::{Builder, Runtime};

use crate::args::EnrolOptions;
use crate::session::Session;
use crate::texts::Key;
use crate::{prompt, show};

pub(crate) fn enrol(session: &Session, options: EnrolOptions) -> Result<()> {
    let password = match options.password {
        Some(password) => password,
        None => prompt::secret(session.text(Key::Password))?.context("no password")?,
    };
    let enrolment = Enrolment {
        email: options.email,
        password: password.into(),
        device_name: options.device,
        device_model: std::env::consts::OS.to_owned(),
    };
    runtime()?.block_on(session.client.enrol(&enrolment))?;
    session.remember_server()?;
    say!("{}", session.text(Key::Enrolled));
    Ok(())
}

pub(crate) fn sync(session: &Session) -> Result<()> {
    let (bar, watcher) = progress_bar(session.text(Key::Syncing))?;
    let outcome = runtime()?.block_on(session.client.sync(Some(watcher), interrupted()));
    bar.finish_and_clear();
    tell(session, &outcome?)
}

pub(crate) fn verify(session: &Session) -> Result<()> {
    let (bar, watcher) = progress_bar(session.text(Key::Verifying))?;
    let outcome = runtime()?.block_on(session.client.verify(Some(watcher), interrupted()));
    bar.finish_and_clear();
    let report = outcome?;
    say!("{}: {}", session.text(Key::VerifiedScopes), report.scopes);
    let repaired = report.outdated_rows + report.foreign_rows;
    if repaired > 0 {
        say!("{}: {repaired}", session.text(Key::PutRightRows));
    }
    say!("{}", session.text(if report.is_equal { Key::AllEqual } else { Key::NotEqual }));
    Ok(())
}

fn progress_bar(message: &'static str) -> Result<(ProgressBar, Watcher)> {
    let bar = ProgressBar::new(0).with_message(message);
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos}/{len}")?.progress_chars("━╸ "));
    bar.enable_steady_tick(Duration::from_millis(100));
    let shown = bar.clone();
    Ok((bar, Arc::new(move |progress| show_progress(&shown, progress))))
}

pub(crate) fn watch(session: &Session) -> Result<()> {
    say!("{}", session.text(Key::Watching));
    let runtime = runtime()?;
    let client = &session.client;
    Ok(runtime.block_on(client.connected(None, interrupted(), |notice| tell_notice(session, notice)))?)
}

fn tell_notice(session: &Session, notice: &Notice) {
    match notice {
        Notice::Complete => say!("✓ {}", session.text(Key::UpToDate)),
        Notice::Waiting { failure: Failure::NotOurServer(_), .. } => say!("✗ {}", session.text(Key::Intercepted)),
        Notice::Waiting { after_ms, .. } => say!("… {} {}", session.text(Key::Waiting), show::duration(*after_ms)),
        Notice::NeedsSignIn => say!("✗ field enrol"),
        Notice::Received { .. } | Notice::Stopped => {}
    }
}

/// Waits for Ctrl-C. Without a handler, it ends the program, which is as safe.
async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}

fn show_progress(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.rows_expected.max(progress.rows) + progress.to_push.max(progress.pushed));
    bar.set_position(progress.rows + progress.pushed);
}

fn tell(session: &Session, report: &SyncReport) -> Result<()> {
    let (sent, received) = (session.text(Key::Sent), session.text(Key::Received));
    say!(
        "↑ {} {sent} ({} B)   ↓ {} {received} ({} B)",
        report.pushed,
        report.bytes_sent,
        report.pulled_rows,
        report.bytes_received
    );
    let kept = [(Key::Held, report.held), (Key::Rejected, report.rejected), (Key::Conflicts, report.conflicts)];
    for (key, count) in kept.into_iter().filter(|(_, count)| *count > 0) {
        say!("  {}: {count}", session.text(key));
    }
    let standing = session.client.status()?.sync;
    let next = match (report.complete, standing.held + standing.rejected) {
        (false, _) => Key::NextAgain,
        (true, 0) => Key::NextDay,
        (true, _) => Key::NextHeld,
    };
    say!("{}", session.text(next));
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start the network")
}
