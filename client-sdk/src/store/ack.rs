//! Taking the server's answer to a push: one transaction in the outbox, then the cache.

use std::collections::{BTreeMap, HashMap};

use sync_protocol::entity::Row;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::wire::{Commit, Outcome, PushResult};

use super::answers::{self, Stretch};
use super::cache::{Base, LOCAL_ONLY};
use super::change::{Answer, ChangeState};
use super::erase;
use super::outbox::{Head, Outbox, RowKey};
use super::overlay::{Layer, Overlay};
use super::write::laid_over;
use super::{Inner, Store};
use crate::error::{Doing as _, Result};

/// What an answer settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Changes that the server now has for good, or of which it says something else than in a history that it has left.
    pub pushed: u64,
    /// Of these: kept by the server until something else happens.
    pub held: u64,
    /// Of these: refused.
    pub rejected: u64,
    /// Of these: met a concurrent edit.
    pub conflicts: u64,
    /// Whether the server has something else under our numbers: a new incarnation is needed.
    pub is_foreign: bool,
}

impl Store {
    /// Takes the answer to a push. Taking it again changes nothing.
    pub fn apply_result(&self, result: &PushResult) -> Result<Answered> {
        let answered = self.drain(|inner| inner.take_answer(result))?;
        self.notify_shown();
        Ok(answered)
    }
}

impl Inner {
    fn take_answer(&mut self, result: &PushResult) -> Result<Answered> {
        if self.outbox.is_asked_otherwise() {
            return Ok(Answered::default());
        }
        let upto = self.outbox.offset + result.upto_no;
        let is_ours = self.outbox.hash_at(upto)? == Some(result.upto_hash);
        if is_ours {
            self.outbox.share(upto, result.demand)?;
        }
        self.outbox.pass_emptied()?;
        let is_outrun = self.outbox.is_outrun()?;
        let again = if is_ours { self.take_again(result)? } else { Answered::default() };
        if upto <= self.outbox.acked {
            return Ok(Answered { is_foreign: is_outrun, ..again });
        }
        if !is_ours {
            return Ok(Answered { is_foreign: true, ..Answered::default() });
        }
        let from = self.outbox.acked;
        let told = Told::of(result, &self.outbox, (from, upto))?;
        // Before the overlay is read anew, which no longer has what was confirmed.
        let heads = told.heads(self.overlay.between(from, upto));
        let erased: Vec<Head> = heads.iter().filter(|head| told.is_erased(head.position)).copied().collect();
        self.outbox.lazily(|outbox| {
            outbox.record_answers(&told, upto)?;
            erased.iter().try_for_each(|head| outbox.empty(head))
        })?;
        self.outbox.acked = upto;
        self.outbox.note_reached();
        self.outbox.stretches.extend(told.stretches.iter().copied());
        if !erased.is_empty() {
            self.overlay = Overlay::load(&self.outbox)?;
        }
        self.cache.begin()?;
        erased.iter().try_for_each(|head| self.cache.drop_base(head.key))?;
        let (given_up, heads): (Vec<Head>, Vec<Head>) =
            heads.into_iter().partition(|head| told.given_up.contains(&head.position));
        given_up.iter().try_for_each(|head| self.take_off(head))?;
        self.confirm(&heads)?;
        match from < self.cache.acked {
            // An answer that the cache has taken before: since then, rows may have left with their scope.
            true => self.drop_foreign_scopes()?,
            false => self.drop_settled_scopes()?,
        }
        self.cache.acked = self.cache.acked.max(upto);
        self.cache.commit()?;
        Ok(Answered { pushed: upto - from, is_foreign: is_outrun, ..told.answered }.with(again))
    }

    fn take_off(&mut self, head: &Head) -> Result<()> {
        self.overlay.remove(head.position);
        self.refresh(head.key)
    }
}

impl Answered {
    fn with(self, other: Self) -> Self {
        let (held, rejected) = (self.held + other.held, self.rejected + other.rejected);
        Self { pushed: self.pushed + other.pushed, held, rejected, ..self }
    }
}

/// What an answer says of the changes that it is about.
pub(super) struct Told {
    /// Without gaps, oldest first.
    stretches: Vec<Stretch>,
    /// Of which it says something else than of their stretch.
    singles: BTreeMap<u64, (ChangeState, Answer)>,
    /// What was refused once more after its author had given it up, or had put another change in its place.
    given_up: Vec<u64>,
    answered: Answered,
}

