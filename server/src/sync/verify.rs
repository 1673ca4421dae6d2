//! Answers a device that checks what it holds: digests of its scopes, where they differ, and the rows it lacks.
//!
//! Everything is said of the snapshot of the last checkpoint. A device that has applied that page compares like with
//! like, whatever is written meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounterVec, Opts, Registry};
use sync_protocol::cursor::Cursor;
use sync_protocol::digest::{self, Digest, Version};
use sync_protocol::entity::EntityKind;
use sync_protocol::wire::{Digests, Listing, Message, Sums};
use uuid::Uuid;

use crate::store::{LogSnapshot, StoreError};

/// The most scopes whose digests are kept; beyond, all are forgotten and computed again.
const MAX_SCOPES: usize = 50_000;

/// What a device asks besides its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// Where it differs.
    pub sums: Vec<Sums>,
    /// Rows that it lacks: the number of the kind, and the row.
    pub wanted: Vec<(u16, Uuid)>,
}

impl Checks {
    /// Returns whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty() && self.wanted.is_empty()
    }
}

/// The digests of scopes that were computed, and the count of those that differed.
#[derive(Debug)]
pub struct Verification {
    kept: Mutex<HashMap<Uuid, Kept>>,
    mismatches: IntCounterVec,
}

/// The epoch, the floor and the head of a scope: with all three the same, so are its rows. The head alone is not
/// enough: it goes back when the last deletion is forgotten.
type Standing = (Uuid, u64, u64);

/// The digest of each kind in a scope, and the state of the scope that it is of.
#[derive(Debug)]
struct Kept {
    at: Standing,
    kinds: Arc<BTreeMap<u16, Digest>>,
}

impl Default for Verification {
    fn default() -> Self {
        let options =
            Opts::new("sync_scope_digest_mismatch_total", "Scopes of devices that differed from the server's.");
        let mismatches = IntCounterVec::new(options, &["cause"]).expect("the name and the label are valid");
        for cause in ["expected", "fault"] {
            mismatches.with_label_values(&[cause]);
        }
        Self { kept: Mutex::default(), mismatches }
    }
}

impl Verification {
    /// Lets the metrics tell how many scopes differed.
    pub fn register(&self, registry: &Registry) {
        // A second server in one process counts for itself.
        let _ = registry.register(Box::new(self.mismatches.clone()));
    }

    /// Returns how many scopes differed without a reason.
    pub fn faults(&self) -> u64 {
        self.mismatches.with_label_values(&["fault"]).get()
    }

    fn count(&self, sums: &Sums, ours: usize, device: Uuid) {
        let cause = if sums.is_expected { "expected" } else { "fault" };
        self.mismatches.with_label_values(&[cause]).inc();
        let theirs: u64 = sums.buckets.iter().map(|(_, digest)| u64::from(digest.count)).sum();
        tracing::warn!(scope = %sums.scope, %device, cause, ours, theirs, "a device does not hold what it should");
    }

    /// Returns the digests of scopes by kind; what has not changed is not computed again.
    async fn of<L: LogSnapshot>(
        &self,
        snapshot: &mut L,
        scopes: &[Uuid],
    ) -> Result<Vec<(Uuid, Arc<BTreeMap<u16, Digest>>)>, StoreError> {
        let (Cursor { epoch, .. }, floor) = (snapshot.head(), snapshot.bounds().floor_seq);
        let heads: HashMap<Uuid, u64> = snapshot.scope_heads(scopes).await?.into_iter().collect();
        let mut digests = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let at = heads.get(scope).map(|head| (epoch, floor, *head));
            let kinds = match self.find(*scope, at) {
                Some(kinds) => kinds,
                None => {
                    let kinds = Arc::new(by_kind(&snapshot.versions(*scope).await?));
                    self.keep(*scope, at, &kinds);
                    kinds
                }
            };
            digests.push((*scope, kinds));
        }
        Ok(digests)
    }

    fn find(&self, scope: Uuid, at: Option<Standing>) -> Option<Arc<BTreeMap<u16, Digest>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&scope).filter(|kept| Some(kept.at) == at).map(|kept| kept.kinds.clone())
    }

    fn keep(&self, scope: Uuid, at: Option<Standing>, kinds: &Arc<BTreeMap<u16, Digest>>) {
        let Some(at) = at else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_SCOPES {
            kept.clear();
        }
        kept.insert(scope, Kept { at, kinds: kinds.clone() });
    }
}

fn by_kind(versions: &[Version]) -> BTreeMap<u16, Digest> {
    let mut kinds: BTreeMap<u16, Digest> = BTreeMap::new();
    for version in versions {
        kinds.entry(version.kind).or_default().add(version);
    }
    kinds
}

/// What a check needs to know of who asks.
pub(super) struct Asker<'a> {
    /// The device.
    pub(super) device: Uuid,
    /// The scopes that it holds.
    pub(super) scopes: &'a [Uuid],
    /// Whether the person may read rows of a kind in a scope.
    pub(super) may_read: &'a (dyn Fn(EntityKind, Uuid) -> bool + Sync),
}

impl Asker<'_> {
    fn reads(&self, kind: u16, scope: Uuid) -> bool {
        EntityKind::from_number(kind).is_some_and(|kind| (self.may_read)(kind, scope))
    }
}

/// Returns the digests of all scopes of a device.
pub(super) async fn digests<L: LogSnapshot>(
    verification: &Verification,
    snapshot: &mut L,
    asker: &Asker<'_>,
    known_kinds: u16,
) -> Result<Message, StoreError> {
    let scopes = verification.of(snapshot, asker.scopes).await?.into_iter().map(|(scope, kinds)| {
        let mut digest = Digest::default();
        let readable = kinds.iter().filter(|(kind, _)| **kind <= known_kinds && asker.reads(**kind, scope));
        readable.for_each(|(_, own)| digest.include(own));
        (scope, digest)
    });
    Ok(Message::Digests(Digests { scopes: scopes.collect() }))
}

/// Says where the device differs in one part of a scope. A scope that it may not hold has no rows for it.
pub(super) async fn listing<L: LogSnapshot>(
    verification: &Verification,
    snapshot: &mut L,
    asker: &Asker<'_>,
    sums: &Sums,
) -> Result<Message, StoreError> {
    let scope = sums.scope;
    let mut versions = if asker.scopes.contains(&scope) { snapshot.versions(scope).await? } else { Vec::new() };
    versions.retain(|version| version.kind <= sums.kinds && asker.reads(version.kind, scope));
    if sums.prefix.is_empty() {
        verification.count(sums, versions.len(), asker.device);
    }
    let located = digest::locate(&digest::buckets(&versions, &sums.prefix), &sums.buckets, sums.prefix.len());
    versions.retain(|version| {
        digest::bucket_of(version, &sums.prefix).is_some_and(|bucket| located.listed.contains(&bucket))
    });
    let (prefix, listed, deeper) = (sums.prefix.clone(), located.listed, located.deeper);
    Ok(Message::Listing(Listing { scope, prefix, listed, deeper, versions }))
}

/// Returns those of the wanted rows that the device may have, with the scope of each.
pub(super) async fn standing<L: LogSnapshot>(
    snapshot: &mut L,
    asker: &Asker<'_>,
    wanted: &[(u16, Uuid)],
) -> Result<Vec<Version>, StoreError> {
    let found = snapshot.standing(asker.scopes, wanted).await?;
    let readable = found.into_iter().filter(|(version, scope)| asker.reads(version.kind, *scope));
    Ok(readable.map(|(version, _)| version).collect())
}
