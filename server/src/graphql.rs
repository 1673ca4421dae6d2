//! The GraphQL edge: the only module that knows async-graphql.
//!
//! The library parses, validates and introspects. Reading is ours: [`plan`] resolves what is selected, [`execute`]
//! reads it level by level. Types come from the field tables by way of [`catalog`].

mod arguments;
mod catalog;
mod context;
mod cursor;
mod error;
mod execute;
mod filter;
mod fleet;
mod http;
mod limits;
mod mutation;
mod paging;
mod plan;
mod prescan;
mod roots;
mod schema;
mod types;

#[cfg(test)]
mod tests;

pub use http::{AuthFailure, Authenticate, Block, BlockDevice, Caller, GraphqlState, routes};
pub use schema::sdl;
