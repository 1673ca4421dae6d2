//! Asking a server that has left a history for the answers that it gave in it.
//!
//! What came to it a second time since, in a request that was late, it may have answered otherwise. The changes are sent
//! again, and stay answered meanwhile: what is shown follows from the rows, which come anew. An answer that is given again may
//! be older than the rows that are here, and tells nothing of them, only what waits, what was refused and what took effect.

use rusqlite::Connection;
use sync_protocol::wire::PushResult;

use super::ack::{Answered, Told};
use super::answers::{self, Stretch};
use super::change::ChangeState;
use super::outbox::{Head, Outbox, RowKey};
use super::overlay::Overlay;
use super::{Inner, Store, meta};
use crate::error::{Doing as _, Result};

/// Up to which position the answers of a history that was left have been given again.
const ASKED: &str = "asked";

impl Store {
    /// Has what was answered in commits after a number answered again, because the server has left the history that they
    /// are of. What it has takes no effect a second time, and is answered as it stands now.
    pub fn ask_again(&self, after_seq: u64) -> Result<()> {
        self.drain(|inner| {
            inner.outbox.durably(|outbox| outbox.ask_again(after_seq))?;
            // Not before: where the file keeps them, what was said of them counts.
            inner.outbox.asked.into_iter().for_each(|asked| inner.outbox.stretches.forget_after(asked));
            inner.cache.commit()?;
            inner.cache.begin()?;
            inner.hold_known_again(after_seq)?;
            inner.cache.commit()
        })?;
        self.notify_recorded();
        Ok(())
    }
}

impl Outbox {
    fn ask_again(&mut self, after_seq: u64) -> Result<()> {
        let certain = self.last_certain(after_seq)?;
        let after = self.asked.map_or(certain, |asked| asked.min(certain));
        if after < self.acked {
            self.spell_out(after)?;
            self.set_asked(Some(after))?;
        }
        Ok(())
    }

    /// Returns the last position whose answer is certain to be of the history up to a number, or that cannot be sent
    /// again: what was answered in between, without a commit, is as certain as what came after it.
    fn last_certain(&self, seq: u64) -> Result<u64> {
        const SQL: &str = "SELECT coalesce(max(position), 0) FROM (
                               SELECT max(last) AS position FROM answered WHERE seq BETWEEN 1 AND ?1
                               UNION ALL SELECT max(position) FROM change WHERE seq BETWEEN 1 AND ?1)";
        let last = self.conn.query_row(SQL, [seq as i64], |row| row.get::<_, i64>(0));
        Ok((last.doing("read the outbox")? as u64).max(self.floor()?))
    }

    /// Lets every change after a position say itself what became of it: some of them may be told something else.
    fn spell_out(&self, after: u64) -> Result<()> {
        const SQL: &str = "UPDATE change SET state = ?3, seq = ?4, answer = NULL
                           WHERE position BETWEEN ?1 AND ?2 AND state = 0";
        let mut statement = self.conn.prepare_cached(SQL).doing("ask again")?;
        for stretch in self.stretches.after(after) {
            let first = stretch.first.max(after + 1);
            let values = (first as i64, stretch.last as i64, stretch.state.number(), stretch.seq as i64);
            statement.execute(values).doing("ask again")?;
        }
        answers::forget_from(&self.conn, after + 1)
    }

    /// Returns the position after which the next push asks again, `None` when nothing is left to ask. What was emptied
    /// cannot be sent under its number, and is passed.
    pub(super) fn asks_after(&self) -> Result<Option<u64>> {
        let Some(asked) = self.asked else { return Ok(None) };
        let after = self.before_provable(asked.max(self.floor()?), self.acked)?;
        Ok((after < self.acked).then_some(after))
    }

    /// Returns which changes an answer tells of that were asked for again, `(after, upto]`: `None` for the answer to
    /// something else that was under way.
    fn answered_again(&self, result: &PushResult) -> Result<Option<(u64, u64)>> {
        let Some(after) = self.asks_after()? else { return Ok(None) };
        let upto = (self.offset + result.upto_no).min(self.acked);
        let begins = result.commits.first().is_some_and(|commit| self.offset + commit.first_no <= after + 1);
        Ok((begins && upto > after).then_some((after, upto)))
    }

    pub(super) fn set_asked(&mut self, asked: Option<u64>) -> Result<()> {
        self.asked = asked;
        match asked {
            Some(asked) => meta::set(&self.conn, ASKED, asked as i64),
            None => meta::remove(&self.conn, ASKED),
        }
    }

    /// Records what became of a change, where that is another answer than it had.
    fn record_again(&self, change: &Again, told: &Told) -> Result<()> {
        const SAME: &str = "UPDATE change SET state = ?2, seq = ?3 WHERE position = ?1";
        let (Head { position, .. }, state, seq) = (change.was, change.state, change.seq);
        if !state.is_laid_over() {
            let mut statement = self.conn.prepare_cached(SAME).doing("record an answer")?;
            statement.execute((position as i64, state.number(), seq as i64)).doing("record an answer")?;
            return Ok(());
        }
        self.set_states(&Stretch { first: position, last: position, state, seq })?;
        self.set_state(position, state, told.answer(position))
    }
}

