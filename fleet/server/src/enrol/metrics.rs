//! What the enrolment endpoint counts, for Prometheus.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The counts of the endpoint. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// Requests answered with a certificate.
    pub(super) enrolled: Counter,
    /// Requests of enrolled boxes answered with another certificate.
    pub(super) renewed: Counter,
    /// Requests refused.
    pub(super) refused: Counter,
    /// Requests that failed by the fleet's own fault.
    pub(super) failed: Counter,
    /// When the time of the list of revoked certificates is over, seconds since 1970.
    pub(super) list_until: Gauge,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("enrolment_requests_served", "Requests answered with a certificate", &self.enrolled),
            ("certificates_renewed", "Certificates that enrolled boxes renewed", &self.renewed),
            ("enrolment_requests_refused", "Requests refused", &self.refused),
            ("enrolment_requests_failed", "Requests that failed by the fleet's own fault", &self.failed),
        ] {
            registry.register(name, help, counter.clone());
        }
        let help = "When the time of the list of revoked certificates is over, seconds since 1970: brokers refuse everybody then";
        registry.register("revoked_list_until_timestamp_seconds", help, self.list_until.clone());
    }
}
