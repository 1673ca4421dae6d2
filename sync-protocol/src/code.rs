//! Closed code lists. A code is never reused and never renamed; a list may grow.

/// Defines code lists. Each becomes an enum whose `Unknown` arm stands for a code of a newer version.
macro_rules! code_list {
    ($($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$code_doc])* #[doc = concat!("`", $text, "`")] $variant,)*
            /// A code that this version does not know; it is kept in the row and never written.
            Unknown,
        }

        impl $name {
            /// Every code of the list, in order.
            pub const CODES: &'static [&'static str] = &[$($text),*];
            /// Every known value, in the order of [`Self::CODES`].
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the code, `UNKNOWN` for one of a newer version.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown => "UNKNOWN",
                }
            }

            /// Returns the value of a code.
            pub fn parse(code: &str) -> Self {
                match code {
                    $($text => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }

        impl $crate::value::FieldValue for $name {
            const TYPE: $crate::value::FieldType = $crate::value::FieldType::Code;
            const NULLABLE: bool = false;
            const NAME: &'static str = stringify!($name);
            const CODES: &'static [&'static str] = Self::CODES;
            fn to_value(&self) -> $crate::value::Value {
                $crate::value::Value::Text(self.code().to_owned())
            }
            fn from_value(value: &$crate::value::Value) -> Option<Self> {
                value.as_text().map(Self::parse)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.code())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(|code| Self::parse(&code))
            }
        }
    )*};
}

