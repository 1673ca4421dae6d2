//! The offline-first client of Teren.
//!
//! [`store`] keeps everything on the device, [`sync`] exchanges it with the server, [`account`] enrols the
//! device. Reading and writing never need the network.

pub mod account;
pub mod config;
pub mod error;
pub mod key;
pub mod store;
pub mod sync;
pub mod world;
