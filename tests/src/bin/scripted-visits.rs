//! A mentor who makes one visit after another, until someone kills the application: one line for each step, after
//! it was recorded.
//!
//! Arguments: the folder of the phone's files, the address of the server, the code of the enterprise.

use std::path::Path;

use anyhow::{Context as _, Result};
use client_sdk::client::Client;
use sync_protocol::code::{VisitKind, VisitMode, VisitStatus};
use sync_protocol::id::VisitId;
use tests::phone;
use tests::visit::{Step, answer, next_step};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("no folder")?;
    let server = arguments.next().context("no server")?.parse()?;
    let enterprise = arguments.next().context("no enterprise")?;
    let client = phone::open(Path::new(&folder), server);
    println!("open");
    loop {
        let visit = unfinished(&client, &enterprise)?;
        for question in client.visits().questions(visit)?.iter().filter(|question| question.is_open()) {
            println!("{}", answer(&client, visit, question)?.line());
        }
        while let Some(step) = next_step(&client, visit)? {
            println!("{}", step.line());
        }
    }
}

/// Goes on with the visit that was begun, or starts one.
fn unfinished(client: &Client, enterprise: &str) -> Result<VisitId> {
    if let Some(begun) = client.visits().drafts()?.iter().find(|draft| draft.status == VisitStatus::InProgress) {
        return Ok(begun.id);
    }
    let enterprise = client.enterprises().by_code(enterprise)?.context("no such enterprise")?;
    let started = client.visits().start(enterprise.id, VisitKind::Routine, VisitMode::OnSite)?;
    println!("{}", Step::of(&started.data).line());
    Ok(started.id)
}
