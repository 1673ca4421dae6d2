//! Reading the body of a request without spending more memory or patience than was set aside for it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Memory is set aside in steps of this size where the length of a body is not announced.
const STEP_BYTES: usize = 64 * 1_024;

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// The most bytes.
    pub(super) max_bytes: usize,
    /// How long the sender may be silent.
    pub(super) idle: Duration,
    /// How long the whole may take.
    pub(super) whole: Duration,
}

/// A body, with the memory that was set aside for it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) memory: OwnedSemaphorePermit,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than allowed.
    TooLarge,
    /// Others hold the memory that is set aside for bodies.
    NoMemory,
    /// The sender was silent, or took too long.
    TooSlow,
    /// The connection broke off.
    Broken,
}

/// Returns the announced length of a body, if it is announced.
pub(super) fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body. Its memory comes out of `budget` before it is spent.
pub(super) async fn read(
    body: Body,
    announced: Option<usize>,
    limits: &BodyLimits,
    budget: &Arc<Semaphore>,
) -> Result<Received, Unread> {
    timeout(limits.whole, read_on(body, announced, limits, budget)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn read_on(
    body: Body,
    announced: Option<usize>,
    limits: &BodyLimits,
    budget: &Arc<Semaphore>,
) -> Result<Received, Unread> {
    if announced.is_some_and(|bytes| bytes > limits.max_bytes) {
        return Err(Unread::TooLarge);
    }
    let mut set_aside = announced.unwrap_or(STEP_BYTES);
    let mut memory = take(budget, set_aside)?;
    let mut bytes = Vec::with_capacity(set_aside);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = timeout(limits.idle, chunks.next()).await.map_err(|_| Unread::TooSlow)? {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        let needed = bytes.len() + chunk.len();
        if needed > limits.max_bytes {
            return Err(Unread::TooLarge);
        }
        if needed > set_aside {
            let more = (needed - set_aside).next_multiple_of(STEP_BYTES);
            memory.merge(take(budget, more)?);
            set_aside += more;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Received { bytes, memory })
}

fn take(budget: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Unread> {
    let bytes = u32::try_from(bytes).map_err(|_| Unread::TooLarge)?;
    budget.clone().try_acquire_many_owned(bytes).map_err(|_| Unread::NoMemory)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;

    const LIMITS: BodyLimits =
        BodyLimits { max_bytes: 1_000_000, idle: Duration::from_secs(5), whole: Duration::from_secs(20) };

    async fn read_all(chunks: Vec<Vec<u8>>, announced: Option<usize>, budget: usize) -> Result<usize, Unread> {
        let body = Body::from_stream(stream::iter(chunks.into_iter().map(|c| Ok::<_, std::io::Error>(Bytes::from(c)))));
        let budget = Arc::new(Semaphore::new(budget));
        let received = read(body, announced, &LIMITS, &budget).await;
        received.map(|received| received.bytes.len())
    }

    #[tokio::test]
    async fn memory_is_set_aside_before_it_is_spent() {
        assert_eq!(read_all(vec![vec![0; 10]; 3], Some(30), 30).await, Ok(30));
        assert_eq!(read_all(vec![vec![0; 10]; 3], Some(30), 29).await, Err(Unread::NoMemory));
        let unannounced = vec![vec![0; STEP_BYTES]; 3];
        assert_eq!(read_all(unannounced.clone(), None, 3 * STEP_BYTES).await, Ok(3 * STEP_BYTES));
        assert_eq!(read_all(unannounced, None, 2 * STEP_BYTES).await, Err(Unread::NoMemory));
    }

    #[tokio::test]
    async fn too_large_a_body_is_refused_by_its_announcement_and_by_its_bytes() {
        // Nothing of this body is there to be read.
        assert_eq!(read_all(vec![], Some(1_000_001), usize::MAX >> 3).await, Err(Unread::TooLarge));
        assert_eq!(read_all(vec![vec![0; 600_000]; 2], None, usize::MAX >> 3).await, Err(Unread::TooLarge));
        assert_eq!(read_all(vec![vec![0; 600_000]; 2], Some(5), usize::MAX >> 3).await, Err(Unread::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_and_one_that_drips_are_given_up() {
        let budget = Arc::new(Semaphore::new(1_000));
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(silent, Some(10), &LIMITS, &budget).await.unwrap_err(), Unread::TooSlow);
        let drips = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        assert_eq!(read(Body::from_stream(drips), Some(100), &LIMITS, &budget).await.unwrap_err(), Unread::TooSlow);
        assert_eq!(budget.available_permits(), 1_000, "the memory came back");
    }
}
