//! The typed API on real files: the stories of a mentor without a signal.

mod changes;
mod device;
mod fixture;
mod jobs;
mod visit;
