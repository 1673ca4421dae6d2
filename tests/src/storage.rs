//! Histories of a phone's files under fire: what the store promised is kept in a model, and compared after each
//! loss of power, fault or damage.
//!
//! - [`damage`]: bits, pages and whole files are changed while the application does not look.
//! - [`io_errors`]: a call fails, once or for a while.
//! - [`migrations`]: files of earlier versions are opened on a failing disk.
//! - [`paths`]: every call of each main path fails.
//! - [`power_loss`]: the power goes at any call, while recording, syncing or opening.
//! - [`settled`]: the power goes after changes were settled.

mod model;
mod phone;
mod rows;
mod server;
mod session;

pub mod damage;
pub mod io_errors;
pub mod migrations;
pub mod paths;
pub mod power_loss;
pub mod settled;
