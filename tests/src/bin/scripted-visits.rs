//! A mentor who makes one visit after another, until someone kills the application: one line for each step, after
//! it was recorded.
//!
//! Arguments: the folder of the phone's files, the address of the server, the code of the enterprise.

use std::path::Path;

use anyhow::{Context as _, Result};
use tests::phone;
use tests::visit::{answer, next_step, unfinished};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("no folder")?;
    let server = arguments.next().context("no server")?.parse()?;
    let enterprise = arguments.next().context("no enterprise")?;
    let client = phone::open(Path::new(&folder), server);
    println!("open");
    loop {
        let (visit, started) = unfinished(&client, &enterprise)?;
        if let Some(started) = started {
            println!("{}", started.line());
        }
        for question in client.visits().questions(visit)?.iter().filter(|question| question.is_open()) {
            println!("{}", answer(&client, visit, question)?.line());
        }
        while let Some(step) = next_step(&client, visit)? {
            println!("{}", step.line());
        }
    }
}
