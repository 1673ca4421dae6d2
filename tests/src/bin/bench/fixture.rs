//! The rows that are measured: follow-up actions, 15 columns and about 600 bytes each, in the words of the demo.

use std::collections::HashMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use server::demo::{self, Plan};
use sync_protocol::code::{
    self, ActionStatus, County, EnterpriseStatus, Fund, LegalForm, Locale, Priority, ProgrammeStatus, RegulationSet,
    Responsible, Role, ScopeKind, VisitKind, VisitMode, VisitStatus,
};
use sync_protocol::entity::{
    Enterprise, Entity, EntityKind, FollowUpAction, I18n, Programme, Row, ScopeGrant, User, Visit,
};
use sync_protocol::id::{EnterpriseId, FollowUpActionId, ProgrammeId, ScopeGrantId, UserId, VisitId};
use sync_protocol::time::{Date, Timestamp};
use uuid::Uuid;

/// The visits of an enterprise, among which its actions are spread.
const VISITS: usize = 40;
/// The programme's first instant: permissions hold from here on.
const START: Timestamp = Timestamp(1_600_000_000_000);

/// A mentor with one enterprise and its actions.
pub(crate) struct Mentor {
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) enterprise: EnterpriseId,
    pub(crate) visits: Vec<VisitId>,
}

/// The programme of the bench.
pub(crate) struct Fixture {
    pub(crate) programme: ProgrammeId,
    words: Words,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { programme: ProgrammeId(id(&["programme"])), words: Words::of_the_demo() }
    }

    /// Returns the programme's own row.
    pub(crate) fn programme_row(&self) -> Row {
        let text = |text: &str| I18n { ro: text.to_owned(), en: None, it: None };
        Programme {
            id: self.programme,
            code: "BENCH".to_owned(),
            title: text("Programul de măsurat"),
            objective: text("Măsurători"),
            fund: Fund::EsfPlus,
            regulation_set: RegulationSet::EsfPlus2021,
            smis_code: None,
            nuts2: "RO42".to_owned(),
            starts_on: START.date(),
            ends_on: START.date().plus_months(120),
            sustainability_ends_on: None,
            total_budget_amount: 1_000_000.into(),
            eu_contribution_amount: 850_000.into(),
            currency: "EUR".to_owned(),
            lead_organisation: "Organizația de probă".to_owned(),
            status: ProgrammeStatus::Running,
        }
        .to_row()
    }

    /// Returns the mentor number `n`.
    pub(crate) fn mentor_of(n: usize) -> Mentor {
        let name = n.to_string();
        Mentor {
            user: UserId(id(&["user", &name])),
            email: format!("mentor{n}@example.org"),
            enterprise: EnterpriseId(id(&["enterprise", &name])),
            visits: (0..VISITS).map(|v| VisitId(id(&["visit", &name, &v.to_string()]))).collect(),
        }
    }

    /// Returns the rows that a mentor needs before any action: the person, the permission, enterprise and visits.
    pub(crate) fn mentor_rows(&self, n: usize) -> Vec<(EntityKind, Row)> {
        let mentor = Self::mentor_of(n);
        let mut rows = vec![user(&mentor, n), grant(&mentor, n), enterprise(&mentor, n)];
        rows.extend(mentor.visits.iter().map(|visit| self.visit(&mentor, *visit)));
        rows
    }

    /// Returns the rows of a coordinator, who sees every enterprise.
    pub(crate) fn coordinator_rows(&self, n: usize) -> Vec<(EntityKind, Row)> {
        let mentor = Self::mentor_of(n);
        let (kind, mut row) = user(&mentor, n);
        if let Some(at) = kind.def().position("role") {
            row.values[at] = sync_protocol::value::Value::Text(Role::Coordinator.code().to_owned());
        }
        vec![(kind, row)]
    }

    fn visit(&self, mentor: &Mentor, id: VisitId) -> (EntityKind, Row) {
        let start = START.plus_ms(86_400_000);
        let visit = Visit {
            id,
            enterprise_id: mentor.enterprise,
            mentor_id: mentor.user,
            kind: VisitKind::Routine,
            mode: VisitMode::OnSite,
            purpose: Some("Vizită lunară".to_owned()),
            planned_start_at: Some(start),
            planned_end_at: None,
            actual_start_at: Some(start),
            actual_end_at: Some(start.plus_ms(7_200_000)),
            form_id: None,
            status: VisitStatus::Submitted,
            arrival_place: None,
            gps_exception_reason: Some("Fără semnal".to_owned()),
            summary: None,
            risk_rating: None,
            next_visit_on: None,
            travel_km: None,
            signer_name: None,
            signer_role: None,
            signed_at: None,
            signed_content_hash: None,
            signature_refusal_note: Some("Nu a fost prezent".to_owned()),
            return_reason: None,
            validated_by: None,
            validated_at: None,
        };
        (EntityKind::Visit, visit.to_row())
    }

    /// Returns `count` actions of a mentor from number `from` on; the same numbers give the same rows.
    pub(crate) fn actions(&self, mentor: &Mentor, from: usize, count: usize) -> Vec<Row> {
        (from..from + count).map(|n| self.action(mentor, n)).collect()
    }

    fn action(&self, mentor: &Mentor, n: usize) -> Row {
        let mut dice = ChaCha8Rng::seed_from_u64(n as u64 ^ mentor.enterprise.0.as_u128() as u64);
        let row_id = random_v7(&mut dice, n);
        FollowUpAction {
            id: FollowUpActionId(row_id),
            enterprise_id: mentor.enterprise,
            visit_id: mentor.visits[dice.random_range(0..VISITS)],
            finding_id: None,
            text: self.words.sentence(&mut dice, 370),
            responsible: Responsible::ALL[dice.random_range(0..Responsible::ALL.len())],
            responsible_name: Some(NAMES[dice.random_range(0..NAMES.len())].to_owned()),
            owner_id: Some(mentor.user),
            priority: Priority::ALL[dice.random_range(0..Priority::ALL.len())],
            due_on: START.date().plus_days(dice.random_range(30..900)),
            status: ActionStatus::Open,
            done_on: None,
            verified_in_visit_id: None,
            status_note: Some(self.words.sentence(&mut dice, 125)),
            cancel_reason: None,
        }
        .to_row()
    }
}

