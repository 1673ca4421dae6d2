//! When work was done, by the server's clock, and what becomes of work of which that cannot be told.
//!
//! A clock that is wrong by always the same does no harm: the device says what it shows now, and every instant is
//! corrected by the difference. Only a clock that was set between the capture and the sending leaves an instant that
//! cannot be: far in the future, or before the author was assigned to anything. Then the device's uptime counts, which
//! nobody can set; it tells how long ago the work was done, unless the device was started anew since. Where that says
//! nothing either, a person looks at the work. Instants never decide whose edit wins.

use sync_protocol::field::Origin;
use sync_protocol::mutation::Mutation;
use sync_protocol::time::Timestamp;

use super::{Hold, Source, Verdict};

/// How long a request may have been under way on a slow network.
const UPLOAD_DOUBT_MS: i64 = 120_000;
/// By how much an instant may miss what is possible. Clocks that are off by less are not worth a person's time.
const TOLERANCE_MS: i64 = DAY_MS;
const DAY_MS: i64 = 86_400_000;

impl Source<'_> {
    /// Returns the instant of capture by the server's clock, never in the future: what was allowed then is allowed now.
    /// `None` when nothing that the device says of it can be true.
    pub(super) fn captured_at(&self, mutation: &Mutation) -> Option<Timestamp> {
        let told = [Some(self.by_wall_clock(mutation)), self.by_uptime(mutation), self.corrected_at];
        let possible = told.into_iter().flatten().find(|at| self.is_possible(*at));
        possible.map(|at| at.min(self.received_at))
    }

    /// Keeps field work that nobody can date until a person has looked at it.
    pub(super) fn doubt(&self, mutation: &Mutation) -> Option<Verdict> {
        let is_field_work = !self.is_office() && mutation.kind.def().origin != Origin::Server;
        if !is_field_work || self.approval.is_some() || self.captured_at(mutation).is_some() {
            return None;
        }
        let off_ms = (self.received_at.0 - self.by_wall_clock(mutation).0).abs();
        let arg = Some(("offset", format!("{} d", off_ms / DAY_MS)));
        Some(Verdict::Held(Hold { code: "HELD_CLOCK_IMPLAUSIBLE", waits_for: None, arg }))
    }

    /// A clock that seems to be a little behind may be a right one whose request was long under way. Its word counts:
    /// else the last work before a handover would be taken for work after it.
    fn by_wall_clock(&self, mutation: &Mutation) -> Timestamp {
        let is_in_doubt = (0..=UPLOAD_DOUBT_MS).contains(&self.clock_offset_ms);
        let offset_ms = if is_in_doubt { 0 } else { self.clock_offset_ms };
        Timestamp(mutation.captured_at.0.saturating_add(offset_ms))
    }

    fn by_uptime(&self, mutation: &Mutation) -> Option<Timestamp> {
        let ago_ms = i64::try_from(self.uptime_ms?.checked_sub(mutation.uptime_ms)?).ok()?;
        Some(Timestamp(self.received_at.0.saturating_sub(ago_ms)))
    }

    fn is_possible(&self, at: Timestamp) -> bool {
        let assigned_at = self.viewer.grants.iter().map(|grant| grant.valid_from_at).min();
        let is_past = at.0.saturating_sub(self.received_at.0) <= TOLERANCE_MS;
        is_past && assigned_at.is_none_or(|from| from.0.saturating_sub(at.0) <= TOLERANCE_MS)
    }
}
