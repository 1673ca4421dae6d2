//! The test kit: real parts, made quickly and thrown away.
//!
//! - [`TestDb`]: a migrated database of its own for a test, in a Postgres that all tests share.
//! - [`TestServer`]: the server on such a database, inside the test's process.
//! - [`ServerProcess`]: the server as a process, with its exit code and its messages.

mod postgres;
mod server_process;
mod test_server;

pub use postgres::TestDb;
pub use server_process::{Ended, ServerProcess, data_folder, get};
pub use test_server::TestServer;
