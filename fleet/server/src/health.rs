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
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Args;
use examgate::serve::{self, Bounds};
use prometheus_client::{encoding::prometheus_text, metrics::gauge::Gauge, registry::Registry};

/// A few programs ask now and then.
const BOUNDS: Bounds = Bounds { connections: 16, per_address: 16, within: Duration::from_secs(5) };

/// What all metrics' names begin with.
const PREFIX: &str = "examgate";

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
        Self(Arc::new(Inner { registry, broker: Gauge::default(), said: Mutex::default() }))
    }

    /// Of a role that has a connection to a broker, too.
    pub(crate) fn with_broker(register: impl FnOnce(&mut Registry)) -> Self {
        let broker: Gauge = Gauge::default();
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register("broker_connected", "Whether the connection to the broker is up", broker.clone());
        register(&mut registry);
        Self(Arc::new(Inner { registry, broker, said: Mutex::default() }))
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

    fn metrics(&self) -> Response {
        let mut text = String::new();
        match prometheus_text::encode(&mut text, &self.0.registry) {
            Ok(()) => ([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
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
    let metrics = |State(board): State<Board>| async move { board.metrics() };
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
