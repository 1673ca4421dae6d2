//! The 21 enterprises, each with its site, its mentor and its story.

use sync_protocol::code::County::{self, Arad, CarasSeverin, Hunedoara, Timis};
use sync_protocol::code::{EnterpriseKind, EnterpriseStatus, LegalForm, SitePurpose};
use sync_protocol::entity::{Enterprise, Place, Site};
use sync_protocol::id::{EnterpriseId, UserId};

use super::calendar::{Calendar, LAST_MONTH};
use super::dice::Dice;
use super::ids::Ids;
use super::people;
use super::places::{self, Locality};
use super::staff;
use super::tables::Tables;
use super::trades::{TRADES, Trade};

/// What an enterprise goes through, with the months counted from the month of the demo.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) ids: Ids,
    pub(super) calendar: Calendar,
    pub(super) id: EnterpriseId,
    /// The path of its identifiers, such as `enterprise/012`.
    pub(super) path: String,
    pub(super) number: usize,
    pub(super) trade: &'static Trade,
    pub(super) locality: &'static Locality,
    pub(super) representative: String,
    pub(super) registered_month: i32,
    /// The last month with visits.
    pub(super) last_month: i32,
    pub(super) status: EnterpriseStatus,
    pub(super) mentor: UserId,
    /// The mentor before, and the month in which the present one took over.
    pub(super) handover: Option<(UserId, i32)>,
}

impl Story {
    /// Returns the mentor of a month.
    pub(super) fn mentor_in(&self, month: i32) -> UserId {
        match self.handover {
            Some((before, from_month)) if month < from_month => before,
            _ => self.mentor,
        }
    }

    /// Returns whether visits go on.
    pub(super) fn is_visited(&self) -> bool {
        self.status == EnterpriseStatus::Operating
    }
}

/// County and mentor of each enterprise. Mentors drive within one county, the neighbours at most.
#[rustfmt::skip]
const PLAN: [(County, usize); 21] = [
    (CarasSeverin, 0), (CarasSeverin, 0), (CarasSeverin, 0), (CarasSeverin, 1), (CarasSeverin, 1),
    (Arad, 1), (Arad, 2), (Arad, 2), (Arad, 2), (Arad, 2),
    (Timis, 3), (CarasSeverin, 0), (Timis, 3), (Timis, 3), (Timis, 4), (Timis, 4),
    (Hunedoara, 4), (Hunedoara, 5), (Hunedoara, 5), (Hunedoara, 5), (Hunedoara, 5),
];
const SUSPENDED: usize = 9;
const HANDED_OVER: usize = 12;
const TERMINATED: usize = 15;
/// Came from the reserve list after a winner had withdrawn.
pub(super) const REPLACEMENT: usize = 21;

/// Adds the enterprises with their sites and the grants of their mentors; returns their stories.
pub(super) fn add(ids: &Ids, calendar: &Calendar, dice: &mut Dice, tables: &mut Tables) -> Vec<Story> {
    let trades: Vec<&'static Trade> = dice.shuffled(&TRADES.iter().collect::<Vec<_>>());
    let stories: Vec<Story> =
        trades.iter().enumerate().map(|(at, trade)| story(ids, calendar, dice, at + 1, trade)).collect();
    for story in &stories {
        staff::assign(story, tables);
        tables.enterprises.push(enterprise(dice, story));
        tables.sites.push(site(dice, story));
    }
    stories
}

fn story(ids: &Ids, calendar: &Calendar, dice: &mut Dice, number: usize, trade: &'static Trade) -> Story {
    let (county, mentor) = PLAN[number - 1];
    let path = format!("enterprise/{number:03}");
    let (status, last_month) = match number {
        SUSPENDED => (EnterpriseStatus::Suspended, -4),
        TERMINATED => (EnterpriseStatus::Terminated, -7),
        _ => (EnterpriseStatus::Operating, LAST_MONTH),
    };
    Story {
        ids: *ids,
        calendar: *calendar,
        id: ids.at(&path),
        path,
        number,
        trade,
        locality: locality(dice, number, county),
        representative: people::name(dice),
        registered_month: if number == REPLACEMENT { -11 } else { -dice.between(16, 20) },
        last_month,
        status,
        mentor: staff::mentor(ids, mentor),
        handover: (number == HANDED_OVER).then(|| (staff::mentor(ids, 1), -5)),
    }
}

