//! Generic reads.

mod viewer;

pub use viewer::load_viewer;
