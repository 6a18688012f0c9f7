//! What the enrolment endpoint counts, for Prometheus.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// The counts of the endpoint. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// Requests answered with a certificate.
    pub(super) enrolled: Counter,
    /// Requests refused.
    pub(super) refused: Counter,
    /// Requests that failed by the fleet's own fault.
    pub(super) failed: Counter,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("enrolment_requests_served", "Requests answered with a certificate", &self.enrolled),
            ("enrolment_requests_refused", "Requests refused", &self.refused),
            ("enrolment_requests_failed", "Requests that failed by the fleet's own fault", &self.failed),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}
