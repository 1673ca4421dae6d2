//! What the server and every client share: entities, rules and the wire. No clock, no random, no I/O.
//!
//! Start with [`entity`] for what is recorded, [`mutation`] for how a change is identified, [`wire`] for what
//! is said when, [`frame`] for the bytes.

pub mod cbor;
pub mod code;
pub mod cursor;
pub mod digest;
pub mod entity;
pub mod field;
pub mod form;
pub mod frame;
pub mod id;
pub mod message;
pub mod mutation;
pub mod patch;
pub mod rows;
pub mod rule;
pub mod text;
pub mod time;
pub mod validate;
pub mod value;
pub mod wire;

mod bytes16;
