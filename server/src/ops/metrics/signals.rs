//! What sync tells about itself all the time, so that a fault is seen before a person calls.
//!
//! | metric | labels | what it says, and when to worry |
//! |---|---|---|
//! | `sync_push_gaps_total` | | a push began beyond the next number: the head of an outbox was lost; never expected |
//! | `sync_forks_total` | | a number came again with other content: a copied or restored phone; each one is worth a look |
//! | `sync_repeated_mutations_total` | | mutations that had arrived before, answered from memory; 0 for weeks means that it is untested |
//! | `sync_refetches_total` | `reason` | devices that start over: `first` (expected), `other_history` (restore), `digest` (repair) |
//! | `sync_results_total` | `outcome`, `code` | mutations that did not simply apply: merged, conflict, held, rejected, by code |
//! | `sync_salvaged_rows_total` | `result` | rows of a damaged outbox: `saved` or `lost`; every lost one must reach a person |
//! | `sync_stalls_total` | | devices in touch for over an hour with work waiting and nothing moving |
//! | `sync_failures_total` | | sessions that a fault of the server or its database ended |
//! | `sync_clock_offset_seconds` | | how far devices' clocks are off, in either direction |
//! | `sync_oldest_pending_seconds` | | the age of the oldest waiting change as a device begins a sync |
//! | `sync_refusals_total` | `reason` | requests told to come back: `queue`, `device`, `memory`, `patience`, `sign_in`, `trouble`; or dropped: `slow_body` |
//! | `sync_retry_after_seconds` | | for when devices are told to come back |
//! | `sync_queue_requests` | | requests that are read or wait for their turn now |
//! | `sync_queue_wait_seconds` | | how long a request waited for its turn |
//! | `sync_pruned_tombstones_total` | | deletions that are no longer told because they are old; devices below them compare digests |
//! | `sync_seal_seconds` | | taking a programme's next number, waiting for other writers included |
//! | `database_pool_wait_seconds` | `pool` | how long a request waited for a connection |
//! | `database_pool_timeouts_total` | `pool` | requests that got no connection in time |
//!
//! Beside them, the part that compares digests counts `sync_scope_digest_mismatch_total`, by `cause`: `expected` after a
//! damage that the device knows of, `fault` when nothing explains it, which is never expected.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use sync_protocol::wire::{Demand, Outcome, PushResult};

use crate::store::PoolMeters;

/// From a connection that is free to the end of every patience.
const WAITS_S: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];
/// From a clock that is right to one that lost its battery.
const OFFSETS_S: [f64; 8] = [1.0, 5.0, 60.0, 600.0, 3_600.0, 86_400.0, 2_592_000.0, 31_536_000.0];
/// From a minute to three months.
const AGES_S: [f64; 8] = [60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 7_776_000.0];
/// From a moment to the longest that a device is sent away.
const RETRIES_S: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 900.0];

/// The measurements of sync. The module documents each.
#[derive(Clone, Debug)]
pub struct SyncSignals {
    /// Pushes that began beyond the next number.
    pub push_gaps: IntCounter,
    /// Outboxes found to be copies, or to have gone back in time.
    pub forks: IntCounter,
    /// Mutations that had arrived before.
    pub repeated_mutations: IntCounter,
    /// Devices that start over, by reason.
    pub refetches: IntCounterVec,
    /// Mutations that did not simply apply, by outcome and code.
    pub results: IntCounterVec,
    /// Rows of damaged outboxes, `saved` or `lost`.
    pub salvaged_rows: IntCounterVec,
    /// Devices that are in touch and do not get on.
    pub stalls: IntCounter,
    /// Sessions that failed.
    pub failures: IntCounter,
    /// How far devices' clocks are off.
    pub clock_offset: Histogram,
    /// The age of the oldest waiting change.
    pub oldest_pending: Histogram,
    /// Requests told to come back, by reason.
    pub refusals: IntCounterVec,
    /// For when devices are told to come back.
    pub retry_after: Histogram,
    /// Requests that are read or wait for their turn.
    pub queue_requests: IntGauge,
    /// How long requests waited for their turn.
    pub queue_wait: Histogram,
    /// Deletions that are no longer told.
    pub pruned: IntCounter,
    /// How long taking a number took.
    pub seal: Histogram,
    /// How long requests waited for a connection, by pool.
    pub pool_wait: HistogramVec,
    /// Requests that got no connection in time, by pool.
    pub pool_timeouts: IntCounterVec,
}

impl Default for SyncSignals {
    /// Returns measurements that nobody collects.
    fn default() -> Self {
        Self {
            push_gaps: counter("sync_push_gaps_total", "Pushes that began beyond the next number."),
            forks: counter("sync_forks_total", "Outboxes that are copies or went back in time."),
            repeated_mutations: counter("sync_repeated_mutations_total", "Mutations that had arrived before."),
            refetches: counters("sync_refetches_total", "Devices that start over, by reason.", &["reason"]),
            results: counters("sync_results_total", "Mutations that did not simply apply.", &["outcome", "code"]),
            salvaged_rows: counters("sync_salvaged_rows_total", "Rows of damaged outboxes.", &["result"]),
            stalls: counter("sync_stalls_total", "Devices in touch for over an hour without getting on."),
            failures: counter("sync_failures_total", "Sessions that a fault of ours ended."),
            clock_offset: histogram("sync_clock_offset_seconds", "How far devices' clocks are off.", &OFFSETS_S),
            oldest_pending: histogram("sync_oldest_pending_seconds", "Age of the oldest waiting change.", &AGES_S),
            refusals: counters("sync_refusals_total", "Requests told to come back, by reason.", &["reason"]),
            retry_after: histogram("sync_retry_after_seconds", "For when devices are told to come back.", &RETRIES_S),
            queue_requests: valid(IntGauge::new("sync_queue_requests", "Requests that are read or wait.")),
            queue_wait: histogram("sync_queue_wait_seconds", "How long requests waited for their turn.", &WAITS_S),
            pruned: counter("sync_pruned_tombstones_total", "Deletions that are no longer told."),
            seal: histogram("sync_seal_seconds", "How long taking a programme's next number took.", &WAITS_S),
            pool_wait: valid(HistogramVec::new(
                HistogramOpts::new("database_pool_wait_seconds", "Waits for a connection.").buckets(WAITS_S.to_vec()),
                &["pool"],
            )),
            pool_timeouts: counters("database_pool_timeouts_total", "Requests without a connection.", &["pool"]),
        }
    }
}

