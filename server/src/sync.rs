//! The door for devices: `POST /sync/v1`, frames in and frames out.
//!
//! [`admission`] says who comes in and when the others come back, [`routes`] checks who asks, [`request`] reads what
//! was sent, [`session`] answers it, [`pull`] sends what the device lacks, [`verify`] answers a device that checks what
//! it holds. Sessions share a [`Desk`], over any [`SyncStore`](crate::store::SyncStore).

mod admission;
mod desk;
mod pull;
mod request;
mod routes;
mod session;
mod verify;

pub use admission::{Door, Visitor};
pub use desk::{Caller, Desk};
pub use request::{FrameLimits, SyncRequest, parse};
pub use routes::{SyncState, routes};
pub use verify::{Checks, Verification};
