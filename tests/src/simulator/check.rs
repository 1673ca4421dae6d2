//! What must hold in every history. Each check knows what people did and decided, and nothing of how the code under
//! test works; the mistakes of [`Bug`](super::bug::Bug) prove that each of them can fail.

mod conflict;
mod cursor;
mod equal;
mod erased;
mod lively;
mod loss;
mod merged;
mod once;
mod scope;
mod whole;

use std::fmt;

use sync_protocol::entity::EntityKind;
use sync_protocol::value::Value;

use super::history::History;

pub use cursor::promised;
pub use lively::drained;
pub use scope::delivered;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of what was promised.
    pub invariant: &'static str,
    /// What was found instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Checks everything that holds once nothing happens any more.
pub fn at_rest(history: &mut History<'_>) {
    let fates = loss::Fates::read(history);
    let mut found = Vec::new();
    loss::check(history, &fates, &mut found);
    once::check(history, &fates, &mut found);
    whole::check(history, &fates, &mut found);
    conflict::check(history, &fates, &mut found);
    merged::check(history, &fates, &mut found);
    erased::check(history, &mut found);
    equal::check(history, &mut found);
    clocks(history, &mut found);
    history.violations.extend(found);
}

/// No wrong clock of a phone has found its way into what the server says of time.
fn clocks(history: &History<'_>, found: &mut Vec<Violation>) {
    let now = history.now();
    for programme in 0..history.plan.cast.programmes.len() {
        let noticed = [
            (EntityKind::Conflict, "detected_at"),
            (EntityKind::HeldItem, "held_at"),
            (EntityKind::MergeProposal, "detected_at"),
        ];
        for (kind, field) in noticed {
            for (row, _) in history.server.rows(programme, kind) {
                if let Value::Timestamp(at) = row.get(kind.def(), field)
                    && *at > now
                {
                    let what = format!("{} {} is from the future: {at}", kind.def().name, row.id);
                    found.push(Violation { invariant: "clock", what });
                }
            }
        }
        for kept in history.server.kept(programme).iter().filter(|kept| kept.received_at > now) {
            let what = format!("mutation {:?} was received in the future", kept.identity);
            found.push(Violation { invariant: "clock", what });
        }
    }
}
