//! The server: GraphQL for the office and its reports, sync for the field, over Postgres.
//!
//! Start reading at [`cli`] (what a run does) and [`router`] (what a request does).

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod domain;
pub mod error;
pub mod graphql;
pub mod listener;
pub mod ops;
pub mod postgres;
pub mod restore;
pub mod router;
pub mod store;
pub mod sync;
pub mod world;

pub use cli::{run, run_with};

/// Of every program that serves, so that tests and benchmarks run what users do.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