impl SyncSignals {
    /// Returns measurements that `registry` collects.
    pub(super) fn registered(registry: &Registry) -> Self {
        let signals = Self::default();
        for collector in signals.collectors() {
            registry.register(collector).expect("no two measurements share a name");
        }
        signals
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.push_gaps.clone()),
            Box::new(self.forks.clone()),
            Box::new(self.repeated_mutations.clone()),
            Box::new(self.refetches.clone()),
            Box::new(self.results.clone()),
            Box::new(self.salvaged_rows.clone()),
            Box::new(self.stalls.clone()),
            Box::new(self.failures.clone()),
            Box::new(self.clock_offset.clone()),
            Box::new(self.oldest_pending.clone()),
            Box::new(self.refusals.clone()),
            Box::new(self.retry_after.clone()),
            Box::new(self.queue_requests.clone()),
            Box::new(self.queue_wait.clone()),
            Box::new(self.pruned.clone()),
            Box::new(self.seal.clone()),
            Box::new(self.pool_wait.clone()),
            Box::new(self.pool_timeouts.clone()),
        ]
    }

    /// Returns the measurements of a pool of connections.
    pub fn pool(&self, name: &str) -> PoolMeters {
        PoolMeters {
            wait: self.pool_wait.with_label_values(&[name]),
            timeouts: self.pool_timeouts.with_label_values(&[name]),
            seal: self.seal.clone(),
        }
    }

    /// Counts what became of a push, of which `repeated` mutations had arrived before.
    pub fn pushed(&self, result: &PushResult, repeated: u64) {
        match result.demand {
            Some(Demand::ResendFrom(_)) => self.push_gaps.inc(),
            Some(Demand::NewIncarnation) => self.forks.inc(),
            _ => self.repeated_mutations.inc_by(repeated),
        }
        for result in result.results.iter().filter(|result| result.outcome != Outcome::Applied) {
            self.results.with_label_values(&[outcome_label(result.outcome), &result.code]).inc();
        }
    }

    /// Notes what a device says of itself as it begins.
    pub fn greeted(&self, clock_offset_ms: i64, pending: u32, oldest_ms: u64) {
        self.clock_offset.observe(clock_offset_ms.unsigned_abs() as f64 / 1_000.0);
        if pending > 0 {
            self.oldest_pending.observe(oldest_ms as f64 / 1_000.0);
        }
    }
}

fn outcome_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::Merged => "merged",
        Outcome::Conflict => "conflict",
        Outcome::Held | Outcome::Unknown => "held",
        Outcome::Rejected => "rejected",
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    valid(IntCounter::new(name, help))
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    valid(IntCounterVec::new(Opts::new(name, help), labels))
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    valid(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

fn valid<T>(made: prometheus::Result<T>) -> T {
    made.expect("the name and the labels are valid")
}

#[cfg(test)]
mod tests {
    use sync_protocol::mutation::ChainHash;
    use sync_protocol::wire::MutationResult;

    use super::*;

    #[test]
    fn every_measurement_is_documented_and_collected() {
        let registry = Registry::new();
        let signals = SyncSignals::registered(&registry);
        let named: Vec<String> =
            signals.collectors().iter().flat_map(|c| c.desc().into_iter().map(|d| d.fq_name.clone())).collect();
        let documented = include_str!("signals.rs").lines().filter(|line| line.starts_with("//! | `"));
        let documented: Vec<&str> = documented.filter_map(|line| line.split('`').nth(1)).collect();
        assert_eq!(documented.len(), named.len());
        for name in &named {
            assert!(documented.contains(&name.as_str()), "{name} is not in the table of the module");
        }
    }

    #[test]
    fn a_push_counts_for_what_became_of_it() {
        let signals = SyncSignals::default();
        let mut result =
            PushResult { upto_no: 3, upto_hash: ChainHash::START, demand: None, commits: vec![], results: vec![] };
        let refused = |outcome, code: &str| MutationResult {
            no: 1,
            outcome,
            code: code.to_owned(),
            rule: None,
            field: None,
            message: None,
            args: vec![],
        };
        result.results = vec![refused(Outcome::Rejected, "REJECT_RULE"), refused(Outcome::Held, "HELD_PARENT_MISSING")];
        signals.pushed(&result, 2);
        assert_eq!(signals.repeated_mutations.get(), 2);
        assert_eq!(signals.results.with_label_values(&["rejected", "REJECT_RULE"]).get(), 1);
        assert_eq!(signals.results.with_label_values(&["held", "HELD_PARENT_MISSING"]).get(), 1);
        for (demand, counted) in [(Demand::ResendFrom(1), &signals.push_gaps), (Demand::NewIncarnation, &signals.forks)]
        {
            let refused = PushResult { demand: Some(demand), results: vec![], ..result.clone() };
            signals.pushed(&refused, 2);
            assert_eq!(counted.get(), 1);
        }
        assert_eq!(signals.repeated_mutations.get(), 2, "a refused push repeats nothing");
    }
}
