//! Whether a role works, over HTTP: `/healthz` in plain sentences for people and supervisors, `/metrics` for Prometheus.
//!
//! On this machine only unless it is told another address. It shows no student and no box, takes no input and alters nothing. It is neither
//! encrypted nor protected by a password: every client that reaches it can read it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Args;
use examgate::serve::{self, Bounds};
use prometheus_client::{
    encoding::{prometheus_protobuf, prometheus_text, text},
    metrics::gauge::Gauge,
    registry::Registry,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// A few programs ask now and then.
const BOUNDS: Bounds = Bounds { connections: 16, per_address: 16, within: Duration::from_secs(5) };

/// What all metrics' names begin with.
const PREFIX: &str = "examgate";

/// How many scrapes are written at a time. That of a bridge is long.
const SCRAPES: usize = 2;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' protobuf format, the only one with native histograms.
    Protobuf,
}

impl Format {
    /// What a client that sends this `Accept` likes best (RFC 9110, section 12.5.1); text when it says nothing that is known.
    fn of(accept: &str) -> Self {
        let liked = |part: &str| {
            let mut parameters = part.split(';').map(str::trim);
            let format = match parameters.next()? {
                "text/plain" => Self::Text,
                "application/openmetrics-text" => Self::OpenMetrics,
                "application/vnd.google.protobuf" => Self::Protobuf,
                _ => return None,
            };
            let rest: Vec<&str> = parameters.collect();
            // Other encodings and versions are of the same media type.
            let is_ours = match format {
                Self::Protobuf => {
                    rest.contains(&"proto=io.prometheus.client.MetricFamily") && rest.contains(&"encoding=delimited")
                }
                Self::OpenMetrics => {
                    rest.iter().all(|one| !one.starts_with("version=") || one.starts_with("version=1.0"))
                }
                Self::Text => true,
            };
            let weight = rest.iter().find_map(|one| one.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse().ok());
            weight.filter(|weight: &f64| is_ours && *weight > 0.0).map(|weight| (format, weight))
        };
        let first_of_best = |best: Option<(Self, f64)>, next: (Self, f64)| match best {
            Some(best) if best.1 >= next.1 => Some(best),
            _ => Some(next),
        };
        accept.split(',').filter_map(liked).fold(None, first_of_best).map_or(Self::Text, |(format, _)| format)
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    fn write(self, registry: &Registry) -> Option<Vec<u8>> {
        let mut text = String::new();
        match self {
            Self::Text => prometheus_text::encode(&mut text, registry).ok()?,
            Self::OpenMetrics => text::encode(&mut text, registry).ok()?,
            Self::Protobuf => return prometheus_protobuf::encode_to_vec(registry).ok(),
        }
        Some(text.into_bytes())
    }
}

/// Where health is told.
#[derive(Debug, Args)]
pub(crate) struct HealthArguments {
    /// Serve /healthz and /metrics (Prometheus) over plain HTTP. A port alone is open to this machine only.
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = address)]
    health: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| "want a port or ADDRESS:PORT, for instance 9710 or 192.0.2.7:9710".into())
}

impl HealthArguments {
    /// Listens, if that is asked for.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(crate) fn listen(&self) -> Result<Option<TcpListener>> {
        let Some(address) = self.health else { return Ok(None) };
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(listener)
        };
        listen().map(Some).with_context(|| format!("--health: cannot listen on {address}"))
    }
}

/// What a role says about itself. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Board(Arc<Inner>);

struct Inner {
    registry: Registry,
    broker: Gauge,
    said: Mutex<Said>,
    scrapes: Semaphore,
}

#[derive(Default)]
struct Said {
    /// What is wrong, by the part it is wrong with.
    troubles: BTreeMap<&'static str, String>,
    /// What it does when nothing is wrong.
    does: String,
}

impl Board {
    /// Of a role that counts what `register` registers.
    pub(crate) fn new(register: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        register(&mut registry);
        Self::over(registry, Gauge::default())
    }

    /// Of a role that has a connection to a broker, too.
    pub(crate) fn with_broker(register: impl FnOnce(&mut Registry)) -> Self {
        let broker: Gauge = Gauge::default();
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register("broker_connected", "Whether the connection to the broker is up", broker.clone());
        register(&mut registry);
        Self::over(registry, broker)
    }

