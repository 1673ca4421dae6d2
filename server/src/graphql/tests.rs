//! The edge against a real Postgres, over real HTTP.

mod bench;
mod cluster;
mod limits;
mod lists;
mod mutations;
mod nodes;
mod permissions;
mod schema;
mod transport;
