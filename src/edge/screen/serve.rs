//! Takes connections and holds each to its limits.
//!
//! A connection that sends its request too slowly, or takes an answer too slowly, is dropped; beyond the limit of connections
//! newcomers are closed at once. It does not tell programs on this machine from one another. Never knows what is served.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_io_timeout::TimeoutStream;

/// Bytes of request line and headers. hyper takes no less.
const HEAD: usize = 8 * 1024;

/// Header lines.
const HEADERS: usize = 64;

/// How long is waited before connections are taken again, when none can be (no file handles).
const PAUSE: Duration = Duration::from_millis(200);

/// How much is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Pages that follow at a time.
    pub followers: usize,
    /// Pages that take live pictures at a time.
    pub watchers: usize,
    /// How long a request's head may take, and a connection be idle.
    pub head_within: Duration,
    /// How long a write may be stuck.
    pub stuck_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            followers: 16,
            watchers: 4,
            head_within: Duration::from_secs(5),
            stuck_for: Duration::from_secs(5),
        }
    }
}

/// Serves `router` until dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the screen takes no connections for a moment");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Nobody waits in line: whoever comes when all places are taken tries again.
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        // A failure only costs this one a few milliseconds.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.stuck_for));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(HEAD)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router.clone()));
        served.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a page's connection ended");
            }
            drop(place);
        });
    }
}
