//! The rules of the programme and the one write path.

pub mod feed;
pub mod fleet;
pub mod office;
pub mod operation;
pub mod policy;
pub mod pruning;
pub mod push;
pub mod viewer;
pub mod viewers;
pub mod write;

mod alias;
mod decide;
mod load;
mod merge;
mod shares;
mod traces;
