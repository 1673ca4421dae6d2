//! What the server and every client share: entities, rules and the wire. No clock, no random, no I/O.
//!
//! Start with [`entity`] for what is recorded, [`mutation`] for how a change is identified, [`wire`] for what
//! is said when, [`frame`] for the bytes.

pub mod code;
pub mod entity;
pub mod field;
pub mod form;
pub mod id;
pub mod message;
pub mod rule;
pub mod text;
pub mod time;
pub mod validate;
pub mod value;
