//! Who takes part in a history: programmes, people, enterprises, permissions and phones.

use sync_protocol::code::{self, *};
use sync_protocol::entity::{Enterprise, Entity, EntityKind, Form, I18n, Programme, Row, ScopeGrant, User};
use sync_protocol::id::{EnterpriseId, FormId, ProgrammeId, ScopeGrantId, UserId};
use uuid::Uuid;

use super::clock::START;
use super::dice::Dice;
use crate::sample::day;

/// How many phones take part: seldom many, for each of them takes time.
const PHONES: [usize; 12] = [2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8];

/// The people and things of a history.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The programmes.
    pub programmes: Vec<ProgrammeCast>,
    /// The phones, those that are made later as copies of others included.
    pub phones: Vec<PhoneCast>,
}

/// One programme.
#[derive(Clone, Debug)]
pub struct ProgrammeCast {
    /// Its identifier.
    pub id: Uuid,
    /// The mentors.
    pub mentors: Vec<Uuid>,
    /// The person in the office.
    pub officer: Uuid,
    /// Who administers users.
    pub admin: Uuid,
    /// The enterprises.
    pub enterprises: Vec<Uuid>,
    /// Which mentor works for which enterprise at the start.
    pub grants: Vec<(Uuid, Uuid)>,
}

/// One phone.
#[derive(Clone, Copy, Debug)]
pub struct PhoneCast {
    /// The programme, by its place in the cast.
    pub programme: usize,
    /// Who works on it.
    pub user: Uuid,
    /// Whether it stays connected and waits for news; otherwise someone has to open the application.
    pub is_connected: bool,
    /// Whether the application checks the rules before it records.
    pub has_rules: bool,
    /// Whether the application is another one, which speaks the protocol by itself.
    pub is_foreign: bool,
}

impl Cast {
    /// Draws the cast of a history.
    pub fn draw(dice: &mut Dice) -> Self {
        let programmes: Vec<ProgrammeCast> = (0..[1, 1, 2, 3][dice.below(4)]).map(|at| programme(at, dice)).collect();
        let phones = (0..PHONES[dice.below(PHONES.len())]).map(|at| phone(at, &programmes, dice)).collect();
        Self { programmes, phones }
    }

    /// Returns every row that a programme starts with, parents first.
    pub fn rows(&self, programme: usize) -> Vec<(EntityKind, Row)> {
        let cast = &self.programmes[programme];
        let mut rows = vec![entry(&the_programme(cast.id)), entry(&form(cast.id))];
        rows.extend(cast.mentors.iter().map(|id| entry(&user(*id, Role::Mentor))));
        rows.push(entry(&user(cast.officer, Role::Coordinator)));
        rows.push(entry(&user(cast.admin, Role::Admin)));
        rows.extend(cast.enterprises.iter().enumerate().map(|(at, id)| entry(&enterprise(*id, at))));
        rows.extend(cast.grants.iter().map(|(user, enterprise)| entry(&grant(*user, *enterprise))));
        rows
    }
}

fn entry<T: Entity>(entity: &T) -> (EntityKind, Row) {
    (T::DEF.kind, entity.to_row())
}

fn programme(at: usize, dice: &mut Dice) -> ProgrammeCast {
    let id = |sort: u128, n: usize| Uuid::from_u128(((at as u128 + 1) << 32) | (sort << 16) | (n as u128 + 1));
    let mentors: Vec<Uuid> = (0..dice.between(1, 4) as usize).map(|n| id(0xb, n)).collect();
    let enterprises: Vec<Uuid> = (0..dice.between(2, 4) as usize).map(|n| id(0xc, n)).collect();
    let mut grants = Vec::new();
    for mentor in &mentors {
        for (at, enterprise) in enterprises.iter().enumerate() {
            // Everyone works for the first one, so that people meet.
            if at == 0 || dice.per_mille(500) {
                grants.push((*mentor, *enterprise));
            }
        }
    }
    ProgrammeCast { id: id(0xa, 0), mentors, officer: id(0xd, 0), admin: id(0xd, 1), enterprises, grants }
}

fn phone(at: usize, programmes: &[ProgrammeCast], dice: &mut Dice) -> PhoneCast {
    // The first two phones meet in one programme.
    let programme = if at < 2 { 0 } else { dice.below(programmes.len()) };
    let mentors = &programmes[programme].mentors;
    PhoneCast {
        programme,
        user: mentors[dice.below(mentors.len())],
        is_connected: dice.per_mille(300),
        has_rules: dice.per_mille(500),
        is_foreign: false,
    }
}

fn text(ro: &str) -> I18n {
    I18n { ro: ro.to_owned(), en: None, it: None }
}

fn the_programme(id: Uuid) -> Programme {
    Programme {
        id: ProgrammeId(id),
        code: "WEST-SE".to_owned(),
        title: text("Economie socială în Vest"),
        objective: text("Locuri de muncă"),
        fund: Fund::EsfPlus,
        regulation_set: RegulationSet::EsfPlus2021,
        smis_code: None,
        nuts2: "RO42".to_owned(),
        starts_on: day("2020-01-01"),
        ends_on: day("2030-12-31"),
        sustainability_ends_on: None,
        total_budget_amount: "1000000".parse().expect("a number"),
        eu_contribution_amount: "850000".parse().expect("a number"),
        currency: "RON".to_owned(),
        lead_organisation: "Consorțiul Vest".to_owned(),
        status: ProgrammeStatus::Running,
    }
}

fn form(programme: Uuid) -> Form {
    Form {
        id: FormId(Uuid::new_v5(&programme, b"form")),
        code: "VISIT_ROUTINE".to_owned(),
        version_no: 1,
        title: text("Vizită de rutină"),
        valid_from_on: day("2020-01-01"),
        valid_until_on: None,
    }
}

fn user(id: Uuid, role: Role) -> User {
    User {
        id: UserId(id),
        display_name: format!("Om {:x}", id.as_u128()),
        email: format!("{:x}@demo.test", id.as_u128()),
        role,
        organisation: None,
        locale: Locale::Ro,
        is_active: true,
    }
}

fn enterprise(id: Uuid, at: usize) -> Enterprise {
    Enterprise {
        id: EnterpriseId(id),
        code: format!("ENT-{:03}", at + 1),
        name: format!("Brutăria {} (demo)", at + 1),
        legal_form: LegalForm::Srl,
        kind: code::EnterpriseKind::Wise,
        cui: None,
        registered_on: None,
        nace_code: "1071".to_owned(),
        county: County::Timis,
        siruta_code: "155243".to_owned(),
        locality_name: "Timișoara".to_owned(),
        status: EnterpriseStatus::Operating,
        social_mission: "Locuri de muncă".to_owned(),
        representative_name: "Ioana Pop".to_owned(),
        mentor_id: None,
    }
}

/// Returns the permission of a mentor on an enterprise since long ago. One person and enterprise have one.
pub fn grant(user: Uuid, enterprise: Uuid) -> ScopeGrant {
    ScopeGrant {
        id: ScopeGrantId(Uuid::new_v5(&user, enterprise.as_bytes())),
        user_id: UserId(user),
        scope_kind: ScopeKind::Enterprise,
        scope_id: enterprise,
        role: Role::Mentor,
        valid_from_at: START.plus_ms(-400 * 86_400_000),
        valid_until_at: None,
    }
}
