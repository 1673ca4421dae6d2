//! Chance that repeats: the same seed rolls the same numbers on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// The dice of one programme.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Returns the dice of the programme with this number under this seed.
    pub(super) fn of(seed: u64, project: u32) -> Self {
        let digest = Sha256::digest(format!("teren-demo-dice/{seed}/{project}").as_bytes());
        Self(ChaCha8Rng::from_seed(digest.into()))
    }

    /// Returns a number from 0 up to, but not including, `end`. Own arithmetic, so that a newer `rand` changes
    /// nothing.
    fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> 32) as u32
    }

    /// Returns a number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1).max(1) as u32) as i32
    }

    /// Returns true in `per_mille` of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// Returns one of `items`, which is not empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// Returns one of `items` by weight; the weights are not all 0.
    pub(super) fn weighted<T: Copy>(&mut self, items: &[(u32, T)]) -> T {
        let total = items.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for (weight, item) in &items[..items.len() - 1] {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        items[items.len() - 1].1
    }

    /// Returns the items in another order.
    pub(super) fn shuffled<T: Copy>(&mut self, items: &[T]) -> Vec<T> {
        let mut shuffled = items.to_vec();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, self.below(at as u32 + 1) as usize);
        }
        shuffled
    }

    /// Returns a log-normal number around `median`, rounded to one decimal.
    pub(super) fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        // Twelve uniform numbers add up to a normal one with variance 1, without a logarithm or a sine.
        let uniform_sum: f64 = (0..12).map(|_| f64::from(self.below(1 << 24)) / f64::from(1 << 24)).sum();
        (median * (spread * (uniform_sum - 6.0)).exp() * 10.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_bounds_hold() {
        let mut dice = Dice::of(1, 0);
        let rolls: Vec<i32> = (0..2000).map(|_| dice.between(1, 6)).collect();
        assert!(rolls.iter().all(|roll| (1..=6).contains(roll)) && rolls.contains(&1) && rolls.contains(&6));
        let heavy = (0..1000).filter(|_| dice.weighted(&[(9, true), (1, false)])).count();
        assert!((860..940).contains(&heavy), "{heavy}");
    }
}
