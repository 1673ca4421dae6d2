//! The edge against a real Postgres, over real HTTP.

mod bench;
mod cluster;
mod limits;
mod lists;
mod nodes;
mod permissions;
mod schema;
mod transport;
