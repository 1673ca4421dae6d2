//! How often what can go wrong did go wrong: a fault that never comes proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use sync_protocol::message::MessageKey;
use sync_protocol::wire::{Commit, History, Message, Outcome};

/// A push of so many changes is a large one.
const LARGE: u64 = 50;

/// Something that a history can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Met {
    /// A request did not arrive.
    LostRequest,
    /// A reply did not arrive.
    LostReply,
    /// A request could not leave, because the network was cut.
    CutUp,
    /// A reply could not come back, because the network was cut.
    CutDown,
    /// A request arrived twice within seconds.
    Duplicate,
    /// A request arrived again much later.
    LateDuplicate,
    /// A request or reply took longer than any latency, so that others overtook it.
    Overtaken,
    /// A reply broke off.
    Truncated,
    /// A bit of a reply was another one.
    Flipped,
    /// Something else than the server answered.
    Portal,
    /// The server had no time.
    Busy,
    /// A reply held frames of a newer version.
    NewerFrames,
    /// The application was stopped in the middle of its work.
    AppKilled,
    /// The power of a phone went, with what was not synced.
    PowerLost,
    /// A disk was full.
    DiskFull,
    /// A disk failed.
    DiskBroken,
    /// A person was told that something is not kept.
    SaveFailed,
    /// A newer version of the application opened the files of an older one.
    Upgraded,
    /// And there was work in the outbox.
    UpgradedWithWork,
    /// The server stopped before it had committed.
    ServerDiedBefore,
    /// The server stopped after a commit that nobody heard of.
    ServerDiedAfter,
    /// The server was restored from a backup that lacked something.
    ServerRestored,
    /// A phone went back to where the histories of the server part.
    WentBack,
    /// A phone fetched everything anew.
    StartedOver,
    /// Something was recorded under a clock that was wrong by more than a day.
    WrongClock,
    /// A clock jumped.
    ClockJump,
    /// A token ran out.
    TokenExpired,
    /// New tokens did not arrive.
    TokensLost,
    /// A barred person was signed out.
    SignedOut,
    /// Someone got a permission.
    Granted,
    /// Someone lost a permission.
    GrantTaken,
    /// Someone was barred, or let in again.
    Barred,
    /// A transaction of the office stayed open while others committed.
    SlowOffice,
    /// Bytes that are no mutation, or a kind that this server does not know.
    PoisonHeld,
    /// A change that is always refused.
    PoisonRefused,
    /// A change of an older or newer version of the application.
    OtherVersion,
    /// A push of at least fifty changes.
    LargePush,
    /// A request of a slow network that said that the next one brings more.
    MoreFollows,
    /// Changes that belong together.
    Group,
    /// A change was merged.
    Merged,
    /// A change met another one.
    Conflict,
    /// A change was held.
    Held,
    /// A change was refused.
    Rejected,
    /// The server asked for what it lacked.
    ResendFrom,
    /// A phone was restored from its own backup.
    PhoneRestored,
    /// A phone was copied.
    PhoneCloned,
    /// The office decided whether two records are one.
    MergeDecided,
    /// A change named a record that was merged into another one.
    NamedMerged,
    /// A month came whose job record was merged into another one before.
    LateMonth,
    /// A record about a person was erased.
    Erased,
    /// A restored server had to erase a person again.
    ErasedAgain,
    /// A change about someone who was erased came later.
    AboutErased,
    /// A phone was started anew, and its uptime with it.
    Restarted,
    /// Nobody can tell when a change was made.
    ClockHeld,
    /// The office let such a change take effect.
    UndatedApproved,
    /// The office gave such a change back.
    UndatedReturned,
    /// The server forgot deletions.
    Pruned,
    /// A permission changed where only a right clock tells what was done before: pairs are not compared.
    CloseCall,
}

