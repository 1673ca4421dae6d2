//! What a network does to a connection, and the two networks that our phones know best.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Way;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// Bytes that follow a silence arrive late, by the mean and at most the jitter more or less.
    Latency { mean_ms: u64, jitter_ms: u64 },
    /// So many bytes pass in a second, each way.
    Rate { bytes_per_s: u64 },
    /// With this chance a packet is lost and comes again after the time.
    Stall { chance: f64, ms: u64 },
    /// One byte at a time, with a pause after each.
    Trickle { way: Way, pause_ms: u64 },
    /// Both sides see a reset after so many bytes of one way.
    Reset { way: Way, after_bytes: u64 },
    /// Every connection is reset at every multiple of this time.
    ResetEvery { ms: u64 },
    /// One way is closed after so many bytes; the other one stays open.
    HalfClose { way: Way, after_bytes: u64 },
    /// After so many bytes of one way nothing more of it arrives, and nobody is told.
    Blackhole { way: Way, after_bytes: u64 },
    /// A bit of this part of the bytes of bodies is flipped.
    Corrupt { way: Way, per_byte: f64 },
    /// The reply ends after so many bytes as if it were complete.
    TruncateReply { after_bytes: u64 },
    /// The request is served to its end, and nothing of the reply arrives before the reset.
    SwallowReply,
    /// Every request arrives this many times more.
    Replay { times: u32 },
    /// A sign-in page of the network answers everything with 200 and HTML; the server is not asked.
    CaptivePortal,
}

/// A harm and how many of the connections it meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Toxic {
    /// What happens.
    pub harm: Harm,
    /// The part of the connections, from 0 to 1.
    pub chance: f64,
}

impl From<Harm> for Toxic {
    fn from(harm: Harm) -> Self {
        Self { harm, chance: 1.0 }
    }
}

impl Harm {
    /// Returns the harm for a part of the connections.
    pub fn sometimes(self, chance: f64) -> Toxic {
        Toxic { harm: self, chance }
    }

    /// Returns the harm in a world where everything goes `times` as fast.
    pub fn faster(self, times: u64) -> Self {
        match self {
            Self::Latency { mean_ms, jitter_ms } => {
                Self::Latency { mean_ms: mean_ms / times, jitter_ms: jitter_ms / times }
            }
            Self::Rate { bytes_per_s } => Self::Rate { bytes_per_s: bytes_per_s * times },
            Self::Stall { chance, ms } => Self::Stall { chance, ms: ms / times },
            Self::Trickle { way, pause_ms } => Self::Trickle { way, pause_ms: pause_ms / times },
            Self::ResetEvery { ms } => Self::ResetEvery { ms: ms / times },
            other => other,
        }
    }
}

/// A mobile network of the second generation at the edge of its cell: 400 ms ± 200, 30 kbit/s, 3 % of the packets
/// lost.
pub const TWO_G_EDGE: [Harm; 3] = [
    Harm::Latency { mean_ms: 400, jitter_ms: 200 },
    Harm::Rate { bytes_per_s: 30_000 / 8 },
    Harm::Stall { chance: 0.03, ms: 1_500 },
];

/// The Wi-Fi of a village hall: 80 ms, 1 Mbit/s, every connection reset every 30 s.
pub const VILLAGE_WIFI: [Harm; 3] = [
    Harm::Latency { mean_ms: 80, jitter_ms: 20 },
    Harm::Rate { bytes_per_s: 1_000_000 / 8 },
    Harm::ResetEvery { ms: 30_000 },
];

/// Returns what meets the connection `number`, each with a randomness of its own.
pub(super) fn draw(toxics: &[Toxic], seed: u64, number: u64) -> Vec<(Harm, ChaCha8Rng)> {
    let mut drawn = Vec::new();
    for (at, toxic) in toxics.iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number << 8 | at as u64);
        if random.random_bool(toxic.chance) {
            drawn.push((toxic.harm, random));
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_meets_the_same_connections() {
        let toxics = [Harm::SwallowReply.sometimes(0.5), Harm::CaptivePortal.sometimes(0.1)];
        let harms_of = |seed, number| draw(&toxics, seed, number).iter().map(|(harm, _)| *harm).collect::<Vec<_>>();
        let met = |seed| (0..1_000).map(|number| harms_of(seed, number)).collect::<Vec<_>>();
        assert_eq!(met(1), met(1));
        assert_ne!(met(1), met(2));
        let swallowed = met(3).iter().filter(|harms| harms.contains(&Harm::SwallowReply)).count();
        assert!((400..600).contains(&swallowed), "{swallowed} of 1,000");
    }

    #[test]
    fn a_faster_world_has_shorter_waits_and_higher_rates() {
        assert_eq!(TWO_G_EDGE[0].faster(10), Harm::Latency { mean_ms: 40, jitter_ms: 20 });
        assert_eq!(TWO_G_EDGE[1].faster(10), Harm::Rate { bytes_per_s: 37_500 });
        assert_eq!(VILLAGE_WIFI[2].faster(10), Harm::ResetEvery { ms: 3_000 });
    }
}
