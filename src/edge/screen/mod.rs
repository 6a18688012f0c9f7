//! The student screen: a page on loopback that shows the same state as the light, in words and shapes.
//!
//! Pages follow the same [`Shown`] as the light, over server-sent events, and live [`Picture`]s over a multipart
//! stream. Latest wins throughout: a slow page never holds up the publisher. Keeps no picture, and serves nobody
//! but this machine.

mod guard;
mod pages;
mod sheet;
mod words;

use std::{fmt, io, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tokio::{net::TcpListener, sync::watch};
use zeroize::Zeroizing;

pub use sheet::Appearance;
pub use words::{Words, WordsError};

use self::pages::Pages;
use crate::{
    domain::{ExamWindow, RoomId, Shown, Timestamp},
    edge::clock::Clock,
    serve::{Bounds, serve},
};

/// The screen cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The port cannot be had.
    #[error("cannot listen on 127.0.0.1:{port}; choose another [screen] port, or stop what uses it (`ss -ltnp`)")]
    Listen {
        /// The TCP port.
        port: u16,
        /// The underlying error.
        source: io::Error,
    },
    /// A message file cannot be read.
    #[error("cannot read {}; correct [screen] messages or languages", path.display())]
    ReadMessages {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// A language cannot be spoken.
    #[error("the language {tag:?} of [screen] cannot be spoken")]
    Words {
        /// The language tag.
        tag: String,
        /// The underlying error.
        source: WordsError,
    },
}

/// One live picture: a JPEG, from SOI to EOI. Wiped with its last holder; its `Debug` shows no byte.
#[derive(Clone)]
pub struct Picture(Arc<Zeroizing<Vec<u8>>>);

impl Picture {
    /// A copy of its own, so that it can be wiped.
    #[must_use]
    pub fn copied(jpeg: &[u8]) -> Self {
        Self(Arc::new(Zeroizing::new(jpeg.to_vec())))
    }
}

impl AsRef<[u8]> for Picture {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} bytes)", self.0.len())
    }
}

/// What stands on the door: which exam, where, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plate {
    /// The exam's title, as students know it; empty: no exam is held.
    pub exam: String,
    /// The room.
    pub room: RoomId,
    /// When students are admitted; `None`: no exam is held.
    pub window: Option<ExamWindow>,
    /// When doors open next, of this exam or another, while all are closed; `None`: not known, or they are open.
    pub next: Option<Timestamp>,
}

#[cfg(any(test, feature = "sim"))]
impl Plate {
    /// A door to try things on: doors open from 8:30 to 9:15 in New York.
    ///
    /// # Panics
    /// Never: what it names is valid.
    #[must_use]
    pub fn sample() -> Self {
        let at = |text: &str| text.parse().expect("a constant time is valid");
        Self {
            exam: "Linear Algebra, final".into(),
            room: RoomId::new("SILVER-207").expect("a constant name is valid"),
            window: Some(ExamWindow { opens: at("2026-12-14T13:30:00Z"), closes: at("2026-12-14T14:15:00Z") }),
            next: None,
        }
    }
}

/// How much is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections. All come from this machine, so one address may have them all.
    pub bounds: Bounds,
    /// Pages that follow at a time.
    pub followers: usize,
    /// Pages that take live pictures at a time.
    pub watchers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let bounds = Bounds { connections: 64, per_address: 64, within: Duration::from_secs(5) };
        Self { bounds, followers: 16, watchers: 4 }
    }
}

/// What the screen shows and how.
#[derive(Debug)]
pub struct Settings {
    /// The words of the door's languages, its own first; at least one.
    pub words: Vec<Words>,
    /// The words of other languages, for students who prefer one of them.
    pub more: Vec<Words>,
    /// Where the door's clock stands.
    pub zone: TimeZone,
    /// Whether answers are heard too.
    pub sound: bool,
    /// How much is borne.
    pub limits: Limits,
}

/// What the screen follows.
pub struct Follows {
    /// What is said.
    pub shown: watch::Receiver<Shown>,
    /// What stands on the door.
    pub plate: watch::Receiver<Plate>,
    /// The latest live picture; `None` when nobody is looked at.
    pub pictures: watch::Receiver<Option<Picture>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A screen that listens. Pages are served while [`Screen::run`] is polled.
pub struct Screen {
    listener: TcpListener,
    pages: Arc<Pages>,
}

impl Screen {
    /// Listens on loopback; port 0 takes a free one.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn listen(port: u16, settings: Settings, follows: Follows) -> Result<Self, ScreenError> {
        let failed = |source| ScreenError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, pages: Arc::new(Pages::new(settings, bound, follows)) })
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.pages.port()
    }

    /// Serves pages until dropped. Ends by itself when nothing is published any more.
    pub async fn run(self) {
        let writing = Arc::clone(&self.pages);
        let bounds = self.pages.bounds();
        let plain = |wire| async { Ok(wire) };
        tokio::select! {
            () = writing.write_sheets() => {}
            () = serve("screen", self.listener, bounds, plain, pages::router(self.pages)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
