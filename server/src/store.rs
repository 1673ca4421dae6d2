//! Postgres: the only module with SQL, and the only one that knows diesel.

pub mod accounts;
pub mod database;
pub mod epochs;
mod erasing;
pub mod fleet;
pub mod log;
pub mod migrate;
pub mod mutations;
pub mod office;
pub mod pool;
pub mod pruning;
pub mod query;
pub mod record;
pub mod row_history;
pub mod rows;
pub mod sql;
pub mod synced;

mod error;

pub use error::StoreError;
pub use pool::{Conn, Db, PoolMeters, Tx};
pub use record::Record;
pub use sql::{Bind, Sql};
pub use synced::{LogSnapshot, SyncStore, WriteTx};
