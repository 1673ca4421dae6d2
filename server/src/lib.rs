//! The server: GraphQL for the office and its reports, sync for the field, over Postgres.

pub mod demo;
pub mod store;
pub mod world;
