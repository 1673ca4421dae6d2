//! A phone on a small disk, for a number of rounds in which it becomes full.
//!
//! Arguments: the folder on the disk, the address of the server, and the number of rounds.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tests::full_disk::{SmallDisk, Story};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("no folder")?);
    let server = arguments.next().context("no server")?.parse()?;
    let rounds = arguments.next().context("no number of rounds")?.parse()?;
    println!("started");
    let disk = SmallDisk::Real { filler: folder.join("photos") };
    let endured = Story::begin(disk, folder.join("teren"), server).await.run(rounds).await;
    println!("{} {} {}", endured.recorded, endured.refused, endured.by_ballast);
    Ok(())
}
