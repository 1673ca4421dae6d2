//! The typed areas of the client: what an application shows and records.
//!
//! `client.visits()`, `client.employments()` and the others are views without state. Each call that records
//! something checks the rules of the domain first and is durable when it returns; what the rules refuse comes
//! back as [`ApiErrorKind::Refused`](crate::error::ApiErrorKind::Refused) with a text in the person's language
//! for every field.

pub mod actions;
pub mod changes;
pub mod conflicts;
pub mod employments;
pub mod enterprises;
pub mod error;
pub mod job_status;
pub mod merges;
pub mod positions;
pub mod records;
pub mod visits;

mod rules;
mod write;

pub use records::{Record, Saved};
pub use rules::{Rules, Warning};

use crate::client::Client;

impl Client {
    /// Returns the enterprises that the person looks after.
    pub fn enterprises(&self) -> enterprises::Enterprises<'_> {
        enterprises::Enterprises(self)
    }

    /// Returns the jobs of the enterprises, filled or not.
    pub fn positions(&self) -> positions::Positions<'_> {
        positions::Positions(self)
    }

    /// Returns the job records.
    pub fn employments(&self) -> employments::Employments<'_> {
        employments::Employments(self)
    }

    /// Returns the months of the job records.
    pub fn job_status(&self) -> job_status::JobStatuses<'_> {
        job_status::JobStatuses(self)
    }

    /// Returns the visits.
    pub fn visits(&self) -> visits::Visits<'_> {
        visits::Visits(self)
    }

    /// Returns what has to be done after visits.
    pub fn actions(&self) -> actions::Actions<'_> {
        actions::Actions(self)
    }
}
