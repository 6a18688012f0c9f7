//! What the keeper counts, for Prometheus.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The counts of the keeper. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// Manifests published.
    pub(super) manifests: Counter,
    /// Chunks published.
    pub(super) chunks: Counter,
    /// Boxes that have not reported that they hold all of their manifest.
    pub(super) out_of_date: Gauge,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Manifests published, again at each new connection";
        registry.register("keeper_manifests_asserted", help, self.manifests.clone());
        registry.register("keeper_chunks_sent", "Chunks of rosters published", self.chunks.clone());
        let help = "Boxes that have not reported that they hold all that their manifest names";
        registry.register("keeper_boxes_out_of_date", help, self.out_of_date.clone());
    }
}
