//! What the bridge counts of its own work, for Prometheus.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::boxes::Outcome;

/// A label of one name and few values.
type Label = [(&'static str, &'static str); 1];

/// The counts of the bridge. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// Telemetry by what became of it.
    telemetry: Family<Label, Counter>,
    /// Series in accepted telemetry that were not understood.
    pub(super) passed_over: Counter,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        // Every outcome is there from the start, so that the first one shows as an increase.
        for outcome in Outcome::ALL {
            drop(self.telemetry.get_or_create(&[("outcome", outcome.name())]));
        }
        let help = "Messages of telemetry by what became of them; only accepted ones count in the boxes' series";
        registry.register("bridge_telemetry", help, self.telemetry.clone());
        let help = "Series of accepted telemetry that were not understood: is a box's software newer than the fleet's?";
        registry.register("bridge_series_passed_over", help, self.passed_over.clone());
    }

    /// This became of a message.
    pub(super) fn count(&self, outcome: Outcome) {
        self.telemetry.get_or_create(&[("outcome", outcome.name())]).inc();
    }
}
