//! A server process that works on one request and kills itself at a point of it.
//!
//! Arguments: the URL of the database, the file with the body, the programme, the user, and the number of the point.
//! A point that is not reached lets the process end in the ordinary way.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use server::store::{Db, StoreError};
use server::sync::Caller;
use tests::crash_points::{Hook, Point, Stepped, answer};
use uuid::Uuid;

/// Kills the process at the point with a number.
#[derive(Clone)]
struct KillAt(Arc<AtomicU64>);

impl Hook for KillAt {
    async fn at(&self, _point: Point) -> Result<(), StoreError> {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            // SAFETY: kill and getpid touch no memory. SIGKILL: the process can do nothing more.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("an argument is missing");
    let (url, body) = (next()?, std::fs::read(next()?)?);
    let caller = Caller { programme: next()?.parse()?, user: next()?.parse()?, session: Uuid::nil() };
    let hook = KillAt(Arc::new(AtomicU64::new(next()?.parse()?)));
    let store = Db::new(&url, 2, Duration::from_secs(10))?;
    answer(Stepped { store, hook }, caller, &body).await;
    Ok(())
}
