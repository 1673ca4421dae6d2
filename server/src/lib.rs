//! The server: GraphQL for the office and its reports, sync for the field, over Postgres.

pub mod domain;
pub mod graphql;
pub mod store;
pub mod world;
