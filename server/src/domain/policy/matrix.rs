//! The permissions, role by role, as people read them.
//!
//! Letters: `R` read, `G` aggregate, `X` export, `C` create, `U` update, `D` delete, `V` validate, `Y` verify,
//! `A` assign, `S` settle conflicts, held work and proposals to merge, `L` lock and unlock. Before the colon: where (`all` of the programme, or `own` scopes).

use sync_protocol::code::Role;
use sync_protocol::entity::EntityKind;

use super::Action;

/// How far a permission reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    None,
    /// The scopes that were granted to the person.
    Own,
    All,
}

/// Kinds that share one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Reference,
    People,
    Grants,
    Enterprises,
    Visits,
    Jobs,
    Months,
    Participations,
    Conflicts,
    Held,
    Periods,
    Adjustments,
    Proposals,
    Erasures,
    Devices,
}

/// One cell of the table: where, and the letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell(&'static str);

impl Cell {
    /// Returns how far an action reaches.
    pub(super) fn reach(self, action: Action) -> Reach {
        let Some((place, letters)) = self.0.split_once(':') else { return Reach::None };
        match (place, letters.contains(letter(action))) {
            ("all", true) => Reach::All,
            ("own", true) => Reach::Own,
            _ => Reach::None,
        }
    }
}

/// The columns of [`row`].
const ROLES: [Role; 8] = [
    Role::Mentor,
    Role::Coordinator,
    Role::TrainingOfficer,
    Role::MonitoringOfficer,
    Role::Evaluator,
    Role::Analyst,
    Role::Auditor,
    Role::Admin,
];

#[rustfmt::skip]
const fn row(subject: Subject) -> [&'static str; 8] {
    match subject {
        //                          MENTOR      COORDINATOR    TRAINING    MONITORING     EVALUATOR ANALYST  AUDITOR    ADMIN
        Subject::Reference =>      ["all:R",    "all:RG",      "all:R",    "all:RG",      "all:R",  "all:RG", "all:RGX", "all:RCUD"],
        Subject::People =>         ["all:R",    "all:R",       "all:R",    "all:R",       "all:R",  "all:R",  "all:RX",  "all:RCUD"],
        Subject::Grants =>         ["own:R",    "all:RA",      "own:R",    "all:R",       "own:R",  "own:R",  "all:RX",  "all:RCUDA"],
        Subject::Enterprises =>    ["own:R",    "all:RGCUA",   "all:R",    "all:RGCU",    "all:R",  "all:G",  "all:RGX", "all:RA"],
        Subject::Visits =>         ["own:RCUD", "all:RGCUDV",  "",         "all:RGV",     "",       "all:G",  "all:RGX", "all:R"],
        Subject::Jobs =>           ["own:RCUD", "all:RGCUDVY", "",         "all:RGCUDVY", "",       "all:G",  "all:RGX", "all:R"],
        Subject::Months =>         ["own:RCUD", "all:RGCUD",   "",         "all:RGCUDV",  "",       "all:G",  "all:RGX", "all:R"],
        Subject::Participations => ["",         "all:RG",      "all:RCUD", "all:RGCUDV",  "",       "all:G",  "all:RGX", ""],
        Subject::Conflicts =>      ["own:R",    "all:RS",      "own:R",    "all:RS",      "",       "",       "all:RX",  "all:R"],
        Subject::Held =>           ["own:R",    "all:RS",      "own:R",    "all:RS",      "",       "",       "all:RX",  "all:R"],
        Subject::Periods =>        ["all:R",    "all:RG",      "all:R",    "all:RGL",     "all:R",  "all:RG", "all:RGX", "all:RCUD"],
        Subject::Adjustments =>    ["own:R",    "all:RG",      "",         "all:RG",      "",       "all:G",  "all:RGX", "all:R"],
        Subject::Proposals =>      ["own:R",    "all:RS",      "",         "all:RS",      "",       "",       "all:RX",  "all:R"],
        Subject::Erasures =>       ["all:R",    "all:R",       "all:R",    "all:RC",      "all:R",  "all:R",  "all:RX",  "all:R"],
        Subject::Devices =>        ["own:R",    "all:RU",      "own:R",    "own:R",       "own:R",  "own:R",  "own:R",   "all:RU"],
    }
}

/// Returns what a role may do with rows of a kind.
pub(super) fn cell(role: Role, kind: EntityKind) -> Cell {
    cell_of(role, subject(kind))
}

/// Returns what a role may do with devices, which are no rows of the programme.
pub(super) fn devices(role: Role) -> Cell {
    cell_of(role, Subject::Devices)
}

fn cell_of(role: Role, subject: Subject) -> Cell {
    let column = ROLES.iter().position(|known| *known == role);
    Cell(column.map_or("", |column| row(subject)[column]))
}

/// Returns whether a role may see who a job holder is.
pub(super) fn reads_identity(role: Role) -> bool {
    matches!(role, Role::Mentor | Role::Coordinator | Role::MonitoringOfficer | Role::Auditor)
}

/// Returns whether a role may see special categories. A mentor records them and does not read them back.
pub(super) fn reads_special(role: Role) -> bool {
    matches!(role, Role::MonitoringOfficer | Role::Auditor)
}

const fn letter(action: Action) -> char {
    match action {
        Action::Read => 'R',
        Action::Aggregate => 'G',
        Action::Export => 'X',
        Action::Create => 'C',
        Action::Update => 'U',
        Action::Delete => 'D',
        Action::Validate => 'V',
        Action::Verify => 'Y',
        Action::Assign => 'A',
        Action::Resolve => 'S',
        Action::Lock => 'L',
    }
}

const fn subject(kind: EntityKind) -> Subject {
    match kind {
        EntityKind::Programme
        | EntityKind::ActionLine
        | EntityKind::Target
        | EntityKind::Code
        | EntityKind::Form
        | EntityKind::Question => Subject::Reference,
        EntityKind::User => Subject::People,
        EntityKind::ScopeGrant => Subject::Grants,
        EntityKind::Enterprise | EntityKind::Site => Subject::Enterprises,
        EntityKind::Visit
        | EntityKind::ChecklistAnswer
        | EntityKind::Finding
        | EntityKind::FollowUpAction
        | EntityKind::Attendee => Subject::Visits,
        EntityKind::Position | EntityKind::Employment => Subject::Jobs,
        EntityKind::MonthlyJobStatus => Subject::Months,
        EntityKind::Participation => Subject::Participations,
        EntityKind::Conflict => Subject::Conflicts,
        EntityKind::HeldItem => Subject::Held,
        EntityKind::ReportingPeriod => Subject::Periods,
        EntityKind::LateAdjustment => Subject::Adjustments,
        EntityKind::MergeProposal => Subject::Proposals,
        EntityKind::Erasure => Subject::Erasures,
    }
}