code_list! {
    /// The European or national fund that pays.
    Fund { Esf = "ESF", EsfPlus = "ESF_PLUS", Yei = "YEI", State = "STATE", }
    /// Which indicator and state-aid rules apply.
    RegulationSet { Esf2014 = "ESF_2014_2020", EsfPlus2021 = "ESF_PLUS_2021_2027", }
    /// The state of a programme.
    ProgrammeStatus { Planned = "PLANNED", Running = "RUNNING", Sustainability = "SUSTAINABILITY", Closed = "CLOSED", }
    /// What a person may do in a programme.
    Role {
        Mentor = "MENTOR", Coordinator = "COORDINATOR", TrainingOfficer = "TRAINING_OFFICER",
        MonitoringOfficer = "MONITORING_OFFICER", Evaluator = "EVALUATOR", Analyst = "ANALYST",
        Auditor = "AUDITOR", Admin = "ADMIN",
    }
    /// The language of texts for people.
    Locale { Ro = "RO", En = "EN", It = "IT", }
    /// What a scope is.
    ScopeKind { Programme = "PROGRAMME", Enterprise = "ENTERPRISE", Office = "OFFICE", }
    /// Legal forms of Law 219/2015, art. 3.
    LegalForm {
        Cooperative = "COOPERATIVE", CreditCooperative = "CREDIT_COOP", Association = "ASSOCIATION",
        Foundation = "FOUNDATION", EmployeeMutual = "EMPLOYEE_MUTUAL", PensionerMutual = "PENSIONER_MUTUAL",
        AgriculturalCompany = "AGRI_COMPANY", Federation = "FEDERATION", Srl = "SRL", Other = "OTHER",
    }
    /// A social enterprise, or a work-integration social enterprise.
    EnterpriseKind { SocialEnterprise = "SE", Wise = "WISE", }
    /// The life of an enterprise in the programme.
    EnterpriseStatus {
        Planned = "PLANNED", Registered = "REGISTERED", Attested = "ATTESTED", Contracted = "CONTRACTED",
        Operating = "OPERATING", Sustainability = "SUSTAINABILITY", Completed = "COMPLETED",
        Suspended = "SUSPENDED", Terminated = "TERMINATED",
    }
    /// The four counties of the West region (ISO 3166-2:RO without the prefix).
    County { Arad = "AR", CarasSeverin = "CS", Hunedoara = "HD", Timis = "TM", }
    /// What a site is used for.
    SitePurpose { RegisteredOffice = "REGISTERED_OFFICE", Workplace = "WORKPLACE", Shop = "SHOP", Storage = "STORAGE", }
    /// The state of a position.
    PositionStatus { Planned = "PLANNED", Filled = "FILLED", Vacant = "VACANT", Closed = "CLOSED", }
    /// The contract behind an employment.
    ContractType {
        Indefinite = "CIM_INDEFINITE", FixedTerm = "CIM_FIXED_TERM", PartTime = "CIM_PART_TIME",
        Apprenticeship = "APPRENTICESHIP", HomeWork = "HOME_WORK", Telework = "TELEWORK",
        CoopMember = "COOP_MEMBER", Internship = "INTERNSHIP", Other = "OTHER",
    }
    /// Why an employment ended.
    EndReason {
        Resignation = "RESIGNATION", Mutual = "MUTUAL", Disciplinary = "DISMISSAL_DISCIPLINARY",
        Redundancy = "DISMISSAL_REDUNDANCY", EndOfTerm = "END_OF_TERM", Retirement = "RETIREMENT",
        Death = "DEATH", Transfer = "TRANSFER", NotKnown = "UNKNOWN_REASON",
    }
    /// The state of an employment.
    EmploymentStatus {
        Recorded = "RECORDED", Evidenced = "EVIDENCED", Verified = "VERIFIED", Ended = "ENDED",
        Disputed = "DISPUTED", Voided = "VOIDED",
    }
    /// How far the office has verified a job record.
    Verification { None = "NONE", Seen = "SEEN", Verified = "VERIFIED", Rejected = "REJECTED", }
    /// Gross monthly wage in RON, in bands.
    WageBand { UpTo2500 = "UP_TO_2500", UpTo3500 = "2501_3500", UpTo5000 = "3501_5000", Above5000 = "ABOVE_5000", }
    /// Why someone was absent in a month.
    AbsenceKind { Sick = "SICK", Leave = "LEAVE", Unpaid = "UNPAID", Parental = "PARENTAL", Technical = "TECHNICAL_UNEMPLOYMENT", Other = "OTHER", }
    /// Why a visit is made.
    VisitKind {
        SetUp = "SET_UP", Routine = "ROUTINE", Financial = "FINANCIAL", JobsVerification = "JOBS_VERIFICATION",
        FollowUp = "FOLLOW_UP", Closing = "CLOSING", AdHoc = "AD_HOC",
    }
    /// How a visit is made.
    VisitMode { OnSite = "ON_SITE", Remote = "REMOTE", Phone = "PHONE", }
    /// The life of a visit.
    VisitStatus {
        Planned = "PLANNED", InProgress = "IN_PROGRESS", Completed = "COMPLETED", Submitted = "SUBMITTED",
        Returned = "RETURNED", Validated = "VALIDATED", Locked = "LOCKED", Rescheduled = "RESCHEDULED",
        Cancelled = "CANCELLED",
    }
    /// The mentor's judgement of an enterprise.
    RiskRating { Low = "LOW", Medium = "MED", High = "HIGH", }
    /// What a finding is about.
    FindingArea {
        Jobs = "JOBS", Payroll = "PAYROLL", Procurement = "PROCUREMENT", Equipment = "EQUIPMENT",
        SocialMission = "SOCIAL_MISSION", Accreditation = "ACCREDITATION", Accessibility = "ACCESSIBILITY",
        HealthSafety = "HEALTH_SAFETY", Visibility = "VISIBILITY", Revenue = "REVENUE",
        Governance = "GOVERNANCE", DataProtection = "DATA_PROTECTION",
    }
    /// How serious a finding is.
    Severity { Info = "INFO", Minor = "MINOR", Major = "MAJOR", Critical = "CRITICAL", }
    /// Who has to act.
    Responsible { Enterprise = "ENTERPRISE", Mentor = "MENTOR", Coordinator = "COORDINATOR", }
    /// How urgent an action is.
    Priority { Low = "LOW", Normal = "NORMAL", High = "HIGH", }
    /// The state of an action; overdue is computed from the due date.
    ActionStatus { Open = "OPEN", Done = "DONE", Verified = "VERIFIED", Cancelled = "CANCELLED", }
    /// Sex as reported to the European Commission (Reg. (EU) 2021/1057, Annex I).
    Sex { Female = "F", Male = "M", NonBinary = "NON_BINARY", }
    /// Employment status at entry (Reg. (EU) 1304/2013, Annex I).
    EmploymentStatusAtEntry {
        Unemployed = "UNEMPLOYED", LongTermUnemployed = "LT_UNEMPLOYED", Inactive = "INACTIVE",
        InactiveNotInEducation = "INACTIVE_NOT_IN_EDU", Employed = "EMPLOYED", SelfEmployed = "SELF_EMPLOYED",
    }
    /// Education in ISCED bands.
    IscedBand { Lower = "0_2", Middle = "3_4", Tertiary = "5_8", }
    /// The life of a participation.
    ParticipationStatus {
        Applied = "APPLIED", Eligible = "ELIGIBLE", Enrolled = "ENROLLED", Active = "ACTIVE",
        Suspended = "SUSPENDED", Exited = "EXITED", FollowUpDue = "FOLLOW_UP_DUE", Closed = "CLOSED",
        Rejected = "REJECTED",
    }
    /// Why a participation ended.
    ExitReason {
        Completed = "COMPLETED", EarlyJob = "EARLY_JOB", EarlyEducation = "EARLY_EDUCATION",
        DroppedOut = "DROPPED_OUT", Excluded = "EXCLUDED", Deceased = "DECEASED", Moved = "MOVED",
    }
    /// What a question asks for.
    AnswerType {
        Bool = "BOOL", Int = "INT", Decimal = "DECIMAL", Text = "TEXT", Choice = "CHOICE",
        MultiChoice = "MULTI_CHOICE", Date = "DATE", Computed = "COMPUTED",
    }
    /// What a question is repeated over.
    RepeatOver { Positions = "POSITIONS", OpenActions = "OPEN_ACTIONS", Items = "ITEMS", }
    /// The state of a conflict.
    ConflictState { Open = "OPEN", AutoResolved = "AUTO_RESOLVED", Resolved = "RESOLVED", }
    /// The state of a held item.
    HeldState { Held = "HELD", Applied = "APPLIED", Returned = "RETURNED", }
    /// What a change does to its row.
    ChangeOperation { Create = "CREATE", Change = "CHANGE", Void = "VOID", }
    /// The state of a proposal to merge two rows: `WITHDRAWN` once they are alike no longer, or one of them is gone.
    MergeState { Open = "OPEN", Merged = "MERGED", Dismissed = "DISMISSED", Withdrawn = "WITHDRAWN", }
    /// The kind of a record that can be erased: it is about one person.
    ErasableKind {
        Employment = "EMPLOYMENT", Participation = "PARTICIPATION", Attendee = "ATTENDEE",
        MonthlyJobStatus = "MONTHLY_JOB_STATUS",
    }
    /// Why a record was erased. A closed list, because words might name the person.
    ErasureReason {
        PersonsRequest = "PERSONS_REQUEST", ConsentWithdrawn = "CONSENT_WITHDRAWN", RetentionEnded = "RETENTION_ENDED",
        UnlawfullyRecorded = "UNLAWFULLY_RECORDED",
    }
    /// The state of a reporting period.
    PeriodState { Open = "OPEN", Locked = "LOCKED", }
}
