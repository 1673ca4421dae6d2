use sync_protocol::code::Locale;

use super::*;
use crate::domain::viewer::Grant;

const PROGRAMME: Uuid = Uuid::from_u128(1);
const OTHER_PROGRAMME: Uuid = Uuid::from_u128(2);
const ME: Uuid = Uuid::from_u128(3);
const OTHER_USER: Uuid = Uuid::from_u128(4);
const OWN: Uuid = Uuid::from_u128(5);
const FOREIGN: Uuid = Uuid::from_u128(6);
const NOW: Timestamp = Timestamp(1_000_000);

fn viewer(role: Role) -> Viewer {
    let grant = Grant {
        scope_kind: ScopeKind::Enterprise,
        scope_id: OWN,
        role,
        valid_from_at: Timestamp(0),
        valid_until_at: None,
    };
    Viewer { user_id: ME, programme_id: PROGRAMME, role, locale: Locale::Ro, grants: vec![grant] }
}

/// Returns (a scope of the viewer's own, a scope of someone else) for rows of a kind.
fn scopes(kind: EntityKind) -> (Uuid, Uuid) {
    match kind.def().scope {
        ScopeRule::Programme => (PROGRAMME, OTHER_PROGRAMME),
        ScopeRule::Own | ScopeRule::Enterprise(_) | ScopeRule::Scope(_) => (OWN, FOREIGN),
        ScopeRule::Actor(_) => (ME, OTHER_USER),
        ScopeRule::Office => (OFFICE_SCOPE, OFFICE_SCOPE),
    }
}

