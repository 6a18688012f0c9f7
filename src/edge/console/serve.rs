//! Takes connections over TLS and holds each to its limits.
//!
//! Whoever is slow with a handshake, a request or an answer is dropped; beyond the limits of connections newcomers are closed at
//! once, so that one address cannot take all places. Never knows what is served.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;
use tokio_openssl::SslStream;

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
    /// Connections of one address at a time.
    pub per_address: usize,
    /// Pages that follow at a time.
    pub followers: usize,
    /// Pages of one session that follow at a time.
    pub per_session: usize,
    /// How long a handshake, a request's head, and a request's body may take each; how long a connection may be idle.
    pub within: Duration,
    /// Bytes of a request's body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 96,
            per_address: 24,
            followers: 16,
            per_session: 4,
            within: Duration::from_secs(5),
            body: 4 * 1024,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// How many connections each address has.
type Places = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One address's place; given back when dropped.
struct Place(Places, IpAddr);

impl Place {
    fn take(places: &Places, address: IpAddr, most: usize) -> Option<Self> {
        let mut taken = places.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Self(Arc::clone(places), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.1);
            }
        }
    }
}

/// Serves `router` until dropped.
pub(super) async fn serve(listener: TcpListener, acceptor: SslAcceptor, router: Router, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let places = Places::default();
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the console takes no connections for a moment");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let peer = address.ip().to_canonical();
        // Nobody waits in line: whoever comes when all places are taken tries again.
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else { continue };
        let Some(place) = Place::take(&places, peer, limits.per_address) else { continue };
        let (acceptor, router) = (acceptor.clone(), router.clone());
        served.spawn(async move {
            let _held = (seat, place);
            if let Err(error) = converse(stream, &acceptor, router.layer(Extension(Peer(peer))), limits).await {
                tracing::debug!(error, "a connection to the console ended");
            }
        });
    }
}

/// One connection, from its handshake to its end.
async fn converse(
    stream: TcpStream,
    acceptor: &SslAcceptor,
    router: Router,
    limits: Limits,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.within));
    let mut stream = SslStream::new(Ssl::new(acceptor.context())?, Box::pin(stream))?;
    tokio::time::timeout(limits.within, Pin::new(&mut stream).accept()).await??;
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.within)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    Ok(served.await?)
}