const NAMES: [&str; 8] = [
    "Rodica Ardelean",
    "Vasile Crișan",
    "Ildikó Szabó",
    "Gheorghe Țăran",
    "Mihaela Drăgan",
    "Sorin Berceanu",
    "Lavinia Miclea",
    "Petru Jurca",
];

/// A version 7 identifier as phones make them: 74 random bits.
fn random_v7(dice: &mut ChaCha8Rng, n: usize) -> Uuid {
    let at_ms = 1_700_000_000_000 + n as u64 * 37;
    uuid::Builder::from_unix_timestamp_millis(at_ms, &dice.random::<[u8; 10]>()).into_uuid()
}

fn id(path: &[&str]) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("bench/{}", path.join("/")).as_bytes())
}

fn user(mentor: &Mentor, n: usize) -> (EntityKind, Row) {
    let user = User {
        id: mentor.user,
        display_name: format!("Mentorul {n}"),
        email: mentor.email.clone(),
        role: Role::Mentor,
        organisation: None,
        locale: Locale::Ro,
        is_active: true,
    };
    (EntityKind::User, user.to_row())
}

fn grant(mentor: &Mentor, n: usize) -> (EntityKind, Row) {
    let grant = ScopeGrant {
        id: ScopeGrantId(id(&["grant", &n.to_string()])),
        user_id: mentor.user,
        scope_kind: ScopeKind::Enterprise,
        scope_id: mentor.enterprise.0,
        role: Role::Mentor,
        valid_from_at: START,
        valid_until_at: None,
    };
    (EntityKind::ScopeGrant, grant.to_row())
}

fn enterprise(mentor: &Mentor, n: usize) -> (EntityKind, Row) {
    let enterprise = Enterprise {
        id: mentor.enterprise,
        code: format!("ENT-{n:03}"),
        name: format!("Atelierul {n} SRL — Întreprindere Socială"),
        legal_form: LegalForm::Srl,
        kind: code::EnterpriseKind::SocialEnterprise,
        cui: None,
        registered_on: Some(START.date()),
        nace_code: "1623".to_owned(),
        county: County::Timis,
        siruta_code: "155252".to_owned(),
        locality_name: "Timișoara".to_owned(),
        status: EnterpriseStatus::Operating,
        social_mission: "Locuri de muncă".to_owned(),
        representative_name: "Rodica Ardelean".to_owned(),
        mentor_id: Some(mentor.user),
    };
    (EntityKind::Enterprise, enterprise.to_row())
}

/// Text with the phrases of the demo: each word follows the one before it as it does there, or a random one follows.
struct Words {
    followers: HashMap<String, Vec<String>>,
    all: Vec<String>,
}

impl Words {
    fn of_the_demo() -> Self {
        let plan = Plan { seed: 1, projects: 1, today: Date(20_000) };
        let mut words = Self { followers: HashMap::new(), all: Vec::new() };
        for (kind, row) in demo::generate(&plan).flat_map(|programme| programme.rows) {
            for (field, value) in kind.def().fields.iter().zip(&row.values) {
                if field.max_chars >= 500
                    && let Some(text) = value.as_text()
                {
                    words.learn(text);
                }
            }
        }
        words
    }

    fn learn(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        self.all.extend(words.iter().map(|word| (*word).to_owned()));
        for pair in words.windows(2) {
            self.followers.entry(pair[0].to_owned()).or_default().push(pair[1].to_owned());
        }
    }

    fn sentence(&self, dice: &mut ChaCha8Rng, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 20);
        let mut word = &self.all[dice.random_range(0..self.all.len())];
        while text.len() < bytes {
            text.push_str(word);
            text.push(' ');
            if dice.random_bool(0.04) {
                text.push_str(&dice.random_range(10..9_999).to_string());
                text.push(' ');
            }
            word = match self.followers.get(word) {
                Some(next) if dice.random_bool(0.7) => &next[dice.random_range(0..next.len())],
                _ => &self.all[dice.random_range(0..self.all.len())],
            };
        }
        text.trim_end().to_owned()
    }
}

/// Returns the bytes of a row's values, as they stand in a table.
pub(crate) fn row_bytes(row: &Row) -> usize {
    use sync_protocol::value::Value;
    let of = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Date(_) => 4,
        Value::Timestamp(_) => 8,
        Value::Uuid(_) => 16,
        Value::Decimal(number) => number.to_string().len(),
        Value::Text(text) | Value::Json(text) => text.len(),
    };
    16 + row.values.iter().map(of).sum::<usize>()
}
