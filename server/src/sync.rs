//! The door for devices: `POST /sync/v1`, frames in and frames out.
//!
//! [`routes`] checks who asks and reads the request, [`session`] answers it, [`pull`] sends what the device lacks.

mod pull;
mod routes;
mod session;

pub use routes::{SyncState, routes};
