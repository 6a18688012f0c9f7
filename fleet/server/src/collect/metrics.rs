//! What the collector counts, for Prometheus.

use std::sync::atomic::AtomicU64;

use examgate::domain::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The counts of one collector. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// Events that were new.
    pub(super) committed: Counter,
    /// Messages that were not taken: not enrolled, not signed, not usable.
    pub(super) refused: Counter,
    /// Messages beyond what a box may have under way.
    pub(super) dropped: Counter,
    /// Receipts handed to the broker.
    pub(super) receipts: Counter,
    /// 1: this collector holds the lease.
    pub(super) lease: Gauge,
    last_commit: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let counters = [
            ("collector_events_committed", "Events committed to the ledger that were new", &self.committed),
            (
                "collector_messages_refused",
                "Messages that were not taken: not enrolled, not signed, not usable",
                &self.refused,
            ),
            ("collector_messages_dropped", "Messages beyond what a box may have under way", &self.dropped),
            ("collector_receipts_sent", "Receipts handed to the broker", &self.receipts),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("collector_lease_held", "Whether this collector is the active one", self.lease.clone());
        let help = "When events were last committed, seconds since 1970; 0: not since the start";
        registry.register("collector_last_commit_timestamp_seconds", help, self.last_commit.clone());
    }

    /// Events were committed, `fresh` of them new.
    pub(super) fn committed(&self, fresh: usize) {
        self.committed.inc_by(fresh as u64);
        #[expect(
            clippy::disallowed_methods,
            reason = "Prometheus compares it with its own clock; nothing is decided by it"
        )]
        let now = Timestamp::now();
        self.last_commit.set(now.as_millisecond() as f64 / 1000.0);
    }
}