/// Returns up to which position the answers of a history that was left have been given again, `None` when none are asked for.
pub(super) fn noted_asked(conn: &Connection) -> Result<Option<u64>> {
    Ok(meta::get::<i64>(conn, ASKED)?.map(|position| position as u64))
}

/// A change that was answered again.
struct Again {
    was: Head,
    state: ChangeState,
    seq: u64,
}

impl Again {
    fn of(was: Head, now: Head) -> Self {
        let state = match now.state {
            ChangeState::Held | ChangeState::Rejected => now.state,
            // It comes off its row with the rows of the commit that has it.
            _ if was.state.is_laid_over() => ChangeState::Accepted,
            _ => was.state,
        };
        Self { was, state, seq: now.seq }
    }

    fn is_news(&self) -> bool {
        self.state != self.was.state
    }
}

impl Inner {
    /// Takes what an answer says of changes that were answered in a history which the server has left.
    pub(super) fn take_again(&mut self, result: &PushResult) -> Result<Answered> {
        let Some((after, upto)) = self.outbox.answered_again(result)? else { return Ok(Answered::default()) };
        let told = Told::of(result, &self.outbox, (after, upto))?;
        let were = self.outbox.heads_between(after, upto)?;
        let now = told.heads(were.iter().map(|head| (head.position, head.key)));
        let changes = were.into_iter().zip(now).map(|(was, now)| Again::of(was, now));
        let (erased, again): (Vec<Again>, Vec<Again>) = changes.partition(|change| told.is_erased(change.was.position));
        let asked = (upto < self.outbox.acked).then_some(upto);
        self.outbox.durably(|outbox| {
            erased.iter().try_for_each(|change| outbox.empty(&change.was))?;
            again.iter().try_for_each(|change| outbox.record_again(change, &told))?;
            outbox.set_asked(asked)
        })?;
        self.show_again(&erased, &again)
    }

    /// Shows the rows anew whose changes became something else.
    fn show_again(&mut self, erased: &[Again], again: &[Again]) -> Result<Answered> {
        let news: Vec<&Again> = again.iter().filter(|change| change.is_news()).collect();
        if !erased.is_empty() || !news.is_empty() {
            self.overlay = Overlay::load(&self.outbox)?;
            self.cache.begin()?;
            erased.iter().try_for_each(|change| self.forget_row(change.was.key))?;
            news.iter().try_for_each(|change| self.lay_over_shown(change.was.key))?;
            self.cache.commit()?;
        }
        let count = |state| news.iter().filter(|change| change.state == state).count() as u64;
        let (held, rejected) = (count(ChangeState::Held), count(ChangeState::Rejected));
        Ok(Answered { pushed: news.len() as u64, held, rejected, ..Answered::default() })
    }

    fn forget_row(&self, key: RowKey) -> Result<()> {
        self.cache.drop_base(key)?;
        self.cache.hide(key)
    }
}
