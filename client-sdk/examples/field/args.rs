//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sync_protocol::code::Locale;
use sync_protocol::time::Date;

use crate::failure::EXIT_CODES;

const EXAMPLE: &str = "\
A day in the field:
  field enrol --email ana.mentor@example.org     once, with a signal
  field sync                                     fetch what you look after
  field today                                    (no signal from here on)
  field visit start ENT-001                      question by question; every answer is saved at once
  field visit resume                             goes on after anything, even a flat battery
  field job record P-004 --name 'Ion Popa' --start 2026-11-02 --hours 30
  field status
  field sync                                     send it all

";

/// Record visits and jobs where there is no signal.
#[derive(Debug, Parser)]
#[command(name = "field", version, after_help = format!("{EXAMPLE}{EXIT_CODES}"))]
pub(crate) struct Arguments {
    /// The folder that keeps everything [default: ~/.teren-field].
    #[arg(long, global = true, value_name = "DIR", env = "TEREN_FIELD_HOME")]
    pub(crate) home: Option<PathBuf>,
    /// The server; remembered at enrolment.
    #[arg(long, global = true, value_name = "URL", env = "TEREN_FIELD_SERVER")]
    pub(crate) server: Option<String>,
    /// The language of questions and messages [default: the one of your account].
    #[arg(long, global = true, value_name = "LANGUAGE")]
    pub(crate) lang: Option<Language>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A language of texts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Language {
    /// Romanian.
    Ro,
    /// English.
    En,
    /// Italian.
    It,
}

impl From<Language> for Locale {
    fn from(language: Language) -> Self {
        match language {
            Language::Ro => Self::Ro,
            Language::En => Self::En,
            Language::It => Self::It,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign this device in. Needs the server once.
    ///
    /// Example: field --server https://teren.example.org enrol --email ana.mentor@example.org
    Enrol(EnrolOptions),
    /// Send what was recorded and fetch what is new.
    ///
    /// Can be interrupted anywhere; the next sync goes on from there.
    Sync {
        /// Stay in sync until Ctrl-C: what you record elsewhere is sent at once, what the office changes arrives.
        #[arg(long)]
        watch: bool,
    },
    /// Compare everything on this device with what the server has, and put right what differs.
    ///
    /// What waits to be sent is sent first. It fetches only what differs.
    Verify,
    /// Show today's visits, unfinished ones and overdue actions.
    Today,
    /// Show the enterprises that you look after, or those in which each word is found.
    ///
    /// Case and diacritics do not matter. Example: field enterprises brutaria timisoara
    Enterprises {
        /// Words of the name, the code, the locality or the mission.
        words: Vec<String>,
    },
    /// Make a visit.
    #[command(subcommand)]
    Visit(VisitCommand),
    /// Record jobs: who works where, for how many hours.
    #[command(subcommand)]
    Job(JobCommand),
    /// Follow up what has to be done after visits.
    #[command(subcommand)]
    Action(ActionCommand),
    /// Show what waits to be sent and when the last sync was.
    Status,
    /// Show fields that two people changed, with both values, or settle one of them; and records that may be the same.
    ///
    /// Example: field conflicts --take 4f1c22ab
    Conflicts {
        /// Keep the value that is shown, in the conflict whose identifier ends like this.
        #[arg(long, value_name = "ID", conflicts_with = "take")]
        keep: Option<String>,
        /// Take the other value.
        #[arg(long, value_name = "ID")]
        take: Option<String>,
    },
    /// Show what the office keeps waiting or has refused, and why.
    Held,
    /// Give up a change that the office has refused. Its number stands in `field held`.
    Discard {
        /// The number of the change.
        change: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EnrolOptions {
    /// The address of your account.
    #[arg(long)]
    pub(crate) email: String,
    /// Your password; asked for when it is not given. It is sent once and not kept.
    #[arg(long, env = "TEREN_FIELD_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// The name of this device, as the office sees it.
    #[arg(long, default_value = "Terminal")]
    pub(crate) device: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VisitCommand {
    /// Show visits: of one enterprise, or your unfinished ones and those of the next days.
    List {
        /// The code of an enterprise, or words of its name.
        enterprise: Option<String>,
    },
    /// Start a visit and fill in its form, question by question.
    ///
    /// Takes the visit that is planned there today, if there is one. At each question: an answer, Enter to skip it,
    /// ? for help, - when it does not apply, q to stop; every answer is saved at once.
    ///
    /// Example: field visit start ENT-001
    Start {
        /// The code of an enterprise, or words of its name.
        enterprise: String,
        /// Why the visit is made: ROUTINE, SET_UP, FINANCIAL, JOBS_VERIFICATION, FOLLOW_UP, CLOSING, AD_HOC.
        #[arg(long, default_value = "ROUTINE")]
        kind: String,
        /// How: ON_SITE, REMOTE, PHONE.
        #[arg(long, default_value = "ON_SITE")]
        mode: String,
        #[command(flatten)]
        filling: Filling,
    },
    /// Go on with a visit where it stopped.
    ///
    /// Example: field visit resume
    Resume {
        /// The end of the visit's identifier; not needed when only one is unfinished.
        visit: Option<String>,
        #[command(flatten)]
        filling: Filling,
    },
    /// Show a visit with its answers, findings and what is still open.
    Show {
        /// The end of the visit's identifier; the unfinished one when it is not given.
        visit: Option<String>,
    },
}

/// How a visit is filled in when nobody sits at the terminal.
#[derive(Debug, Default, Args)]
pub(crate) struct Filling {
    /// Take the answers from a JSON file instead of asking.
    ///
    /// {"answers": {"G01": "YES", "J01": 5, "J04": {"na": "at the accountant's"}}, "place": {"latitude": 44.9,
    /// "longitude": 21.7}, "attendees": [{"name": "…", "role": "…"}], "findings": [{"area": "EQUIPMENT", "severity":
    /// "CRITICAL", "text": "…", "action": {"text": "…", "due_on": "2026-12-01"}}], "summary": "…", "risk": "LOW",
    /// "next_visit_on": "2026-12-15", "signer": {"name": "…", "role": "…"}}
    #[arg(long, value_name = "FILE", conflicts_with = "auto", verbatim_doc_comment)]
    pub(crate) answers: Option<PathBuf>,
    /// Invent sensible answers, for a demonstration.
    #[arg(long)]
    pub(crate) auto: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Show the positions of an enterprise, who holds them, and the share of vulnerable employees.
    List {
        /// The code of an enterprise, or words of its name.
        enterprise: String,
    },
    /// Record a person in a position.
    ///
    /// Example: field job record P-004 --name 'Ion Popa' --start 2026-11-02 --hours 30 --vulnerable
    Record(RecordOptions),
    /// End a job record. Example: field job end P-004 --on 2026-11-20 --reason RESIGNATION
    End {
        /// The code of the position.
        position: String,
        /// The last day of work.
        #[arg(long)]
        on: Date,
        /// RESIGNATION, MUTUAL, DISMISSAL_DISCIPLINARY, DISMISSAL_REDUNDANCY, END_OF_TERM, RETIREMENT, DEATH, TRANSFER.
        #[arg(long)]
        reason: String,
    },
    /// Correct the job record of who holds a position; also puts right what the office has refused.
    ///
    /// Example: field job correct P-004 --start 2026-11-09
    Correct(CorrectOptions),
    /// Record a month of a job: hours worked, whether the wage was paid.
    ///
    /// Example: field job month P-004 2026-10-01 --hours 160 --paid
    Month(MonthOptions),
}

#[derive(Debug, Args)]
pub(crate) struct RecordOptions {
    /// The code of the position.
    pub(crate) position: String,
    /// The name of the person.
    #[arg(long)]
    pub(crate) name: String,
    /// The first day of work.
    #[arg(long)]
    pub(crate) start: Date,
    /// Contracted hours a week; 40 are one full-time equivalent.
    #[arg(long)]
    pub(crate) hours: rust_decimal::Decimal,
    /// CIM_INDEFINITE, CIM_FIXED_TERM, CIM_PART_TIME, APPRENTICESHIP, HOME_WORK, TELEWORK, COOP_MEMBER, INTERNSHIP.
    #[arg(long, default_value = "CIM_INDEFINITE")]
    pub(crate) contract: String,
    /// The date of birth; decides whether the person may be hired.
    #[arg(long)]
    pub(crate) born: Option<Date>,
    /// A document proves that the person belongs to a vulnerable group.
    #[arg(long)]
    pub(crate) vulnerable: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CorrectOptions {
    /// The code of the position.
    pub(crate) position: String,
    /// The name of the person.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The first day of work.
    #[arg(long)]
    pub(crate) start: Option<Date>,
    /// Contracted hours a week.
    #[arg(long)]
    pub(crate) hours: Option<rust_decimal::Decimal>,
}

#[derive(Debug, Args)]
pub(crate) struct MonthOptions {
    /// The code of the position.
    pub(crate) position: String,
    /// Any day of the month.
    pub(crate) month: Date,
    /// Hours worked.
    #[arg(long)]
    pub(crate) hours: Option<i32>,
    /// The wage was paid.
    #[arg(long)]
    pub(crate) paid: bool,
    /// Why the person was absent: SICK, LEAVE, UNPAID, PARENTAL, TECHNICAL_UNEMPLOYMENT, OTHER.
    #[arg(long)]
    pub(crate) absence: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ActionCommand {
    /// Show what is open, the most urgent first.
    List,
    /// Record that an action was done. Example: field action done 3f2a91c0 --note 'seen on the wall'
    Done {
        /// The end of the action's identifier.
        action: String,
        /// What was seen.
        #[arg(long)]
        note: Option<String>,
    },
}
