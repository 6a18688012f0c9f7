//! What is served: the page to everybody, lists, streams and actions to whoever is signed in.
//!
//! The board is written once for all pages. Never knows how a request was let through.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::{
    Call, Limits, Office, OfficeError, WrongPins,
    answer::{answer, asked, failed, said},
    coming::{session, sign_in, sign_out},
    guard::{Here, guard, only_signed_in, secret_in},
    sign_in::{Doorkeeper, Secret, Session},
};
use crate::{
    domain::{ClockTrust, EventId, Ground, Invitation, MonoTime, Note, Seq, StudentId, Verdict},
    edge::clock::Clock,
};

/// How often a page hears that the box is there.
const BEAT: Duration = Duration::from_millis(500);

/// How often the board is written anew without an event, for a roster that changed.
const TICK: Duration = Duration::from_secs(30);

/// All that the pages read.
pub(super) struct Pages {
    pub(super) limits: Limits,
    office: Arc<dyn Office>,
    pub(super) invitations: watch::Receiver<Option<(Invitation, MonoTime)>>,
    changes: watch::Receiver<Seq>,
    pub(super) clock: Arc<dyn Clock>,
    door: Mutex<Doorkeeper>,
    /// The board as JSON, written once for all pages.
    boards: watch::Sender<Arc<str>>,
    wanted: Notify,
    followers: Arc<Semaphore>,
    /// One PIN at a time: checking one is made to be slow.
    pub(super) pins: Semaphore,
}

impl Pages {
    pub(super) fn new(
        limits: Limits,
        office: Arc<dyn Office>,
        invitations: watch::Receiver<Option<(Invitation, MonoTime)>>,
        changes: watch::Receiver<Seq>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            limits,
            office,
            invitations,
            changes,
            clock,
            door: Mutex::new(Doorkeeper::new()),
            boards: watch::Sender::new("".into()),
            wanted: Notify::new(),
            followers: Arc::new(Semaphore::new(limits.followers)),
            pins: Semaphore::new(1),
        }
    }

    /// Counts the wrong PINs of before: a restart is no way out of a pause.
    pub(super) async fn remember(&self) -> Result<(), OfficeError> {
        let before = self.ask(|office| office.wrong_pins()).await?;
        let (now, wall) = (self.clock.mono(), self.clock.wall());
        let is_known = self.clock.trust() != ClockTrust::Untrusted;
        for WrongPins { proctor, times, last } in before {
            // Without the time, or before it, none of the pause is over.
            let passed = wall.duration_since(last);
            let passed = if is_known && !passed.is_negative() { passed.unsigned_abs() } else { Duration::ZERO };
            self.door().remember(now, proctor, times, passed);
        }
        Ok(())
    }

    pub(super) fn door(&self) -> MutexGuard<'_, Doorkeeper> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the board at every change, while anybody follows.
    pub(super) async fn write_boards(&self) {
        let mut changes = self.changes.clone();
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            if self.boards.receiver_count() == 0 {
                continue;
            }
            changes.mark_unchanged();
            match self.ask(|office| office.board()).await {
                Ok(board) => {
                    let board: Arc<str> = serde_json::to_string(&board).expect("a board is JSON").into();
                    self.boards.send_if_modified(|current| {
                        let is_new = *current != board;
                        *current = board;
                        is_new
                    });
                }
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the console has no list"),
            }
        }
    }

    /// Asks the office, off the threads that serve.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Office) -> Result<T, OfficeError> + Send + 'static,
    ) -> Result<T, OfficeError> {
        let office = Arc::clone(&self.office);
        tokio::task::spawn_blocking(move || question(&*office))
            .await
            .unwrap_or_else(|ended| Err(OfficeError::Store(ended.into())))
    }

    /// Whose session the request carries.
    pub(super) fn session(&self, headers: &HeaderMap, from: IpAddr, asks: bool) -> Option<(Secret, Session)> {
        let secret = secret_in(headers)?;
        let session = self.door().find(self.clock.mono(), from, &secret, asks)?.clone();
        Some((secret, session))
    }
}