/// Two villages without signal have a fixed place in the stories that the demo tells.
fn locality(dice: &mut Dice, number: usize, county: County) -> &'static Locality {
    let drawn = places::any_in(county, dice);
    let fixed = match number {
        1 => places::by_siruta("51582"),
        HANDED_OVER => places::by_siruta("53817"),
        _ => None,
    };
    fixed.unwrap_or(drawn)
}

fn enterprise(dice: &mut Dice, story: &Story) -> Enterprise {
    Enterprise {
        id: story.id,
        code: format!("ENT-{:03}", story.number),
        name: name(story),
        legal_form: story.trade.legal_form,
        kind: if story.trade.is_wise { EnterpriseKind::Wise } else { EnterpriseKind::SocialEnterprise },
        cui: Some(people::invalid_cui(dice, story.number)),
        registered_on: Some(story.calendar.working_day(story.registered_month, dice.between(3, 25))),
        nace_code: story.trade.nace.to_owned(),
        county: story.locality.county,
        siruta_code: story.locality.siruta.to_owned(),
        locality_name: story.locality.name.to_owned(),
        status: story.status,
        social_mission: story.trade.mission.replace("{loc}", story.locality.name),
        representative_name: story.representative.clone(),
        mentor_id: Some(story.mentor),
    }
}

/// Returns a name that nobody takes for a real company's.
fn name(story: &Story) -> String {
    let landscapes = match story.locality.county {
        Arad => ["Zarand", "Crișul Alb", "Podgoria", "Codru", "Mureș"],
        Hunedoara => ["Retezat", "Strei", "Jiu", "Poiana", "Țara Hațegului"],
        Timis => ["Bega", "Timiș", "Aranca", "Poiana Ruscă", "Bârzava"],
        CarasSeverin | County::Unknown => ["Almăj", "Cerna", "Nera", "Semenic", "Caraș"],
    };
    let form = match story.trade.legal_form {
        LegalForm::Srl => " SRL",
        LegalForm::Association => " Asociație",
        LegalForm::Foundation => " Fundație",
        LegalForm::Cooperative => " Societate Cooperativă",
        _ => "",
    };
    format!("{} {}{form} — Întreprindere Socială (demo)", story.trade.name, landscapes[story.number % 5])
}

fn site(dice: &mut Dice, story: &Story) -> Site {
    const STREETS: [&str; 8] = [
        "Strada Principală",
        "Strada Morii",
        "Strada Școlii",
        "Strada Gării",
        "Strada Bisericii",
        "Strada Izvorului",
        "Strada Teilor",
        "Ulița Mare",
    ];
    Site {
        id: story.ids.at(&format!("{}/site/1", story.path)),
        enterprise_id: story.id,
        purpose: SitePurpose::Workplace,
        county: story.locality.county,
        siruta_code: story.locality.siruta.to_owned(),
        locality_name: story.locality.name.to_owned(),
        address: Some(format!("{} nr. {}", dice.pick(&STREETS), dice.between(1, 240))),
        place: Some(near(dice, story.locality, None)),
        is_rural: story.locality.is_rural,
    }
}

/// Returns a point within about 300 metres of the middle of the locality.
pub(super) fn near(dice: &mut Dice, locality: &Locality, accuracy_m: Option<f64>) -> Place {
    let offset = |dice: &mut Dice| f64::from(dice.between(-27, 27)) / 10_000.0;
    let rounded = |degrees: f64| (degrees * 1e5).round() / 1e5;
    Place {
        latitude: rounded(locality.latitude + offset(dice)),
        longitude: rounded(locality.longitude + offset(dice)),
        accuracy_m,
        fixed_at: None,
        is_mock: false,
    }
}
