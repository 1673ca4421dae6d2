//! The simulator: phones, people, a network and a server in one thread, all from one seed.

pub mod act;
pub mod aging;
pub mod backend;
pub mod bug;
pub mod cast;
pub mod check;
pub mod clock;
pub mod deed;
pub mod dice;
pub mod disk;
pub mod foreign;
pub mod history;
pub mod knobs;
pub mod network;
pub mod office;
pub mod phone;
pub mod plan;
pub mod promise;
pub mod queue;
pub mod run;
pub mod server;
pub mod shrink;
pub mod talk;
pub mod tally;
pub mod trace;
pub mod view;