pub(super) fn router(pages: Arc<Pages>) -> Router {
    let signed_in = Router::new()
        .route("/api/events", get(events))
        .route("/api/status", get(status))
        .route("/api/search", post(search))
        .route("/api/rule", post(rule))
        .route("/api/undo", post(undo))
        .route("/api/sign-out", post(sign_out))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&pages), only_signed_in));
    Router::new()
        .route("/", get(|| part("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/console.css", get(|| part("text/css; charset=utf-8", include_str!("page/console.css"))))
        .route("/console.js", get(|| part("text/javascript; charset=utf-8", include_str!("page/console.js"))))
        .route("/words/en", get(|| part("application/json", include_str!("messages/en.json"))))
        .route("/words/es", get(|| part("application/json", include_str!("messages/es.json"))))
        .route("/words/zh-Hans", get(|| part("application/json", include_str!("messages/zh-Hans.json"))))
        .route("/icon.svg", get(|| part("image/svg+xml", include_str!("page/icon.svg"))))
        .route("/api/session", get(session))
        .route("/api/sign-in", post(sign_in))
        .merge(signed_in)
        .layer(middleware::from_fn(guard))
        .with_state(pages)
}

async fn part(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn status(State(pages): State<Arc<Pages>>) -> Response {
    match pages.ask(|office| Ok(office.status())).await {
        Ok(status) => answer(StatusCode::OK, &status),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sought {
    text: String,
}

async fn search(State(pages): State<Arc<Pages>>, body: Body) -> Response {
    let Sought { text } = match asked(pages.limits, body).await {
        Ok(sought) => sought,
        Err(refused) => return refused,
    };
    match pages.ask(move |office| office.search(&text)).await {
        Ok(found) => answer(StatusCode::OK, &found),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedRuling {
    student: StudentId,
    verdict: Verdict,
    ground: Ground,
    note: Option<Note>,
    answer: Option<EventId>,
}

async fn rule(State(pages): State<Arc<Pages>>, Extension(here): Extension<Here>, body: Body) -> Response {
    let AskedRuling { student, verdict, ground, note, answer } = match asked(pages.limits, body).await {
        Ok(ruling) => ruling,
        Err(refused) => return refused,
    };
    let (by, call) = (here.session.proctor, Call { student, verdict, ground, note, answer });
    done(pages.ask(move |office| office.rule(&by, call)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedUndo {
    ruling: EventId,
}

async fn undo(State(pages): State<Arc<Pages>>, Extension(here): Extension<Here>, body: Body) -> Response {
    let AskedUndo { ruling } = match asked(pages.limits, body).await {
        Ok(undo) => undo,
        Err(refused) => return refused,
    };
    let by = here.session.proctor;
    done(pages.ask(move |office| office.undo(&by, ruling)).await)
}

fn done(result: Result<(), OfficeError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

struct Following {
    pages: Arc<Pages>,
    here: Here,
    boards: watch::Receiver<Arc<str>>,
    _places: [OwnedSemaphorePermit; 2],
}

/// The board as it changes, beats in between, until the session ends.
async fn events(State(pages): State<Arc<Pages>>, Extension(here): Extension<Here>) -> Response {
    let places = [&here.session.follows, &pages.followers].map(|places| Arc::clone(places).try_acquire_owned());
    let [Ok(own), Ok(place)] = places else {
        return said(StatusCode::SERVICE_UNAVAILABLE, "pages");
    };
    let mut boards = pages.boards.subscribe();
    boards.mark_changed();
    pages.wanted.notify_one();
    let following = Following { pages, here, boards, _places: [own, place] };
    let body = stream::unfold(following, |mut following| async move {
        let said = tokio::select! {
            biased;
            changed = following.boards.changed() => {
                changed.ok()?;
                let board = Arc::clone(&following.boards.borrow_and_update());
                // Nothing was written yet: a beat, until it is.
                if board.is_empty() { following.beat()? } else { format!("retry: 400\nevent: board\ndata: {board}\n\n").into() }
            }
            () = tokio::time::sleep(BEAT) => following.beat()?,
        };
        Some((Ok::<_, Infallible>(said), following))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

impl Following {
    /// The box's wall clock, while the session lasts.
    fn beat(&self) -> Option<Bytes> {
        let clock = &self.pages.clock;
        self.pages.door().find(clock.mono(), self.here.from, &self.here.secret, false)?;
        Some(format!("event: beat\ndata: {}\n\n", clock.wall().as_millisecond()).into())
    }
}
