//! The offline-first client of Teren.
//!
//! Start with [`client`]: it opens the folder, enrols the device and syncs. [`api`] holds what an application shows
//! and records. Beneath, [`store`] keeps everything on the device, [`sync`] exchanges it with the server, [`account`]
//! signs the device in. Reading and writing never need the network.

pub mod account;
pub mod api;
pub mod client;
pub mod config;
pub mod error;
pub mod key;
pub mod store;
pub mod sync;
pub mod world;
