//! Running the server: what it logs, measures and answers about itself, and how it stops.

pub mod error_document;
pub mod health;
pub mod metrics;
pub mod observe;
pub mod request_id;
pub mod security_headers;
pub mod shutdown;
pub mod telemetry;