/// Who may do what, by hand from the description of the roles: kinds, action, who everywhere, who in own scopes.
type Line = (&'static [EntityKind], Action, &'static [Role], &'static [Role]);

const REFERENCE: &[EntityKind] = &[
    EntityKind::Programme,
    EntityKind::ActionLine,
    EntityKind::Target,
    EntityKind::Code,
    EntityKind::Form,
    EntityKind::Question,
];
const VISITS: &[EntityKind] = &[
    EntityKind::Visit,
    EntityKind::ChecklistAnswer,
    EntityKind::Finding,
    EntityKind::FollowUpAction,
    EntityKind::Attendee,
];
const JOBS: &[EntityKind] = &[EntityKind::Position, EntityKind::Employment];
const ENTERPRISES: &[EntityKind] = &[EntityKind::Enterprise, EntityKind::Site];
const MONTHS: &[EntityKind] = &[EntityKind::MonthlyJobStatus];
const PARTICIPATIONS: &[EntityKind] = &[EntityKind::Participation];
const USERS: &[EntityKind] = &[EntityKind::User];
const GRANTS: &[EntityKind] = &[EntityKind::ScopeGrant];
const CONFLICTS: &[EntityKind] = &[EntityKind::Conflict];
const HELD: &[EntityKind] = &[EntityKind::HeldItem];
const PERIODS: &[EntityKind] = &[EntityKind::ReportingPeriod];
const PROPOSALS: &[EntityKind] = &[EntityKind::MergeProposal];
const ADJUSTMENTS: &[EntityKind] = &[EntityKind::LateAdjustment];
const ERASURES: &[EntityKind] = &[EntityKind::Erasure];

const M: Role = Role::Mentor;
const C: Role = Role::Coordinator;
const T: Role = Role::TrainingOfficer;
const O: Role = Role::MonitoringOfficer;
const E: Role = Role::Evaluator;
const N: Role = Role::Analyst;
const A: Role = Role::Auditor;
const D: Role = Role::Admin;

#[rustfmt::skip]
const EXPECTED: &[Line] = &[
    (REFERENCE, Action::Read, &[M, C, T, O, E, N, A, D], &[]),
    (REFERENCE, Action::Aggregate, &[C, O, N, A], &[]),
    (REFERENCE, Action::Export, &[A], &[]),
    (REFERENCE, Action::Create, &[D], &[]),
    (REFERENCE, Action::Update, &[D], &[]),
    (REFERENCE, Action::Delete, &[D], &[]),
    (USERS, Action::Read, &[M, C, T, O, E, N, A, D], &[]),
    (USERS, Action::Export, &[A], &[]),
    (USERS, Action::Create, &[D], &[]),
    (USERS, Action::Update, &[D], &[]),
    (USERS, Action::Delete, &[D], &[]),
    (GRANTS, Action::Read, &[C, O, A, D], &[M, T, E, N]),
    (GRANTS, Action::Export, &[A], &[]),
    (GRANTS, Action::Create, &[D], &[]),
    (GRANTS, Action::Update, &[D], &[]),
    (GRANTS, Action::Delete, &[D], &[]),
    (GRANTS, Action::Assign, &[C, D], &[]),
    (ENTERPRISES, Action::Read, &[C, T, O, E, A, D], &[M]),
    (ENTERPRISES, Action::Aggregate, &[C, O, N, A], &[]),
    (ENTERPRISES, Action::Export, &[A], &[]),
    (ENTERPRISES, Action::Create, &[C, O], &[]),
    (ENTERPRISES, Action::Update, &[C, O], &[]),
    (ENTERPRISES, Action::Assign, &[C, D], &[]),
    (VISITS, Action::Read, &[C, O, A, D], &[M]),
    (VISITS, Action::Aggregate, &[C, O, N, A], &[]),
    (VISITS, Action::Export, &[A], &[]),
    (VISITS, Action::Create, &[C], &[M]),
    (VISITS, Action::Update, &[C], &[M]),
    (VISITS, Action::Delete, &[C], &[M]),
    (VISITS, Action::Validate, &[C, O], &[]),
    (JOBS, Action::Read, &[C, O, A, D], &[M]),
    (JOBS, Action::Aggregate, &[C, O, N, A], &[]),
    (JOBS, Action::Export, &[A], &[]),
    (JOBS, Action::Create, &[C, O], &[M]),
    (JOBS, Action::Update, &[C, O], &[M]),
    (JOBS, Action::Delete, &[C, O], &[M]),
    (JOBS, Action::Validate, &[C, O], &[]),
    (JOBS, Action::Verify, &[C, O], &[]),
    (MONTHS, Action::Read, &[C, O, A, D], &[M]),
    (MONTHS, Action::Aggregate, &[C, O, N, A], &[]),
    (MONTHS, Action::Export, &[A], &[]),
    (MONTHS, Action::Create, &[C, O], &[M]),
    (MONTHS, Action::Update, &[C, O], &[M]),
    (MONTHS, Action::Delete, &[C, O], &[M]),
    (MONTHS, Action::Validate, &[O], &[]),
    (PARTICIPATIONS, Action::Read, &[C, T, O, A], &[]),
    (PARTICIPATIONS, Action::Aggregate, &[C, O, N, A], &[]),
    (PARTICIPATIONS, Action::Export, &[A], &[]),
    (PARTICIPATIONS, Action::Create, &[T, O], &[]),
    (PARTICIPATIONS, Action::Update, &[T, O], &[]),
    (PARTICIPATIONS, Action::Delete, &[T, O], &[]),
    (PARTICIPATIONS, Action::Validate, &[O], &[]),
    (CONFLICTS, Action::Read, &[C, O, A, D], &[M, T]),
    (CONFLICTS, Action::Export, &[A], &[]),
    (CONFLICTS, Action::Resolve, &[C, O], &[]),
    (HELD, Action::Read, &[C, O, A, D], &[M, T]),
    (HELD, Action::Export, &[A], &[]),
    (HELD, Action::Resolve, &[C, O], &[]),
    (PROPOSALS, Action::Read, &[C, O, A, D], &[M]),
    (PROPOSALS, Action::Export, &[A], &[]),
    (PROPOSALS, Action::Resolve, &[C, O], &[]),
    (PERIODS, Action::Read, &[M, C, T, O, E, N, A, D], &[]),
    (PERIODS, Action::Aggregate, &[C, O, N, A], &[]),
    (PERIODS, Action::Export, &[A], &[]),
    (PERIODS, Action::Create, &[D], &[]),
    (PERIODS, Action::Update, &[D], &[]),
    (PERIODS, Action::Delete, &[D], &[]),
    (PERIODS, Action::Lock, &[O], &[]),
    (ADJUSTMENTS, Action::Read, &[C, O, A, D], &[M]),
    (ADJUSTMENTS, Action::Aggregate, &[C, O, N, A], &[]),
    (ADJUSTMENTS, Action::Export, &[A], &[]),
    (ERASURES, Action::Read, &[M, C, T, O, E, N, A, D], &[]),
    (ERASURES, Action::Export, &[A], &[]),
    (ERASURES, Action::Create, &[O], &[]),
];

/// How far a permission is expected to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Nowhere,
    OwnScopes,
    Everywhere,
}

fn expected(role: Role, kind: EntityKind, action: Action) -> Expected {
    let line = EXPECTED.iter().find(|(kinds, of, _, _)| kinds.contains(&kind) && *of == action);
    match line {
        Some((_, _, everywhere, _)) if everywhere.contains(&role) => Expected::Everywhere,
        Some((_, _, _, own)) if own.contains(&role) => Expected::OwnScopes,
        _ => Expected::Nowhere,
    }
}

