//! What the programme allows and how it changes, without a word about transport.

pub mod policy;
pub mod viewer;
