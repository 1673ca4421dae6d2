//! The people who sign in: six mentors and the office.

use sync_protocol::code::{Locale, Role, ScopeKind};
use sync_protocol::entity::{OFFICE_SCOPE, ScopeGrant, User};
use sync_protocol::id::{ProgrammeId, UserId};
use sync_protocol::time::{Date, Timestamp};
use uuid::Uuid;

use super::DemoAccount;
use super::calendar::{Calendar, START};
use super::enterprises::Story;
use super::ids::Ids;
use super::tables::Tables;

/// How many mentors a programme has.
pub(super) const MENTORS: usize = 6;

/// Login, display name, role, language.
const STAFF: [(&str, &str, Role, Locale); 12] = [
    ("ana.mentor", "Ana Berceanu", Role::Mentor, Locale::Ro),
    ("mihai.mentor", "Mihai Ardelean", Role::Mentor, Locale::Ro),
    ("ildiko.mentor", "Ildikó Szabó", Role::Mentor, Locale::Ro),
    ("traian.mentor", "Traian Jurca", Role::Mentor, Locale::Ro),
    ("lavinia.mentor", "Lavinia Țăran", Role::Mentor, Locale::Ro),
    ("hans.mentor", "Hans Wagner", Role::Mentor, Locale::En),
    ("elena.coordinator", "Elena Crișan", Role::Coordinator, Locale::Ro),
    ("razvan.monitoring", "Răzvan Moldovan", Role::MonitoringOfficer, Locale::Ro),
    ("bianca.training", "Bianca Lungu", Role::TrainingOfficer, Locale::Ro),
    ("giulia.analyst", "Giulia Horvat", Role::Analyst, Locale::It),
    ("petru.auditor", "Petru Neagu", Role::Auditor, Locale::En),
    ("simona.admin", "Simona Sârbu", Role::Admin, Locale::Ro),
];

/// Returns the identifier of the mentor with this number, counted from 0.
pub(super) fn mentor(ids: &Ids, number: usize) -> UserId {
    ids.at(&format!("user/{}", STAFF[number % MENTORS].0))
}

/// Returns the identifier of the coordinator, who validates visits.
pub(super) fn coordinator(ids: &Ids) -> UserId {
    ids.at("user/elena.coordinator")
}

/// Returns the identifier of the monitoring officer, who verifies job records.
pub(super) fn monitoring_officer(ids: &Ids) -> UserId {
    ids.at("user/razvan.monitoring")
}

/// Adds the users and the grants of the office.
pub(super) fn add(ids: &Ids, calendar: &Calendar, project: u32, tables: &mut Tables) {
    let programme: ProgrammeId = ids.at("programme");
    for (login, name, role, locale) in STAFF {
        let user = user(ids, project, login, name, role, locale);
        if role != Role::Mentor {
            let from = calendar.day(START, 1);
            for (kind, scope) in [(ScopeKind::Programme, programme.0), (ScopeKind::Office, OFFICE_SCOPE)] {
                tables.grants.push(grant(ids, &user, kind, scope, from, None));
            }
        }
        tables.users.push(user);
    }
}

/// Adds the grant of an enterprise's mentor, and the ended one of the mentor before.
pub(super) fn assign(story: &Story, tables: &mut Tables) {
    let from = story.calendar.day(story.registered_month, 1);
    let mut begins = from;
    if let Some((before, month)) = story.handover {
        begins = story.calendar.day(month, 1);
        add_mentor_grant(story, before, from, Some(begins.midnight()), tables);
    }
    add_mentor_grant(story, story.mentor, begins, None, tables);
}

/// Returns the accounts that a person can try.
pub(super) fn accounts(users: &[User]) -> Vec<DemoAccount> {
    users
        .iter()
        .map(|user| DemoAccount {
            user_id: user.id,
            email: user.email.clone(),
            display_name: user.display_name.clone(),
            role: user.role,
        })
        .collect()
}

fn user(ids: &Ids, project: u32, login: &str, name: &str, role: Role, locale: Locale) -> User {
    let suffix = if project == 0 { String::new() } else { format!(".p{project:03}") };
    User {
        id: ids.at(&format!("user/{login}")),
        display_name: name.to_owned(),
        email: format!("{login}{suffix}@example.org"),
        role,
        organisation: Some("Asociația Demo pentru Economie Socială Vest".to_owned()),
        locale,
        is_active: true,
    }
}

fn add_mentor_grant(story: &Story, mentor: UserId, from: Date, until: Option<Timestamp>, tables: &mut Tables) {
    if let Some(user) = tables.users.iter().find(|user| user.id == mentor) {
        let grant = grant(&story.ids, user, ScopeKind::Enterprise, story.id.0, from, until);
        tables.grants.push(grant);
    }
}

fn grant(
    ids: &Ids,
    user: &User,
    scope_kind: ScopeKind,
    scope_id: Uuid,
    from: Date,
    until: Option<Timestamp>,
) -> ScopeGrant {
    ScopeGrant {
        id: ids.at(&format!("grant/{}/{}/{scope_id}", user.id, scope_kind.code())),
        user_id: user.id,
        scope_kind,
        scope_id,
        role: user.role,
        valid_from_at: from.midnight(),
        valid_until_at: until,
    }
}
