//! The test kit: real parts, made quickly and thrown away.
//!
//! - [`TestDb`]: a migrated database of its own for a test, in a Postgres that all tests share.
//! - [`ServerProcess`]: the server as a process, with its exit code and its messages.

mod postgres;
mod server_process;

pub use postgres::TestDb;
pub use server_process::{Ended, ServerProcess, data_folder};
