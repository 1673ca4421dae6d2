//! The headline records of the 75 participants. Identity is not part of the demo.

use sync_protocol::code::{
    County, EmploymentStatusAtEntry as AtEntry, ExitReason, IscedBand, ParticipationStatus as Status, Sex,
};
use sync_protocol::entity::Participation;

use super::calendar::{Calendar, START};
use super::dice::Dice;
use super::ids::Ids;
use super::tables::Tables;

const PARTICIPANTS: i32 = 75;
const GROUP_SIZE: i32 = 15;
const AT_ENTRY: &[(u32, AtEntry)] = &[
    (22, AtEntry::Unemployed),
    (23, AtEntry::LongTermUnemployed),
    (12, AtEntry::Inactive),
    (8, AtEntry::InactiveNotInEducation),
    (29, AtEntry::Employed),
    (6, AtEntry::SelfEmployed),
];

/// Adds the participants: five groups of fifteen, who enter one month after the other.
pub(super) fn add(ids: &Ids, calendar: &Calendar, dice: &mut Dice, tables: &mut Tables) {
    tables.participations = (0..PARTICIPANTS).map(|number| participation(ids, calendar, dice, number)).collect();
}

fn participation(ids: &Ids, calendar: &Calendar, dice: &mut Dice, number: i32) -> Participation {
    let group = number / GROUP_SIZE;
    let first_month = START + 2 + group / 2;
    let is_incomplete = dice.chance(30);
    let has_left_early = dice.chance(60);
    let exit_month = first_month + if has_left_early { 4 } else { 8 };
    Participation {
        id: ids.at(&format!("participant/{number:03}")),
        code: format!("PT-{:03}", number + 1),
        group_code: Some(format!("G{}", group + 1)),
        sex: Some(dice.weighted(&[(58, Sex::Female), (42, Sex::Male)])),
        // Two draws make the middle more likely: 19 to 61, 37 on average.
        age_at_entry: Some(19 + dice.between(0, 21) + dice.between(0, 15)),
        county: dice.weighted(&[
            (4, County::Arad),
            (5, County::CarasSeverin),
            (5, County::Hunedoara),
            (6, County::Timis),
        ]),
        is_rural: dice.chance(400),
        entry_on: calendar.working_day(first_month, dice.between(2, 26)),
        exit_on: Some(calendar.working_day(exit_month, dice.between(16, 26))),
        exit_reason: Some(if has_left_early {
            dice.weighted(&[(3, ExitReason::DroppedOut), (1, ExitReason::Moved)])
        } else {
            ExitReason::Completed
        }),
        status: Status::Closed,
        employment_status: Some(dice.weighted(AT_ENTRY)),
        isced_band: (!is_incomplete)
            .then(|| dice.weighted(&[(5, IscedBand::Lower), (65, IscedBand::Middle), (30, IscedBand::Tertiary)])),
        first_certificate_on: Some(calendar.working_day(first_month + 3, dice.between(3, 27))),
        second_certificate_on: (!has_left_early).then(|| calendar.working_day(exit_month, dice.between(2, 14))),
        is_complete: !is_incomplete,
    }
}
