//! Histories of a programme: a restore begins the next one.

use server::restore::JUMP;
use sync_protocol::cursor::{self, Cursor, Fork};
use sync_protocol::mutation::ChainHash;
use uuid::Uuid;

use super::{Seal, State};

impl State {
    /// Begins a new history in the place of `lost`. The newest mark that both share is `marks_ago` commits older than
    /// the backup: marks are noted now and then, not at every commit.
    pub fn start_epoch(&mut self, programme: Uuid, lost: &Cursor, marks_ago: usize) {
        let left = self.head(programme);
        let common_seq = self.seq_before(programme, left.seq, marks_ago);
        let resumed_seq = left.seq.max(lost.seq) + JUMP;
        let (epoch, chain) = (self.draw(), self.draw_chain(left.chain, resumed_seq));
        for parent in [left.epoch, lost.epoch] {
            self.leave(programme, Fork { parent, epoch, common_seq, resumed_seq });
        }
        self.heads.insert(programme, Cursor { epoch, seq: resumed_seq, chain });
        self.seals.insert((programme, resumed_seq), Seal { chain, ..Seal::default() });
    }

    fn seq_before(&self, programme: Uuid, seq: u64, commits: usize) -> u64 {
        let earlier = self.seals.range((programme, 0)..=(programme, seq)).rev();
        earlier.map(|((_, seq), _)| *seq).nth(commits).unwrap_or(0)
    }

    /// A history that is left again has less in common.
    fn leave(&mut self, programme: Uuid, fork: Fork) {
        let forks = self.forks.entry(programme).or_default();
        match forks.iter_mut().find(|known| known.parent == fork.parent) {
            Some(known) => *known = Fork { common_seq: known.common_seq.min(fork.common_seq), ..fork },
            None => forks.push(fork),
        }
    }

    /// Returns where histories of a programme were left.
    pub fn forks_of(&self, programme: Uuid) -> &[Fork] {
        self.forks.get(&programme).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a cursor belongs to the history of a programme, or to one that it continues.
    pub fn knows(&self, programme: Uuid, cursor: &Cursor) -> bool {
        let head = self.head(programme);
        if cursor.seq == 0 {
            return cursor.epoch.is_nil() || cursor.epoch == head.epoch;
        }
        let is_ours = cursor.epoch == head.epoch
            || self.common_seq(programme, cursor.epoch).is_some_and(|common| cursor.seq <= common);
        let is_there = cursor.seq <= head.seq && self.chain_at(programme, cursor.seq) == Some(cursor.chain);
        is_ours && is_there
    }

    /// Returns up to where a cursor of a history that was left has the same one.
    pub fn common_with(&self, programme: Uuid, cursor: &Cursor) -> Option<Cursor> {
        let epoch = self.head(programme).epoch;
        let seq = self.common_seq(programme, cursor.epoch).filter(|common| *common < cursor.seq)?;
        let chain = self.chain_at(programme, seq)?;
        (cursor.epoch != epoch).then_some(Cursor { epoch, seq, chain })
    }

    fn common_seq(&self, programme: Uuid, epoch: Uuid) -> Option<u64> {
        cursor::common_seq(self.forks_of(programme), epoch, self.head(programme).epoch)
    }

    fn chain_at(&self, programme: Uuid, seq: u64) -> Option<ChainHash> {
        self.seals.get(&(programme, seq)).map(|seal| seal.chain)
    }
}
