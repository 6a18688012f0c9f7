//! The proctor's console: pages over TLS on the room's network, for whoever signed in with card, code and PIN.
//!
//! What the box knows and does comes through [`Office`]; the console keeps only who is signed in. It serves nobody without a
//! session but the page to sign in at. It cannot tell a proctor's phone from somebody who holds it: sessions are short. Never
//! knows a database, a card or how the box decides.

mod answer;
mod coming;
mod guard;
mod identity;
mod pages;
mod serve;
mod sign_in;
mod throttle;
mod view;
mod words;

use std::{io, net::SocketAddr, sync::Arc};

use openssl::{error::ErrorStack, ssl::SslAcceptor};
use tokio::{net::TcpListener, sync::watch};

use self::pages::Pages;
pub use self::{
    identity::{Certificate, Identity, Standing},
    serve::Limits,
    view::{Board, Call, Entry, Finding, Line, Look, Office, OfficeError, Person, Status, Undoable},
    words::{ground, next_step, reason},
};
use crate::{
    domain::{Invitation, MonoTime, Seq},
    edge::clock::Clock,
};

/// The console cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The address cannot be had.
    #[error("cannot listen on {address}; choose another [console] listen, or stop what uses it (`ss -ltnp`)")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Certificate and key are none, or not a pair.
    #[error(
        "the console's certificate or key cannot be used: PEM is wanted, and console.key must belong to the certificate"
    )]
    Identity(#[source] ErrorStack),
}

/// A console that listens. Pages are served while [`Console::run`] is polled.
pub struct Console {
    listener: TcpListener,
    acceptor: SslAcceptor,
    pages: Arc<Pages>,
    limits: Limits,
}

impl Console {
    /// Listens on `address`; port 0 takes a free one. `invitations` says who tapped last, `changes` that the board did.
    ///
    /// # Errors
    /// The address cannot be had, or the identity is none.
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
        let pages = Arc::new(Pages::new(limits, office, invitations, changes, clock));
        Ok(Self { listener, acceptor, pages, limits })
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
        let writing = Arc::clone(&self.pages);
        tokio::select! {
            () = writing.write_boards() => {}
            () = serve::serve(self.listener, self.acceptor, pages::router(self.pages), self.limits) => {}
        }
    }
}