impl Told {
    /// Reads what an answer says of the changes in `(after, upto]`.
    pub(super) fn of(result: &PushResult, outbox: &Outbox, (after, upto): (u64, u64)) -> Result<Self> {
        let stretches = stretches(result, outbox, (after, upto));
        let (mut singles, mut given_up, mut answered) = (BTreeMap::new(), Vec::new(), Answered::default());
        for one in &result.results {
            let position = outbox.offset + one.no;
            if position <= after || position > upto {
                continue;
            }
            let state = match one.outcome {
                Outcome::Applied => continue,
                Outcome::Merged => ChangeState::Accepted,
                Outcome::Conflict => {
                    answered.conflicts += 1;
                    ChangeState::Accepted
                }
                Outcome::Held | Outcome::Unknown => {
                    answered.held += 1;
                    ChangeState::Held
                }
                Outcome::Rejected if outbox.was_given_up(position)? => {
                    given_up.push(position);
                    ChangeState::Settled
                }
                Outcome::Rejected => {
                    answered.rejected += 1;
                    ChangeState::Rejected
                }
            };
            singles.insert(position, (state, Answer::from(one)));
        }
        Ok(Self { stretches, singles, given_up, answered })
    }

    /// Returns whether a change came too late: the server has erased what it is about. It is emptied together with the
    /// answer, which does not come a second time.
    pub(super) fn is_erased(&self, position: u64) -> bool {
        self.answer(position).is_some_and(erase::is_erased)
    }

    /// Returns what is said of a change, where that is more than "applied as sent".
    pub(super) fn answer(&self, position: u64) -> Option<&Answer> {
        self.singles.get(&position).map(|(_, answer)| answer)
    }

    /// Returns changes as they stand now, oldest first. Everything that waited for the answer is laid over its row.
    pub(super) fn heads(&self, changes: impl Iterator<Item = (u64, RowKey)>) -> Vec<Head> {
        let mut stretches = self.stretches.iter().peekable();
        let head = |(position, key)| {
            while stretches.next_if(|stretch| stretch.last < position).is_some() {}
            let (state, seq) = stretches.peek().map_or((ChangeState::Accepted, 0), |s| (s.state, s.seq));
            let state = self.singles.get(&position).map_or(state, |(state, _)| *state);
            Head { position, key, state, seq }
        };
        changes.map(head).collect()
    }
}

/// Cuts what an answer is about into stretches. What the server does not mention it has, in a commit that is still
/// to come with the rows.
fn stretches(result: &PushResult, outbox: &Outbox, (after, upto): (u64, u64)) -> Vec<Stretch> {
    let unmentioned = |first, last| Stretch { first, last, state: ChangeState::Accepted, seq: 0 };
    let (mut stretches, mut next) = (Vec::with_capacity(result.commits.len()), after + 1);
    for commit in &result.commits {
        let (first, last) = ((outbox.offset + commit.first_no).max(next), (outbox.offset + commit.last_no).min(upto));
        if first > last {
            continue;
        }
        if first > next {
            stretches.push(unmentioned(next, first - 1));
        }
        stretches.push(Stretch { first, last, state: state_of(commit), seq: commit.seq });
        next = last + 1;
    }
    if next <= upto {
        stretches.push(unmentioned(next, upto));
    }
    stretches
}

impl Outbox {
    fn record_answers(&mut self, told: &Told, upto: u64) -> Result<()> {
        for stretch in &told.stretches {
            // What is still to be settled is found by its own state.
            match stretch.state.is_laid_over() {
                true => self.set_states(stretch)?,
                false => answers::keep(&self.conn, stretch)?,
            }
        }
        for (position, (state, answer)) in &told.singles {
            let seq = told.stretches.iter().find(|stretch| stretch.contains(*position)).map_or(0, |s| s.seq);
            self.set_states(&Stretch { first: *position, last: *position, state: *state, seq })?;
            self.set_state(*position, *state, Some(answer))?;
        }
        answers::set_acked(&self.conn, upto)
    }

    pub(super) fn set_states(&self, stretch: &Stretch) -> Result<()> {
        const SQL: &str = "UPDATE change SET state = ?3, seq = ?4, answer = NULL WHERE position BETWEEN ?1 AND ?2";
        let mut statement = self.conn.prepare_cached(SQL).doing("record answers")?;
        let values = (stretch.first as i64, stretch.last as i64, stretch.state.number(), stretch.seq as i64);
        statement.execute(values).doing("record answers")?;
        Ok(())
    }
}

/// A change that was not applied exactly as sent waits for the row as the server has it.
fn state_of(commit: &Commit) -> ChangeState {
    match (commit.verbatim, commit.seq) {
        (true, 0) => ChangeState::Settled,
        (true, _) => ChangeState::Confirmed,
        (false, _) => ChangeState::Accepted,
    }
}

