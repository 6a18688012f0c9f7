//! Accepts connections and enforces their limits: timeouts, sizes, and connections per address. Used by every HTTP server here.
//!
//! A client that is slow with the TLS handshake, a request or an answer is dropped; beyond the limits of connections newcomers are
//! closed at once, and one address cannot take all places. It cannot tell a crowd from an attacker with many addresses.

use std::{
    collections::HashMap,
    error::Error,
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
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;

/// Bytes of request line and headers. hyper takes no less.
const HEAD: usize = 8 * 1024;

/// Header lines.
const HEADERS: usize = 64;

/// How long is waited before connections are taken again, when none can be (no file handles).
const PAUSE: Duration = Duration::from_millis(200);

/// How many connections are borne, and for how long one may be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one address at a time.
    pub per_address: usize,
    /// How long a greeting and a request's head may take each, a write be stuck, and a connection be idle.
    pub within: Duration,
}

/// Who is at the other end; an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// A connection whose writes time out.
pub type Wire = Pin<Box<TimeoutStream<TcpStream>>>;

/// Why a connection came to nothing.
pub type Failure = Box<dyn Error + Send + Sync>;

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

/// Serves `router` as `who` until dropped. `greet` makes of a connection what requests are read from.
pub async fn serve<S, G>(
    who: &'static str,
    listener: TcpListener,
    bounds: Bounds,
    greet: impl Fn(Wire) -> G,
    router: Router,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Future<Output = Result<S, Failure>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(bounds.connections));
    let places = Places::default();
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the {who} takes no connections for a moment");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let peer = address.ip().to_canonical();
        // No queue: a client that comes when all places are taken must try again.
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else { continue };
        let Some(place) = Place::take(&places, peer, bounds.per_address) else { continue };
        // A failure only costs this one a few milliseconds.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.within));
        let greeted = tokio::time::timeout(bounds.within, greet(Box::pin(stream)));
        let router = router.clone().layer(Extension(Peer(peer)));
        served.spawn(async move {
            let _held = (seat, place);
            let conversation = async {
                let stream = greeted.await??;
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(bounds.within)
                    .max_buf_size(HEAD)
                    .max_headers(HEADERS)
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
                Ok::<_, Failure>(served.await?)
            };
            if let Err(error) = conversation.await {
                tracing::debug!(error, "a connection to the {who} ended");
            }
        });
    }
}
