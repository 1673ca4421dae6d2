//! A small programme with people who can sign in.
//!
//! Ana visits the first two enterprises and Radu the third; Carmen coordinates. Everything happened by plain
//! inserts, as in an import: the triggers number it.

use server::app::App;
use server::auth::{NewAccount, Secret};
use server::store::{Db, Tx, rows};
use sync_protocol::code::{self, *};
use sync_protocol::entity::{
    Enterprise, Entity, EntityKind, Form, I18n, Programme, Question, ReportingPeriod, Row, ScopeGrant, User,
};
use sync_protocol::id::{EnterpriseId, FormId, ProgrammeId, QuestionId, ReportingPeriodId, ScopeGrantId, UserId};
use sync_protocol::time::{Date, Timestamp};
use uuid::Uuid;

use crate::sample::day;

/// The password of everyone.
pub const PASSWORD: &str = "correct horse battery";

/// The programme of [`load`].
pub const PROGRAMME: Uuid = Uuid::from_u128(0xa000);
/// A mentor with the grants on the first two enterprises.
pub const ANA: UserId = UserId(Uuid::from_u128(0xb001));
/// A mentor with the grant on the third enterprise.
pub const RADU: UserId = UserId(Uuid::from_u128(0xb002));
/// The coordinator.
pub const CARMEN: UserId = UserId(Uuid::from_u128(0xb003));
/// The monitoring officer, once [`load_officer`] has been called.
pub const OFFICER: UserId = UserId(Uuid::from_u128(0xb004));
/// The three enterprises.
pub const ENTERPRISES: [EnterpriseId; 3] = [
    EnterpriseId(Uuid::from_u128(0xc001)),
    EnterpriseId(Uuid::from_u128(0xc002)),
    EnterpriseId(Uuid::from_u128(0xc003)),
];
/// The form of visits.
pub const FORM: FormId = FormId(Uuid::from_u128(0xd001));
/// 2020-01-01, from when on the grants of [`load`] hold.
pub const GRANTED_FROM: Timestamp = Timestamp(1_577_836_800_000);

/// Returns the address that a person signs in with.
pub fn email(user: UserId) -> String {
    format!("{:x}@demo.test", user.0.as_u128())
}

/// Returns the grant of an enterprise to a mentor. One person and enterprise have one grant.
pub fn grant(user: UserId, enterprise: EnterpriseId) -> ScopeGrant {
    ScopeGrant {
        id: ScopeGrantId(Uuid::new_v5(&user.0, enterprise.0.as_bytes())),
        user_id: user,
        scope_kind: ScopeKind::Enterprise,
        scope_id: enterprise.0,
        role: Role::Mentor,
        valid_from_at: GRANTED_FROM,
        valid_until_at: None,
    }
}

/// Returns the rows of the programme.
pub fn all_rows() -> Vec<(EntityKind, Vec<Row>)> {
    let people = [user(ANA, Role::Mentor), user(RADU, Role::Mentor), user(CARMEN, Role::Coordinator)];
    let grants = [(ANA, 0), (ANA, 1), (RADU, 2), (CARMEN, 0)].map(|(user, at)| grant_of(user, ENTERPRISES[at]));
    let enterprises = [enterprise(0, ANA), enterprise(1, ANA), enterprise(2, RADU)];
    vec![untyped(&[programme()]), untyped(&people), untyped(&grants), untyped(&[form()]), untyped(&enterprises)]
}

fn untyped<T: Entity>(entities: &[T]) -> (EntityKind, Vec<Row>) {
    (T::DEF.kind, entities.iter().map(T::to_row).collect())
}

