//! Postgres: the only module with SQL, and the only one that knows diesel.

pub mod accounts;
pub mod database;
pub mod log;
pub mod migrate;
pub mod mutations;
pub mod pool;
pub mod record;
pub mod rows;
pub mod sql;

mod error;