impl Met {
    /// Everything that some history must meet.
    pub const ALL: [Self; 58] = [
        Self::LostRequest,
        Self::LostReply,
        Self::CutUp,
        Self::CutDown,
        Self::Duplicate,
        Self::LateDuplicate,
        Self::Overtaken,
        Self::Truncated,
        Self::Flipped,
        Self::Portal,
        Self::Busy,
        Self::NewerFrames,
        Self::AppKilled,
        Self::PowerLost,
        Self::DiskFull,
        Self::DiskBroken,
        Self::SaveFailed,
        Self::Upgraded,
        Self::UpgradedWithWork,
        Self::ServerDiedBefore,
        Self::ServerDiedAfter,
        Self::ServerRestored,
        Self::WentBack,
        Self::StartedOver,
        Self::WrongClock,
        Self::ClockJump,
        Self::TokenExpired,
        Self::TokensLost,
        Self::SignedOut,
        Self::Granted,
        Self::GrantTaken,
        Self::Barred,
        Self::SlowOffice,
        Self::PoisonHeld,
        Self::PoisonRefused,
        Self::OtherVersion,
        Self::LargePush,
        Self::MoreFollows,
        Self::Group,
        Self::Merged,
        Self::Conflict,
        Self::Held,
        Self::Rejected,
        Self::ResendFrom,
        Self::PhoneRestored,
        Self::PhoneCloned,
        Self::MergeDecided,
        Self::NamedMerged,
        Self::LateMonth,
        Self::Erased,
        Self::ErasedAgain,
        Self::AboutErased,
        Self::Restarted,
        Self::ClockHeld,
        Self::UndatedApproved,
        Self::UndatedReturned,
        Self::Pruned,
        Self::CloseCall,
    ];
}

/// How often, and in how many histories.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<Met, (u64, u64)>);

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, met: Met) {
        let (times, histories) = self.0.entry(met).or_default();
        (*times, *histories) = (*times + 1, 1);
    }

    /// Counts when it is so.
    pub fn count_if(&mut self, is_so: bool, met: Met) {
        if is_so {
            self.count(met);
        }
    }

    /// Counts what an answer of the server says.
    pub fn count_answer(&mut self, messages: impl Iterator<Item = impl std::borrow::Borrow<Message>>) {
        for message in messages {
            match message.borrow() {
                Message::Welcome(welcome) => {
                    let is_other = welcome.history == History::Other;
                    self.count_if(is_other && welcome.common.is_some(), Met::WentBack);
                    self.count_if(is_other && welcome.common.is_none(), Met::StartedOver);
                }
                Message::PushResult(result) => {
                    let is_large = |commit: &Commit| commit.last_no - commit.first_no + 1 >= LARGE;
                    self.count_if(result.commits.iter().any(is_large), Met::LargePush);
                    self.count_if(result.demand.is_some(), Met::ResendFrom);
                    let tells = |key: MessageKey| result.results.iter().any(|one| one.code == key.code());
                    self.count_if(tells(MessageKey::RejectErased), Met::AboutErased);
                    self.count_if(tells(MessageKey::HeldClockImplausible), Met::ClockHeld);
                    result.results.iter().filter_map(|one| outcome(one.outcome)).for_each(|met| self.count(met));
                }
                _ => {}
            }
        }
    }

    /// Returns whether something was met.
    pub fn has(&self, met: Met) -> bool {
        self.0.contains_key(&met)
    }

    /// Adds what another part of the history, or another history, has counted.
    pub fn add(&mut self, other: &Self, is_same_history: bool) {
        for (met, (times, histories)) in &other.0 {
            let sum = self.0.entry(*met).or_default();
            sum.0 += times;
            sum.1 = if is_same_history { 1 } else { sum.1 + histories };
        }
    }

    /// Returns what was never met.
    pub fn never(&self) -> Vec<Met> {
        Met::ALL.into_iter().filter(|met| !self.0.contains_key(met)).collect()
    }
}

fn outcome(outcome: Outcome) -> Option<Met> {
    match outcome {
        Outcome::Merged => Some(Met::Merged),
        Outcome::Conflict => Some(Met::Conflict),
        Outcome::Held => Some(Met::Held),
        Outcome::Rejected => Some(Met::Rejected),
        Outcome::Applied | Outcome::Unknown => None,
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for met in Met::ALL {
            let (times, histories) = self.0.get(&met).copied().unwrap_or_default();
            let name = format!("{met:?}");
            writeln!(f, "{name:>18}  {times:>9} times in {histories:>7} histories")?;
        }
        Ok(())
    }
}
