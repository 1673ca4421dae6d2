//! What a log does that numbers its work when it begins: for planted mistakes only.

use sync_protocol::cursor::Position;
use uuid::Uuid;

use super::{Seal, State};

impl State {
    /// Takes a number for work that is not there yet.
    pub fn reserve(&mut self, programme: Uuid) -> u64 {
        let (mut head, seq) = (self.head(programme), self.next_seq(programme));
        head.seq = seq;
        head.chain = self.draw_chain(head.chain, seq);
        self.heads.insert(programme, head);
        self.seals.insert((programme, seq), Seal { chain: head.chain, ..Seal::default() });
        seq
    }

    /// Gives the rows of the newest commit an older number.
    pub fn renumber(&mut self, programme: Uuid, early: u64) {
        let newest = self.head(programme).seq;
        for (key, place) in self.places.iter_mut().filter(|(key, place)| key.0 == programme && place.seq == newest) {
            let index = self.index.entry((programme, place.scope)).or_default();
            let position = |seq| Position { seq, kind: key.1.number(), row_id: key.2 };
            index.remove(&position(newest));
            index.insert(position(early));
            place.seq = early;
        }
    }
}
