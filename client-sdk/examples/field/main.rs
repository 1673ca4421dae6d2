//! A mentor's day in a terminal: enrol once, sync where there is a signal, record visits and jobs where there is
//! none.
//!
//! An example of the client SDK: every command opens the same folder that a phone would keep.

/// Prints a line. A reader that has gone, such as `head`, ends the program in peace.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::show::say(format_args!($($text)*))
    };
}

mod answer;
mod args;
mod auto;
mod closing;
mod failure;
mod interview;
mod jobs;
mod lists;
mod network;
mod pick;
mod prompt;
mod script;
mod session;
mod show;
mod standing;
mod texts;
mod visits;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Arguments, Command};
use session::Session;
use sync_protocol::code::Locale;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let session = match Session::open(&arguments) {
        Ok(session) => session,
        Err(error) => return failure::report(&error, Locale::En),
    };
    match run(&session, arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, session.locale()),
    }
}

fn run(session: &Session, command: Command) -> Result<()> {
    match command {
        Command::Enrol(options) => network::enrol(session, options),
        Command::Sync { watch: false } => network::sync(session),
        Command::Sync { watch: true } => network::watch(session),
        Command::Verify => network::verify(session),
        Command::Today => lists::today(session),
        Command::Enterprises { words } => lists::enterprises(session, &words.join(" ")),
        Command::Visit(command) => visits::run(session, command),
        Command::Job(command) => jobs::run(session, command),
        Command::Action(command) => lists::actions(session, command),
        Command::Status => standing::status(session),
        Command::Conflicts { keep: Some(ending), .. } => standing::settle(session, &ending, false),
        Command::Conflicts { take: Some(ending), .. } => standing::settle(session, &ending, true),
        Command::Conflicts { keep: None, take: None } => standing::conflicts(session),
        Command::Held => standing::held(session),
        Command::Discard { change } => standing::discard(session, change),
    }
}
