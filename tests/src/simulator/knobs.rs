//! Which faults a history has. About half of them are off in any one history: with all at once, each would hide
//! what the others do.

use super::dice::Dice;
use super::phone::PUSH_BYTES;

/// The faults of one history. Chances are per thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knobs {
    /// The chance that a message is lost.
    pub loss: u32,
    /// The chance that a request arrives twice.
    pub duplicates: u32,
    /// Whether the second time may be hours later.
    pub late_duplicates: bool,
    /// By how much messages overtake each other, in milliseconds.
    pub reorder_ms: i64,
    /// The chance that a reply breaks off.
    pub truncation: u32,
    /// The chance that a bit of a reply is flipped.
    pub flips: u32,
    /// The chance that something else than the server answers.
    pub portal: u32,
    /// The chance that the server has no time.
    pub busy: u32,
    /// Whether networks are cut for a while, also in one direction.
    pub cuts: bool,
    /// Whether phones stop.
    pub crashes: bool,
    /// Whether phones lose power.
    pub power: bool,
    /// Whether disks fail or are full.
    pub disk: bool,
    /// Whether the server stops.
    pub server_crashes: bool,
    /// Whether the server is restored from a backup.
    pub server_restore: bool,
    /// Whether a phone is restored from a backup.
    pub phone_restore: bool,
    /// Whether a phone is copied to a second one.
    pub clone: bool,
    /// Whether clocks are wrong from the start.
    pub clocks: bool,
    /// Whether clocks are set to something else in between.
    pub clock_jumps: bool,
    /// Whether tokens run out.
    pub tokens: bool,
    /// Whether permissions change.
    pub scope: bool,
    /// Whether people are barred.
    pub bars: bool,
    /// Whether transactions of the office stay open for long.
    pub slow_office: bool,
    /// Whether applications are brought up to date.
    pub upgrades: bool,
    /// Whether people record much at once.
    pub bursts: bool,
    /// Whether the office decides which records are one.
    pub merges: bool,
    /// Whether the server forgets old deletions.
    pub pruning: bool,
    /// Whether the office erases records about people.
    pub erasures: bool,
    /// How many applications send what this server does not understand.
    pub poison: u32,
    /// The chance that a reply holds frames of a newer version.
    pub newer_frames: u32,
    /// Rows of a page.
    pub page_rows: usize,
    /// What phones push in one request, before everything is mended.
    pub push_bytes: usize,
}

impl Knobs {
    /// Draws the faults of a history. What was added to the swarm later has dice of its own: the histories without it
    /// stay as they were.
    pub fn draw(dice: &mut Dice, later: &mut Dice, latest: &mut Dice) -> Self {
        let has_copies = later.per_mille(300);
        let mut chance = |most: i64| if dice.per_mille(500) { dice.between(1, most) as u32 } else { 0 };
        let (loss, duplicates, truncation) = (chance(300), chance(500), chance(20));
        let (flips, portal, busy, newer_frames) = (chance(20), chance(50), chance(100), chance(200));
        let (reorder, poison) = (chance(20), chance(2));
        let mut is_on = || dice.per_mille(500);
        Self {
            loss,
            duplicates,
            late_duplicates: is_on(),
            reorder_ms: i64::from(reorder) * 1_000,
            truncation,
            flips,
            portal,
            busy,
            cuts: is_on(),
            crashes: is_on(),
            power: is_on(),
            disk: is_on(),
            server_crashes: is_on(),
            server_restore: is_on(),
            phone_restore: is_on() && has_copies,
            clone: is_on() && has_copies,
            clocks: is_on(),
            clock_jumps: is_on(),
            tokens: is_on(),
            scope: is_on(),
            bars: is_on(),
            slow_office: is_on(),
            upgrades: is_on(),
            bursts: is_on(),
            merges: later.per_mille(300),
            pruning: later.per_mille(300),
            erasures: later.per_mille(300),
            poison,
            newer_frames,
            page_rows: [1, 2, 5, 20, 200, 2_000][dice.below(6)],
            push_bytes: if latest.per_mille(200) { [500, 2_000, 8_000][latest.below(3)] } else { PUSH_BYTES },
        }
    }
}
