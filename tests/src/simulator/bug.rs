//! Mistakes that sync engines really made, put in on purpose: each must be found.
//!
//! They are planted around the product's code, at the seams of the simulator: no build of the server or of the SDK
//! contains them.

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bug {
    /// The server numbers a change when it begins, not when it commits.
    PlainSequence,
    /// The server answers a push before it has committed.
    AckBeforeCommit,
    /// The device keeps the place of a page before the page itself.
    PageWithoutCursor,
    /// The device gives up what the server refused.
    DropOnReject,
    /// The server lets the later wall clock win, and writes no conflict.
    LastWriterByClock,
    /// The server forgets what it has received from whom.
    RetryWithoutDedupe,
    /// The end of a permission never reaches the devices.
    MissingLeave,
    /// A device that failed several times in a row never tries again.
    StuckBackoff,
    /// The outbox of the device is not synced to the disk at every commit.
    OutboxNotSynced,
    /// The server checks scopes when it writes, not when it reads.
    ReadUnscoped,
    /// The server applies groups one by one.
    GroupTornApart,
    /// The device does not send again what a restored server lost.
    NoResend,
    /// The server forgets deletions, and takes a device that has not heard of them for one that has.
    FloorNotHeld,
    /// The server forgets under which name a merged row was known.
    AliasLost,
    /// The server drops what the merged row said where the other row says something else.
    MergeDropsValues,
    /// A restored server does not erase again what the backup still has.
    ErasuresNotRepeated,
    /// The server erases a person's rows, and keeps the bytes that were sent about them.
    ErasedBytesKept,
}

impl Bug {
    /// Every planted mistake.
    pub const ALL: [Self; 17] = [
        Self::PlainSequence,
        Self::AckBeforeCommit,
        Self::PageWithoutCursor,
        Self::DropOnReject,
        Self::LastWriterByClock,
        Self::RetryWithoutDedupe,
        Self::MissingLeave,
        Self::StuckBackoff,
        Self::OutboxNotSynced,
        Self::ReadUnscoped,
        Self::GroupTornApart,
        Self::NoResend,
        Self::FloorNotHeld,
        Self::AliasLost,
        Self::MergeDropsValues,
        Self::ErasuresNotRepeated,
        Self::ErasedBytesKept,
    ];

    /// Returns the name on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
