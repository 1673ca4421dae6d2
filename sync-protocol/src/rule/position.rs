//! Positions: the full-time equivalent (I19) and the lifecycle.

use rust_decimal::Decimal;

use super::state::Lifecycle;
use super::{RuleContext, Violation};
use crate::code::PositionStatus;
use crate::entity::Position;
use crate::message::MessageKey;

const LIFECYCLE: Lifecycle<PositionStatus> = {
    use PositionStatus::{Closed, Filled, Planned, Vacant};
    Lifecycle {
        first: &[Planned, Filled, Vacant],
        anyone: &[(Planned, Filled), (Filled, Vacant), (Vacant, Filled), (Vacant, Closed)],
        office: &[(Planned, Closed), (Closed, Vacant)],
    }
};

pub(super) fn check(before: Option<&Position>, after: &Position, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    LIFECYCLE.check(before.map(|row| row.status), after.status, cx, out);
    if after.fte <= Decimal::ZERO || after.fte > Decimal::ONE {
        out.push(Violation::hard("I19", "fte", MessageKey::FteOutOfRange).arg("limit", 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Related;
    use crate::rule::fixture;

    #[test]
    fn a_position_is_more_than_nothing_and_at_most_full_time() {
        for (hundredths, is_refused) in [(0, true), (-5, true), (1, false), (100, false), (101, true)] {
            let position = Position { fte: Decimal::new(hundredths, 2), ..fixture::position() };
            assert_eq!(!fixture::check_new(&position, &Related::new()).is_empty(), is_refused, "{hundredths}/100");
        }
    }

    #[test]
    fn states_move_along_the_table() {
        use PositionStatus::{Closed, Filled, Planned, Vacant};
        for (from, to, in_office, is_refused) in [
            (Planned, Filled, false, false),
            (Vacant, Filled, false, false),
            (Vacant, Closed, false, false),
            (Filled, Planned, true, true),
            (Closed, Vacant, false, true),
            (Closed, Vacant, true, false),
        ] {
            let before = Position { status: from, ..fixture::position() };
            let after = Position { status: to, ..fixture::position() };
            let found = fixture::check_change(&before, &after, in_office, &Related::new());
            assert_eq!(!found.is_empty(), is_refused, "{from} to {to}");
        }
    }
}
