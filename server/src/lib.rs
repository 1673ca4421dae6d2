//! The server: GraphQL for the office and its reports, sync for the field, over Postgres.

pub mod config;
pub mod postgres;
pub mod store;
pub mod world;
