//! The test kit: real parts, made quickly and thrown away.
//!
//! - [`TestDb`]: a migrated database of its own for a test, in a Postgres that all tests share.
//! - [`TestServer`]: the server on such a database, inside the test's process.
//! - [`ServerProcess`]: the server as a process, with its exit code and its messages.
//! - [`programme`]: a small programme with people, and [`sample`] rows to record in it.
//! - [`demo`]: the demo programme, for stories.
//! - [`herd`]: many devices that come back at once.
//! - [`Device`]: a device that speaks the protocol itself.
//! - [`Phone`]: a device with the SDK, and [`Office`]: a person with a browser.
//! - [`visit`]: a visit step by step on a phone.
//! - [`Proxy`]: a network between the two that can be cut, measured and made as bad as a real one.
//! - [`FaultDisk`]: a disk beneath the SDK's files that fails on demand.
//! - [`storage`]: histories of a phone's files under fire.
//! - [`crash_points`]: where a push can be stopped.
//! - [`site`]: a server that is backed up and restored.
//! - [`folder`]: files that are copied for each thing that is done to them.
//! - [`full_disk`]: a phone whose disk becomes full again and again.
//! - [`parallel`]: the same work for many numbers.
//! - [`state`]: what the server holds, asked of the database.

pub mod crash_points;
pub mod demo;
pub mod folder;
pub mod full_disk;
pub mod herd;
pub mod parallel;
pub mod phone;
pub mod programme;
pub mod sample;
pub mod simulator;
pub mod site;
pub mod state;
pub mod storage;
pub mod vfs;
pub mod visit;

mod device;
mod office;
mod postgres;
mod proxy;
mod server_process;
mod test_server;

pub use device::{ACCESS_TOKEN_TTL_S, Answer, Cache, Device, now, request_body};
pub use office::Office;
pub use phone::Phone;
pub use postgres::TestDb;
pub use proxy::{Gate, Harm, Proxy, TWO_G_EDGE, Toxic, VILLAGE_WIFI, Way};
pub use server_process::{Ended, ServerProcess, data_folder, get, program};
pub use test_server::TestServer;
pub use vfs::FaultDisk;