/// Writes the programme and makes its accounts.
pub async fn load(app: &App) {
    let mut tx = app.office.conn().await.unwrap().write_tx().await.unwrap();
    for (kind, rows) in all_rows() {
        rows::insert(&mut tx, PROGRAMME, kind, &rows.iter().collect::<Vec<_>>()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let accounts = [ANA, RADU, CARMEN].map(|user| NewAccount {
        user_id: user.0,
        programme_id: PROGRAMME,
        email: email(user),
        password: Secret::new(PASSWORD.to_owned()),
    });
    app.auth.ensure_accounts(&accounts).await.unwrap();
}

/// Adds the monitoring officer, who locks reporting periods.
pub async fn load_officer(app: &App) {
    import(&app.office, &[user(OFFICER, Role::MonitoringOfficer)]).await;
    let account = NewAccount {
        user_id: OFFICER.0,
        programme_id: PROGRAMME,
        email: email(OFFICER),
        password: Secret::new(PASSWORD.to_owned()),
    };
    app.auth.ensure_accounts(&[account]).await.unwrap();
}

/// Returns the one question of the form.
pub fn question() -> Question {
    Question {
        id: QuestionId(Uuid::from_u128(0xd101)),
        form_id: FORM,
        code: "G01".to_owned(),
        position: 1,
        text: text("Sediul este deschis?"),
        answer_type: AnswerType::Bool,
        options: Vec::new(),
        asked_if: None,
        repeat_over: None,
        is_required: true,
        min_value: None,
        max_value: None,
    }
}

/// Returns an open reporting period.
pub fn period(at: u128, from_on: Date, until_on: Date) -> ReportingPeriod {
    ReportingPeriod {
        id: ReportingPeriodId(Uuid::from_u128(0xe000 + at)),
        code: format!("T{at}"),
        from_on,
        until_on,
        due_on: None,
        state: PeriodState::Open,
        locked_by: None,
        locked_at: None,
        unlock_reason: None,
    }
}

/// Writes rows as an import does, in one transaction.
pub async fn import<T: Entity>(db: &Db, entities: &[T]) {
    let mut tx = db.conn().await.unwrap().write_tx().await.unwrap();
    insert(&mut tx, entities).await;
    tx.commit().await.unwrap();
}

async fn insert<T: Entity>(tx: &mut Tx, entities: &[T]) {
    let (kind, rows) = untyped(entities);
    rows::insert(tx, PROGRAMME, kind, &rows.iter().collect::<Vec<_>>()).await.unwrap();
}

/// The coordinator's role comes with the grant, or the device would not hold the enterprise.
fn grant_of(user: UserId, enterprise: EnterpriseId) -> ScopeGrant {
    let role = if user == CARMEN { Role::Coordinator } else { Role::Mentor };
    ScopeGrant { role, ..grant(user, enterprise) }
}

fn text(ro: &str) -> I18n {
    I18n { ro: ro.to_owned(), en: None, it: None }
}

/// Returns the programme's own row.
pub fn programme() -> Programme {
    Programme {
        id: ProgrammeId(PROGRAMME),
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
        total_budget_amount: "1000000".parse().unwrap(),
        eu_contribution_amount: "850000".parse().unwrap(),
        currency: "RON".to_owned(),
        lead_organisation: "Consorțiul Vest".to_owned(),
        status: ProgrammeStatus::Running,
    }
}

/// Returns a person who may sign in.
pub fn user(id: UserId, role: Role) -> User {
    User {
        id,
        display_name: format!("Om {:x}", id.0.as_u128()),
        email: email(id),
        role,
        organisation: None,
        locale: Locale::Ro,
        is_active: true,
    }
}

fn form() -> Form {
    Form {
        id: FORM,
        code: "VISIT_ROUTINE".to_owned(),
        version_no: 3,
        title: text("Vizită de rutină"),
        valid_from_on: day("2020-01-01"),
        valid_until_on: None,
    }
}

/// Returns an enterprise of a mentor.
pub fn enterprise(at: usize, mentor: UserId) -> Enterprise {
    Enterprise {
        id: ENTERPRISES[at],
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
        mentor_id: Some(mentor),
    }
}