/// Returns whether the policy does for one role, kind and action what is expected, on every scope and path.
fn agrees(role: Role, kind: EntityKind, action: Action, expected: Expected) -> bool {
    let viewer = viewer(role);
    let (own, foreign) = scopes(kind);
    let allowed = |scope| decide(&viewer, action, kind, scope, NOW).is_allowed();
    // A row of another programme shows itself only where the scope is the programme.
    let foreign_expected = expected == Expected::Everywhere && kind.def().scope != ScopeRule::Programme;
    let office = kind.def().scope == ScopeRule::Office;
    let decided = allowed(own) == (expected != Expected::Nowhere) && (office || allowed(foreign) == foreign_expected);
    let listed = match reachable(&viewer, action, kind, NOW) {
        RowScope::All => Expected::Everywhere,
        RowScope::Scopes(scopes) if scopes.contains(&own) && !scopes.contains(&foreign) => Expected::OwnScopes,
        RowScope::Scopes(_) => return false,
        RowScope::Nothing => Expected::Nowhere,
    };
    decided && listed == expected
}

fn every_cell() -> impl Iterator<Item = (Role, EntityKind, Action)> {
    Role::ALL.iter().flat_map(|role| {
        EntityKind::ALL.iter().flat_map(move |kind| Action::ALL.iter().map(move |action| (*role, *kind, *action)))
    })
}

#[test]
fn every_role_may_do_exactly_what_the_matrix_says() {
    for (role, kind, action) in every_cell() {
        assert!(agrees(role, kind, action, expected(role, kind, action)), "{role} {action:?} {kind:?}");
    }
}

#[test]
fn a_change_of_any_cell_is_noticed() {
    for (role, kind, action) in every_cell() {
        let right = expected(role, kind, action);
        for wrong in [Expected::Nowhere, Expected::OwnScopes, Expected::Everywhere] {
            // An office row has one scope: own scopes and everywhere are the same there.
            if wrong != right && kind.def().scope != ScopeRule::Office {
                assert!(!agrees(role, kind, action, wrong), "{role} {action:?} {kind:?} {wrong:?}");
            }
        }
    }
}

#[test]
fn a_grant_counts_from_its_first_instant_to_before_its_last() {
    let mut mentor = viewer(Role::Mentor);
    mentor.grants[0].valid_from_at = Timestamp(10);
    mentor.grants[0].valid_until_at = Some(Timestamp(20));
    let at = |ms| decide(&mentor, Action::Update, EntityKind::Visit, OWN, Timestamp(ms));
    let denied = Decision::Deny(Denial::Scope);
    assert_eq!([at(9), at(10), at(19), at(20)], [denied, Decision::Allow, Decision::Allow, denied]);
}

#[test]
fn a_grant_in_another_role_adds_what_that_role_may_do_in_that_scope_only() {
    let mut evaluator = viewer(Role::Evaluator);
    evaluator.grants[0].role = Role::Coordinator;
    assert!(decide(&evaluator, Action::Validate, EntityKind::Visit, OWN, NOW).is_allowed());
    assert!(!decide(&evaluator, Action::Validate, EntityKind::Visit, FOREIGN, NOW).is_allowed());
    let mut mentor = viewer(Role::Mentor);
    mentor.grants[0].scope_kind = ScopeKind::Programme;
    mentor.grants[0].scope_id = PROGRAMME;
    assert!(decide(&mentor, Action::Read, EntityKind::Visit, FOREIGN, NOW).is_allowed());
    assert!(!decide(&mentor, Action::Read, EntityKind::ScopeGrant, OTHER_USER, NOW).is_allowed());
}

#[test]
fn special_categories_and_names_are_read_by_few_roles() {
    let def = EntityKind::Employment.def();
    let readers = |name| {
        let field = def.field(name).unwrap();
        let reads = |role: &&Role| may_read_field(&viewer(**role), EntityKind::Employment, field);
        Role::ALL.iter().filter(reads).copied().collect::<Vec<_>>()
    };
    assert_eq!(readers("vulnerability_codes"), [Role::MonitoringOfficer, Role::Auditor]);
    assert_eq!(readers("holder_name"), [Role::Mentor, Role::Coordinator, Role::MonitoringOfficer, Role::Auditor]);
    assert_eq!(readers("is_vulnerable").len(), Role::ALL.len());
    for kind in EntityKind::ALL {
        for field in kind.def().fields.iter().filter(|field| field.special) {
            assert!(is_protected(*kind, field) && !field.indexed && !field.searched, "{}", field.name);
        }
    }
}