impl Inner {
    /// Brings the cache to the answers. Confirmed rows are right already and only get their version.
    pub(super) fn confirm(&mut self, heads: &[Head]) -> Result<()> {
        let mut mixed: HashMap<RowKey, Vec<Head>> = HashMap::new();
        let has_bases = self.cache.has_bases()?;
        for head in heads {
            if let [layer] = self.overlay.layers(head.key)
                && !self.is_parting()
                && head.state == ChangeState::Confirmed
                && !self.is_repeat(head)
                && (!has_bases || self.is_shown_right(head.key, layer)?)
            {
                self.overlay.remove(head.position);
                self.cache.set_seq(head.key, head.seq)?;
                if has_bases {
                    self.cache.drop_base(head.key)?;
                }
            } else {
                mixed.entry(head.key).or_default().push(*head);
            }
        }
        mixed.iter().try_for_each(|(key, heads)| self.confirm_row(*key, heads))
    }

    /// Returns whether the answers are those that a copy of this phone got: its commits may hold more than both have
    /// in common, so that they tell no version of a row.
    fn is_parting(&self) -> bool {
        self.outbox.seek.is_some()
    }

    /// Returns whether the cache has taken this answer before: a loss of power undid it in the outbox only. The cache
    /// may know by now that the row is gone.
    fn is_repeat(&self, head: &Head) -> bool {
        head.position <= self.cache.acked
    }

    /// Returns whether the commit of an answer is beyond the place of the cache, which knows nothing from there on: a
    /// restored server may have taken the change anew. What became of the row since is still to come.
    fn is_beyond(&self, head: &Head) -> Result<bool> {
        Ok(head.seq > self.cursor()?.seq)
    }

    /// Returns whether a row is shown as the server has it once its only change is confirmed. A row that was created here
    /// and has an older version aside is not: that comes from a history which a restored server has left, and may show
    /// what others wrote there.
    fn is_shown_right(&self, key: RowKey, layer: &Layer) -> Result<bool> {
        let beneath = self.cache.base(key)?.map(|base| base.seq);
        Ok(match layer.op {
            Op::Put => beneath.is_none(),
            Op::Patch => is_known_after(beneath, layer.op, layer.base_seq),
            Op::Delete => true,
        })
    }

    /// Moves the confirmed changes of a row into the server's version of it.
    fn confirm_row(&mut self, key: RowKey, heads: &[Head]) -> Result<()> {
        let base = self.cache.base(key)?;
        let known = base.as_ref().map_or(0, |base| base.seq);
        let mut version = Version { is_known: !self.is_parting(), ..Version::of(base) };
        let mut confirmed = false;
        for head in heads {
            // A version that came from the server already holds what was confirmed up to it.
            let is_news = head.seq > known.max(0) as u64 && (!self.is_repeat(head) || self.is_beyond(head)?);
            if head.state == ChangeState::Confirmed && is_news {
                let mutation = self.outbox.mutation(head.position)?;
                confirmed |= mutation.op != Op::Delete || version.row.is_some();
                version.confirm(&mutation, head.seq);
            }
            self.overlay.set_state(head.position, head.state, head.seq);
        }
        let is_known = version.is_known;
        if confirmed {
            self.keep_version(key, version, false)?;
        }
        self.refresh(key)?;
        if is_known { Ok(()) } else { self.want((key.0.number(), key.1)) }
    }

    /// Keeps the server's version of a row aside, or shows it no longer where the server has none.
    pub(super) fn keep_version(&self, key: RowKey, version: Version, is_gone: bool) -> Result<()> {
        match version.row {
            Some(row) => self.cache.keep_base(key.0, &Base { seq: version.seq.unwrap_or(LOCAL_ONLY), row, is_gone }),
            None => {
                self.cache.drop_base(key)?;
                self.cache.hide(key)
            }
        }
    }
}

/// The server's version of a row, into which confirmed changes move.
pub(super) struct Version {
    seq: Option<i64>,
    row: Option<Row>,
    /// Whether it is what the server has, so that it may bear the numbers of the changes.
    pub(super) is_known: bool,
}

impl Version {
    pub(super) fn of(base: Option<Base>) -> Self {
        let (seq, row) = base.map(|base| (base.seq, base.row)).unzip();
        Self { seq, row, is_known: true }
    }

    /// Moves a change into it that the server has in the commit `seq`. Of a row that the change created, it has nothing
    /// else.
    pub(super) fn confirm(&mut self, mutation: &Mutation, seq: u64) {
        self.is_known &= is_known_after(self.seq, mutation.op, mutation.base_seq);
        if self.is_known {
            self.seq = self.seq.max(Some(seq as i64));
        }
        let before = self.row.take().filter(|_| mutation.op != Op::Put);
        self.row = laid_over(before, mutation);
    }
}

/// Returns whether a row is known after a change that the server has exactly as recorded. A change of some fields tells
/// nothing of the others where the version that it was made on is not here: that has not come again from a restored
/// server, or was lost with the power.
fn is_known_after(beneath: Option<i64>, op: Op, base_seq: u64) -> bool {
    let is_here = |seq: i64| seq > LOCAL_ONLY && seq as u64 >= base_seq;
    op != Op::Patch || beneath.is_none_or(is_here)
}
