//! The simulator: phones, people, a network and a server in one thread, all from one seed.

pub mod server;
