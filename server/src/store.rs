//! Postgres: the only module with SQL, and the only one that knows diesel.

pub mod database;
pub mod migrate;
pub mod pool;
pub mod record;
pub mod sql;

mod error;

pub use error::StoreError;
pub use pool::{Conn, Db, Tx};
pub use record::Record;
pub use sql::{Bind, Sql};
