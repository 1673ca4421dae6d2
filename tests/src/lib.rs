//! The test kit: real parts, made quickly and thrown away.
//!
//! - [`TestDb`]: a migrated database of its own for a test, in a Postgres that all tests share.
//! - [`TestServer`]: the server on such a database, inside the test's process.
//! - [`ServerProcess`]: the server as a process, with its exit code and its messages.
//! - [`programme`]: a small programme with people, and [`sample`] rows to record in it.
//! - [`Device`]: a device that speaks the protocol itself.
//! - [`Proxy`]: a network between the two that can be cut and measured.
//! - [`state`]: what the server holds, asked of the database.

pub mod programme;
pub mod sample;
pub mod state;

mod device;
mod postgres;
mod proxy;
mod server_process;
mod test_server;

pub use device::{Answer, Cache, Device, now};
pub use postgres::TestDb;
pub use proxy::{Proxy, Way};
pub use server_process::{Ended, ServerProcess, data_folder, get};
pub use test_server::TestServer;
