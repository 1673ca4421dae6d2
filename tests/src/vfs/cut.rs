//! What is on the disk after the power was cut.

use std::os::unix::fs::FileExt as _;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::disk::{Change, Node, State};

/// How much of what was not synced came through.
#[derive(Clone, Copy)]
enum Luck {
    Nothing,
    Everything,
    /// Each sector by itself, with this chance in a hundred.
    Sectors(u32),
    /// Everything up to one change, which is torn.
    UpTo(usize),
}

impl State {
    /// Takes everything back to what was synced, then lets a part of the rest through.
    pub(super) fn cut_power(&mut self, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut nodes: Vec<&Node> = self.nodes.values().collect();
        // Not by the identity, which the system gives as it likes.
        nodes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for node in nodes {
            node.cut_power(&mut rng).expect("a file can be taken back");
        }
        // A file system keeps the order of the changes of a folder: a first part of them is durable.
        let durable = rng.random_range(0..=self.folder.len());
        for change in self.folder[durable..].iter().rev() {
            change.undo().expect("a name can be taken back");
        }
        self.cut_off();
    }
}

impl Node {
    fn cut_power(&self, rng: &mut ChaCha8Rng) -> std::io::Result<()> {
        for change in self.unsynced.iter().rev() {
            self.file.write_all_at(&change.before, change.at)?;
            self.file.set_len(change.length_before)?;
        }
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let sector = if rng.random() { 512 } else { 4_096 };
        let luck = match rng.random_range(0..6) {
            0 => Luck::Nothing,
            1 => Luck::Everything,
            2 => Luck::UpTo(rng.random_range(0..self.unsynced.len())),
            _ => Luck::Sectors(rng.random_range(1..100)),
        };
        for (at, change) in self.unsynced.iter().enumerate() {
            self.let_through(change, sector, chance(luck, at), rng)?;
        }
        Ok(())
    }

    /// Applies the sectors of a change that are lucky. Later changes may be there without earlier ones: a disk
    /// writes in the order it likes.
    fn let_through(&self, change: &Change, sector: u64, chance: u32, rng: &mut ChaCha8Rng) -> std::io::Result<()> {
        let mut lucky = || rng.random_range(0..100) < chance;
        let Some(written) = &change.written else {
            return if lucky() { self.file.set_len(change.at) } else { Ok(()) };
        };
        let (mut from, end) = (change.at, change.at + written.len() as u64);
        while from < end {
            let to = ((from / sector + 1) * sector).min(end);
            if lucky() {
                let piece = &written[(from - change.at) as usize..(to - change.at) as usize];
                self.file.write_all_at(piece, from)?;
            }
            from = to;
        }
        Ok(())
    }
}

fn chance(luck: Luck, at: usize) -> u32 {
    match luck {
        Luck::Nothing => 0,
        Luck::Everything => 100,
        Luck::Sectors(chance) => chance,
        Luck::UpTo(torn) if at < torn => 100,
        Luck::UpTo(torn) if at == torn => 50,
        Luck::UpTo(_) => 0,
    }
}
