//! What the programme allows and how it changes, without a word about transport.

pub mod decide;
pub mod feed;
pub mod load;
pub mod merge;
pub mod policy;
pub mod traces;
pub mod viewer;
pub mod write;
