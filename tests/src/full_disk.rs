//! A phone whose disk becomes full again and again: what it says to be recorded is, what it cannot record it refuses,
//! and what waits can be sent all the same.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use client_sdk::client::Client;
use client_sdk::error::{ApiError, ApiErrorKind};
use client_sdk::store::Room;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::FaultDisk;
use crate::demo::{ANA, DEMO_PASSWORD};
use crate::phone::{enrol, open, open_on};
use crate::visit::{next_step, unfinished};

/// Where the visits are made.
const ENTERPRISE: &str = "ENT-012";
/// The most room that is left when the disk is filled.
const MOST_LEFT_BYTES: u64 = 200 << 10;
/// More steps than fit into that.
const MOST_STEPS: u32 = 2_000;

/// A disk that can be filled.
pub enum SmallDisk {
    /// A file system that is full when a file fills it.
    Real {
        /// The file.
        filler: PathBuf,
    },
    /// A disk that lets the files of the phone grow only so far.
    Simulated(FaultDisk),
}

impl SmallDisk {
    fn open(&self, folder: &Path, server: SocketAddr) -> Client {
        match self {
            Self::Real { .. } => open(folder, server),
            Self::Simulated(disk) => open_on(disk, folder, server).expect("the folder can be opened"),
        }
    }

    /// Leaves this much room.
    fn fill(&self, folder: &Path, left_bytes: u64) {
        match self {
            Self::Real { filler } => fill(filler, left_bytes).expect("the filler can be written"),
            Self::Simulated(disk) => disk.set_capacity(Some(disk.folder_bytes(folder) + left_bytes)),
        }
    }

    fn make_room(&self) {
        match self {
            Self::Real { filler } => fs::remove_file(filler).expect("the filler is there"),
            Self::Simulated(disk) => disk.set_capacity(None),
        }
    }
}

/// Takes all the room there is, and gives some back.
fn fill(filler: &Path, left_bytes: u64) -> std::io::Result<()> {
    let mut file = File::create(filler)?;
    let block = [7; 4_096];
    while file.write_all(&block).is_ok() {}
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(left_bytes))
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endured {
    /// How often the disk was full.
    pub rounds: u32,
    /// Changes that were recorded, and sent.
    pub recorded: u64,
    /// How often something was refused for want of room.
    pub refused: u32,
    /// How often there was no room for the ballast after what waited was sent. A simulated disk does not see it.
    pub by_ballast: u32,
}

/// A phone that is enrolled and has synced, on a small disk.
pub struct Story {
    disk: SmallDisk,
    folder: PathBuf,
    server: SocketAddr,
    random: ChaCha8Rng,
    client: Option<Client>,
    endured: Endured,
}

impl Story {
    /// Opens the application, enrols it and syncs.
    pub async fn begin(disk: SmallDisk, folder: PathBuf, server: SocketAddr) -> Self {
        let client = disk.open(&folder, server);
        enrol(&client, ANA, DEMO_PASSWORD).await.expect("Ana may enrol");
        let (random, endured) = (ChaCha8Rng::seed_from_u64(8), Endured::default());
        let mut story = Self { disk, folder, server, random, client: Some(client), endured };
        story.sync().await;
        story
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("the application is open")
    }

    fn restart(&mut self) {
        self.client = None;
        self.client = Some(self.disk.open(&self.folder, self.server));
    }

    /// Fills the disk so many times.
    pub async fn run(mut self, rounds: u32) -> Endured {
        for round in 0..rounds {
            self.restart();
            self.disk.fill(&self.folder, self.random.random_range(0..MOST_LEFT_BYTES));
            self.record_until_refused();
            if round % 2 == 1 {
                self.restart();
                self.refuse();
            }
            self.drain().await;
            self.disk.make_room();
            self.record().expect("there is room again");
            assert_ne!(self.client().status().unwrap().room, Room::Full, "the ballast is not back");
            self.sync().await;
            self.endured.rounds += 1;
        }
        self.endured
    }

    fn pending(&self) -> u64 {
        self.client().status().expect("a full disk can be read").sync.pending
    }

    fn record_until_refused(&mut self) {
        for _ in 0..MOST_STEPS {
            let before = self.pending();
            if self.record().is_err() {
                assert_eq!(self.pending(), before, "something is recorded that was said not to be");
                return self.refuse();
            }
            assert!(self.pending() > before, "nothing is recorded that was said to be");
        }
        panic!("the disk is never full");
    }

    fn record(&self) -> Result<(), ApiError> {
        match unfinished(self.client(), ENTERPRISE)? {
            (_, Some(_)) => Ok(()),
            (visit, None) => next_step(self.client(), visit).map(drop),
        }
    }

    /// What there is no room for is refused in words that help, however often the person tries.
    fn refuse(&mut self) {
        let before = self.pending();
        for _ in 0..3 {
            let Err(error) = self.record() else { continue };
            assert_eq!(error.kind, ApiErrorKind::StorageFull, "{error:?}");
            assert!(error.message.contains("Free some room"), "{error:?}");
            self.endured.refused += 1;
        }
        assert!(self.pending() < before + 3, "there is room");
    }

    /// Everything that was recorded can be sent on the full disk.
    async fn drain(&mut self) {
        self.sync().await;
        self.endured.by_ballast += u32::from(self.client().status().unwrap().room == Room::Full);
    }

    async fn sync(&mut self) {
        let pending = self.pending();
        let report = self.client().sync(None, std::future::pending()).await.expect("what waits can be sent");
        assert!(report.complete && report.pushed == pending, "{pending} waited: {report:?}");
        assert_eq!(self.pending(), 0);
        self.endured.recorded += pending;
    }
}
