//! The demo: a programme of the West region that is large enough to be real and the same on every run.
//!
//! [`generate`] makes rows and nothing else; whoever calls it stores them. Places and classifications are real,
//! people and enterprises are invented: names of enterprises end in "(demo)" and their fiscal codes fail the
//! control digit. The timeline is counted back from [`Plan::today`], so that there are always visits behind and
//! ahead of the person who tries it.

mod answers;
mod calendar;
mod classifications;
mod dice;
mod enterprises;
mod expected;
mod follow_up;
mod form;
mod ids;
mod jobs;
pub mod load;
mod months;
mod participants;
mod people;
mod places;
mod programme;
mod schedule;
mod staff;
mod tables;
mod texts;
mod trades;
mod visits;

#[cfg(test)]
mod tests;

pub use expected::{Counts, Expected};

use serde::Serialize;
use sync_protocol::code::Role;
use sync_protocol::entity::{Employment, EntityKind, Row};
use sync_protocol::id::{ProgrammeId, UserId};
use sync_protocol::time::Date;

use calendar::Calendar;
use dice::Dice;
use enterprises::Story;
use ids::Ids;
use tables::Tables;

/// The password of every demo account. It is shown at start-up: the demo protects nothing.
pub const DEMO_PASSWORD: &str = "teren-demo-2026";

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything but the dates.
    pub seed: u64,
    /// How many programmes, each with its own numbers.
    pub projects: u32,
    /// The day on which the demo is tried; moves every date, and no identifier.
    pub today: Date,
}

/// One programme with all its rows.
#[derive(Clone, Debug)]
pub struct DemoProgramme {
    /// The programme.
    pub programme_id: ProgrammeId,
    /// Every row, parents before children.
    pub rows: Vec<(EntityKind, Row)>,
    /// The accounts to sign in with, all with [`DEMO_PASSWORD`].
    pub accounts: Vec<DemoAccount>,
    /// The totals that queries must give.
    pub expected: Expected,
}

/// An account to sign in with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemoAccount {
    /// The user.
    pub user_id: UserId,
    /// The address to sign in with.
    pub email: String,
    /// The name shown to colleagues.
    pub display_name: String,
    /// What the person may do.
    pub role: Role,
}

/// Returns the programmes of a plan. Each is made when it is asked for, so that a thousand need no more memory
/// than one.
pub fn generate(plan: &Plan) -> impl Iterator<Item = DemoProgramme> + use<> {
    let Plan { seed, projects, today } = *plan;
    (0..projects).map(move |project| one(seed, project, today))
}

fn one(seed: u64, project: u32, today: Date) -> DemoProgramme {
    let ids = Ids::of(seed, project);
    let calendar = Calendar { today };
    let mut dice = Dice::of(seed, project);
    let mut tables = Tables::default();

    programme::add(&ids, &calendar, project, &mut tables);
    staff::add(&ids, &calendar, project, &mut tables);
    tables.codes = [places::codes(&ids), classifications::codes(&ids)].concat();
    form::add(&ids, &calendar, &mut tables);
    for story in enterprises::add(&ids, &calendar, &mut dice, &mut tables) {
        add_enterprise_records(&mut dice, &story, &mut tables);
    }
    participants::add(&ids, &calendar, &mut dice, &mut tables);

    let accounts = staff::accounts(&tables.users);
    let rows = tables.into_rows();
    let expected = expected::count(&rows, today);
    DemoProgramme { programme_id: ids.at("programme"), rows, accounts, expected }
}

fn add_enterprise_records(dice: &mut Dice, story: &Story, tables: &mut Tables) {
    let held = jobs::add(dice, story, tables);
    let employments: Vec<Employment> = held.iter().map(|(employment, _)| employment.clone()).collect();
    let made = visits::add(dice, story, &employments, tables);
    months::add(dice, story, &held, &made, tables);
}