    fn over(registry: Registry, broker: Gauge) -> Self {
        Self(Arc::new(Inner { registry, broker, said: Mutex::default(), scrapes: Semaphore::new(SCRAPES) }))
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is wrong with `part`, until it is well again.
    pub(crate) fn trouble(&self, part: &'static str, what: impl Into<String>) {
        self.said().troubles.insert(part, what.into());
    }

    /// Nothing is wrong with `part`.
    pub(crate) fn well(&self, part: &'static str) {
        self.said().troubles.remove(part);
    }

    /// What the role does.
    pub(crate) fn does(&self, what: impl Into<String>) {
        self.said().does = what.into();
    }

    /// The connection to the broker is up.
    pub(crate) fn connected(&self) {
        self.0.broker.set(1);
        self.well("broker");
    }

    /// There is no connection to the broker, although there should be.
    pub(crate) fn disconnected(&self, why: impl Into<String>) {
        self.0.broker.set(0);
        self.trouble("broker", why);
    }

    /// There is no connection to the broker, and there should be none.
    pub(crate) fn left(&self) {
        self.0.broker.set(0);
        self.well("broker");
    }

    /// 200 and what it does, or 503 and what is wrong, a line each.
    fn health(&self) -> (StatusCode, String) {
        let said = self.said();
        if said.troubles.is_empty() {
            return (StatusCode::OK, format!("{}\n", said.does));
        }
        let lines = said.troubles.iter().map(|(part, what)| format!("{part}: {what}\n"));
        (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
    }

    /// Written on a thread of its own: many boxes take a while, and messages go on meanwhile.
    async fn metrics(self, format: Format) -> Response {
        let Ok(_place) = self.0.scrapes.acquire().await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let inner = Arc::clone(&self.0);
        match spawn_blocking(move || format.write(&inner.registry)).await {
            Ok(Some(written)) => ([(header::CONTENT_TYPE, format.content_type())], written).into_response(),
            Ok(None) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// Serves what is said here at `listener`, if there is one, for as long as it is polled.
    pub(crate) async fn serve(self, listener: Option<TcpListener>) -> Result<()> {
        let Some(listener) = listener else { return std::future::pending().await };
        let listener = tokio::net::TcpListener::from_std(listener).context("the health endpoint")?;
        tracing::info!(at = %listener.local_addr()?, "health and metrics");
        let plain = |wire| async { Ok(wire) };
        serve::serve("health endpoint", listener, BOUNDS, plain, router(self)).await;
        Ok(())
    }
}

fn router(board: Board) -> Router {
    let health = |State(board): State<Board>| async move { board.health() };
    let metrics = |State(board): State<Board>, headers: HeaderMap| async move {
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        board.metrics(Format::of(&accept.collect::<Vec<_>>().join(","))).await
    };
    Router::new().route("/healthz", get(health)).route("/metrics", get(metrics)).with_state(board)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        assert_eq!(address("9710"), Ok(SocketAddr::from(([127, 0, 0, 1], 9710))));
        assert_eq!(address("[2001:db8::1]:9710"), Ok("[2001:db8::1]:9710".parse().unwrap()));
        for wrong in ["", "localhost", "localhost:9710", "70000", "192.0.2.7"] {
            assert!(address(wrong).unwrap_err().contains("9710"), "{wrong}");
        }
    }

    #[test]
    fn a_client_gets_the_format_that_it_likes_best() {
        // What Prometheus 2.42 sends, without and with native histograms, and 3.5.
        let plain = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let newer = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html, text/plain;q=0.1", Format::Text),
            (plain, Format::OpenMetrics),
            (native, Format::Protobuf),
            (newer, Format::OpenMetrics),
            ("application/vnd.google.protobuf;encoding=text, text/plain", Format::Text),
            ("application/openmetrics-text;q=0, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("text/plain;q=x", Format::Text),
        ] {
            assert_eq!(Format::of(accept), format, "{accept}");
        }
    }

    #[test]
    fn every_trouble_is_told_until_it_is_over() {
        let board = Board::with_broker(|_| {});
        board.does("collecting");
        assert_eq!(board.health(), (StatusCode::OK, "collecting\n".into()));
        board.disconnected("it refuses the certificate");
        board.trouble("ledger", "the disk is full");
        let told = "broker: it refuses the certificate\nledger: the disk is full\n";
        assert_eq!(board.health(), (StatusCode::SERVICE_UNAVAILABLE, told.into()));
        board.connected();
        assert_eq!(board.health().1, "ledger: the disk is full\n");
        board.well("ledger");
        board.left();
        assert_eq!(board.health().0, StatusCode::OK);
    }
}
