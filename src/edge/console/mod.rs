//! The proctor's console: pages over TLS on the room's network, for proctors who signed in with card, code and PIN.
//!
//! What the box knows and does comes through [`Office`]; the console keeps only who is signed in. It serves nobody
//! without a session but the page to sign in at. It cannot tell a proctor's phone from somebody who holds it: sessions
//! are short.

mod answer;
mod coming;
mod guard;
mod identity;
mod pages;
mod sign_in;
mod state;
mod throttle;
mod view;
#[cfg(test)]
mod words;

use std::{io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use openssl::{
    error::ErrorStack,
    ssl::{Ssl, SslAcceptor},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_openssl::SslStream;

use self::state::ConsoleState;
pub use self::{
    identity::{Certificate, Identity, Standing},
    view::{
        Board, Call, Entry, EntryStyle, Line, Mark, Office, OfficeError, PartStatus, Person, Proctorship, Status,
        Undoable, Visit, What, Why, WrongPins,
    },
};
use crate::{
    domain::{Invitation, MonoTime, Seq},
    edge::clock::Clock,
    serve::{Bounds, Wire, serve},
};

/// The console cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The address cannot be had.
    #[error("cannot listen on {address}; choose another [console] listen, or stop what uses it (`ss -ltnp`)")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The underlying error.
        source: io::Error,
    },
    /// What happened before cannot be read.
    #[error("the wrong PINs of before cannot be read: without them guessing would begin anew")]
    WrongPins(#[source] OfficeError),
    /// Certificate and key are none, or not a pair.
    #[error(
        "the console's certificate or key cannot be used: PEM is wanted, and console.key must belong to the certificate"
    )]
    Identity(#[source] ErrorStack),
}

/// How much is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub bounds: Bounds,
    /// Pages that follow at a time.
    pub followers: usize,
    /// Pages of one session that follow at a time.
    pub per_session: usize,
    /// Bytes of a request's body; it may take as long as a head.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let bounds = Bounds { connections: 96, per_address: 24, within: Duration::from_secs(5) };
        Self { bounds, followers: 16, per_session: 4, body: 4 * 1024 }
    }
}

/// A console that listens. Pages are served while [`Console::run`] is polled.
pub struct Console {
    listener: TcpListener,
    acceptor: SslAcceptor,
    state: Arc<ConsoleState>,
    limits: Limits,
}

impl Console {
    /// Listens on `address`; port 0 takes a free one. `invitations` says who tapped last, `changes` that the board did.
    ///
    /// # Errors
    /// The address cannot be had, the identity is none, or wrong PINs of before cannot be read.
    pub async fn listen(
        address: SocketAddr,
        identity: &Identity,
        limits: Limits,
        office: Arc<dyn Office>,
        invitations: watch::Receiver<Option<(Invitation, MonoTime)>>,
        changes: watch::Receiver<Seq>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConsoleError> {
        let acceptor = identity.acceptor().map_err(ConsoleError::Identity)?;
        let listener = TcpListener::bind(address).await.map_err(|source| ConsoleError::Listen { address, source })?;
        let state = Arc::new(ConsoleState::new(limits, office, invitations, changes, clock));
        state.remember().await.map_err(ConsoleError::WrongPins)?;
        Ok(Self { listener, acceptor, state, limits })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves pages until dropped.
    pub async fn run(self) {
        let Self { listener, acceptor, state, limits } = self;
        let writing = Arc::clone(&state);
        let greet = move |wire: Wire| {
            let ssl = Ssl::new(acceptor.context());
            async move {
                let mut stream = SslStream::new(ssl?, wire)?;
                Pin::new(&mut stream).accept().await?;
                Ok(stream)
            }
        };
        tokio::select! {
            () = writing.write_boards() => {}
            () = serve("console", listener, limits.bounds, greet, pages::router(state)) => {}
        }
    }
}
