//! Today, enterprises, actions.

use anyhow::Result;
use client_sdk::api::Record;
use sync_protocol::entity::FollowUpAction;

use crate::args::ActionCommand;
use crate::session::Session;
use crate::texts::Key;
use crate::{pick, show};

pub(crate) fn today(session: &Session) -> Result<()> {
    let visits = session.client.visits();
    let today = visits.today()?;
    section(session, Key::TodaysVisits, &today, |visit| show::visit(session, visit))?;
    let drafts = visits.drafts()?;
    section(session, Key::Unfinished, &drafts, |visit| show::visit(session, visit))?;
    let mut overdue = session.client.actions().open()?;
    overdue.retain(|action| action.due_on < session.today());
    section(session, Key::Overdue, &overdue, |action| print_action(session, action))
}

pub(crate) fn enterprises(session: &Session, words: &str) -> Result<()> {
    let enterprises = session.client.enterprises();
    let found = if words.is_empty() { enterprises.list()? } else { enterprises.search(words)? };
    for enterprise in &found {
        let mark = show::mark(enterprise.state);
        let positions = session.client.positions().of(enterprise.id)?.len();
        say!(
            "{mark} {:8} {}  {} ({})  {}  {positions} ⚒",
            enterprise.code,
            enterprise.name,
            enterprise.locality_name,
            enterprise.county,
            enterprise.status
        );
    }
    if found.is_empty() {
        say!("{}", session.text(Key::Nothing));
    }
    Ok(())
}

pub(crate) fn actions(session: &Session, command: ActionCommand) -> Result<()> {
    match command {
        ActionCommand::List => {
            for action in session.client.actions().open()? {
                print_action(session, &action)?;
            }
            Ok(())
        }
        ActionCommand::Done { action, note } => {
            let action = pick::action(session, &action)?;
            let done = session.client.actions().mark_done(action.id, session.today(), note)?;
            say!("{}: {}", session.text(Key::ActionDone), done.text);
            show::warnings(session, &done.warnings);
            Ok(())
        }
    }
}

/// Prints rows under a heading.
pub(crate) fn section<T>(session: &Session, heading: Key, rows: &[T], print: impl Fn(&T) -> Result<()>) -> Result<()> {
    say!("{}", session.text(heading));
    if rows.is_empty() {
        say!("    {}", session.text(Key::Nothing));
    }
    rows.iter().try_for_each(print)
}

fn print_action(session: &Session, action: &Record<FollowUpAction>) -> Result<()> {
    let enterprise = session.client.enterprises().get(action.enterprise_id)?;
    let code = enterprise.map(|enterprise| enterprise.data.code).unwrap_or_default();
    let late = if action.due_on < session.today() { "!" } else { " " };
    say!("  {} {}  {}{late} {code:8} {}", show::mark(action.state), pick::short(action.id), action.due_on, action.text);
    Ok(())
}
