//! Job records.

use anyhow::{Result, bail};
use client_sdk::api::employments::NewEmployment;
use client_sdk::api::job_status::Month;
use sync_protocol::code::{AbsenceKind, ContractType, EndReason};
use sync_protocol::entity::Employment;
use sync_protocol::id::EnterpriseId;
use sync_protocol::time::Date;

use crate::args::{CorrectOptions, JobCommand, MonthOptions, RecordOptions};
use crate::session::Session;
use crate::texts::Key;
use crate::{pick, prompt, show};

pub(crate) fn run(session: &Session, command: JobCommand) -> Result<()> {
    match command {
        JobCommand::List { enterprise } => list(session, &enterprise),
        JobCommand::Record(options) => record(session, options),
        JobCommand::End { position, on, reason } => end(session, &position, on, &reason),
        JobCommand::Correct(options) => correct(session, options),
        JobCommand::Month(options) => month(session, options),
    }
}

fn list(session: &Session, enterprise: &str) -> Result<()> {
    let enterprise = pick::enterprise(session, enterprise)?;
    say!("{} {}", enterprise.code, enterprise.name);
    let employments = session.client.employments().of(enterprise.id)?;
    for position in session.client.positions().of(enterprise.id)? {
        let holders = employments.iter().filter(|employment| employment.position_id == position.id);
        let mut holders = holders.filter(|employment| employment.end_on.is_none_or(|end_on| end_on >= session.today()));
        let line = format!("{} {:8} {:30}", show::mark(position.state), position.code, position.title);
        match holders.next() {
            Some(held) => {
                let (mark, vulnerable) = (show::mark(held.state), if held.is_vulnerable { "◆" } else { " " });
                say!(
                    "{line} {mark} {vulnerable} {}  {} h ({:.2})  {} →",
                    held.holder_name,
                    held.weekly_hours,
                    held.fte,
                    held.start_on
                );
            }
            None => say!("{line}     – {} –", session.text(Key::Vacant)),
        }
    }
    print_wise(session, enterprise.id)
}

fn record(session: &Session, options: RecordOptions) -> Result<()> {
    let position = pick::position(session, &options.position)?;
    let contract = ContractType::parse(known(ContractType::CODES, &options.contract)?);
    let new = NewEmployment {
        holder_birth_on: options.born,
        is_vulnerable: options.vulnerable,
        ..NewEmployment::new(position.id, options.name, contract, options.start, options.hours)
    };
    let job = session.client.employments().record(new)?;
    say!(
        "{}: {} {} → {}  {} h = {:.2}",
        session.text(Key::JobRecorded),
        position.code,
        position.title,
        job.holder_name,
        job.weekly_hours,
        job.fte
    );
    show::warnings(session, &job.warnings);
    print_wise(session, job.enterprise_id)
}

fn end(session: &Session, position: &str, on: Date, reason: &str) -> Result<()> {
    let holder = pick::holder(session, position)?;
    let reason = EndReason::parse(known(EndReason::CODES, reason)?);
    let ended = session.client.employments().end(holder.id, on, reason)?;
    say!("{}: {} ({})", session.text(Key::JobEnded), ended.holder_name, on);
    show::warnings(session, &ended.warnings);
    print_wise(session, ended.enterprise_id)
}

fn correct(session: &Session, options: CorrectOptions) -> Result<()> {
    let holder = pick::holder(session, &options.position)?;
    let job = session.client.edit(holder.id, |job: &mut Employment| {
        job.holder_name = options.name.unwrap_or(std::mem::take(&mut job.holder_name));
        job.start_on = options.start.unwrap_or(job.start_on);
        job.weekly_hours = options.hours.unwrap_or(job.weekly_hours);
    })?;
    say!(
        "{}: {}  {} →  {} h = {:.2}",
        session.text(Key::JobCorrected),
        job.holder_name,
        job.start_on,
        job.weekly_hours,
        job.fte
    );
    show::warnings(session, &job.warnings);
    print_wise(session, job.enterprise_id)
}

fn month(session: &Session, options: MonthOptions) -> Result<()> {
    let holder = pick::holder(session, &options.position)?;
    let absence = options.absence.as_deref().map(|code| known(AbsenceKind::CODES, code)).transpose()?;
    let month = Month {
        is_active: true,
        hours_worked: options.hours,
        absence_kind: absence.map(AbsenceKind::parse),
        is_wage_paid: Some(options.paid),
        ..Month::default()
    };
    let saved = session.client.job_status().record(holder.id, options.month, month)?;
    say!("{}: {} {}", session.text(Key::MonthRecorded), holder.holder_name, saved.month_on);
    show::warnings(session, &saved.warnings);
    Ok(())
}

fn print_wise(session: &Session, enterprise: EnterpriseId) -> Result<()> {
    if let Some(preview) = session.client.employments().wise_preview(enterprise)? {
        say!("{}", show::wise(session, &preview));
    }
    Ok(())
}

/// Returns a code of a list, in whatever case it was typed.
pub(crate) fn known(codes: &'static [&'static str], typed: &str) -> Result<&'static str> {
    match prompt::find(codes, typed) {
        Some(code) => Ok(code),
        None => bail!("`{typed}` is none of {}", codes.join(", ")),
    }
}
