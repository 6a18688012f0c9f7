//! The routes of the console: the page is public; lists, streams and actions need a session.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    Call, Office, OfficeError,
    answer::{answer, asked, failed, said},
    coming::{session, sign_in, sign_out},
    guard::{Here, guard, only_signed_in},
    state::ConsoleState,
};
use crate::domain::{EventId, Ground, Note, ProctorId, StudentId, Verdict};

/// How often a page hears that the box is there.
const BEAT: Duration = Duration::from_millis(500);

pub(super) fn router(state: Arc<ConsoleState>) -> Router {
    let signed_in = Router::new()
        .route("/api/events", get(events))
        .route("/api/status", get(status))
        .route("/api/search", post(search))
        .route("/api/rule", post(rule))
        .route("/api/undo", post(undo))
        .route("/api/sign-out", post(sign_out))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), only_signed_in));
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
        .with_state(state)
}

async fn part(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn status(State(state): State<Arc<ConsoleState>>) -> Response {
    match state.ask(|office| Ok(office.status())).await {
        Ok(status) => answer(StatusCode::OK, &status),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sought {
    text: String,
}

async fn search(State(state): State<Arc<ConsoleState>>, body: Body) -> Response {
    let Sought { text } = match asked(state.limits, body).await {
        Ok(sought) => sought,
        Err(refused) => return refused,
    };
    match state.ask(move |office| office.search(&text)).await {
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

async fn rule(State(state): State<Arc<ConsoleState>>, Extension(here): Extension<Here>, body: Body) -> Response {
    let AskedRuling { student, verdict, ground, note, answer } = match asked(state.limits, body).await {
        Ok(ruling) => ruling,
        Err(refused) => return refused,
    };
    let call = Call { student, verdict, ground, note, answer };
    done(&state, here, move |office, by| office.rule(by, call)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedUndo {
    ruling: EventId,
}

async fn undo(State(state): State<Arc<ConsoleState>>, Extension(here): Extension<Here>, body: Body) -> Response {
    let AskedUndo { ruling } = match asked(state.limits, body).await {
        Ok(undo) => undo,
        Err(refused) => return refused,
    };
    done(&state, here, move |office, by| office.undo(by, ruling)).await
}

/// Runs the action, if the session is still valid after the whole body has arrived.
async fn done(
    state: &ConsoleState,
    Here { secret, session, from }: Here,
    action: impl FnOnce(&dyn Office, &ProctorId) -> Result<(), OfficeError> + Send + 'static,
) -> Response {
    match state.vouch(&secret, &session, from).await {
        Ok(true) => {}
        Ok(false) => return said(StatusCode::UNAUTHORIZED, "signed_out"),
        Err(error) => return failed(&error),
    }
    match state.ask(move |office| action(office, &session.proctor)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

struct Following {
    state: Arc<ConsoleState>,
    here: Here,
    boards: watch::Receiver<Arc<str>>,
    _places: [OwnedSemaphorePermit; 2],
}

/// The board as it changes, beats in between, until the session ends.
async fn events(State(state): State<Arc<ConsoleState>>, Extension(here): Extension<Here>) -> Response {
    let places = [&here.session.follows, &state.followers].map(|places| Arc::clone(places).try_acquire_owned());
    let [Ok(own), Ok(place)] = places else {
        return said(StatusCode::SERVICE_UNAVAILABLE, "pages");
    };
    let mut boards = state.boards.subscribe();
    boards.mark_changed();
    state.wanted.notify_one();
    let following = Following { state, here, boards, _places: [own, place] };
    let body = stream::unfold(following, |mut following| async move {
        let said = tokio::select! {
            biased;
            changed = following.boards.changed() => {
                changed.ok()?;
                let board = Arc::clone(&following.boards.borrow_and_update());
                // Nothing was written yet: a beat, until it is.
                if board.is_empty() { following.beat().await? } else { format!("retry: 400\nevent: board\ndata: {board}\n\n").into() }
            }
            () = tokio::time::sleep(BEAT) => following.beat().await?,
        };
        Some((Ok::<_, Infallible>(said), following))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

impl Following {
    /// The box's wall clock, while the session lasts and its proctor is one. A store that cannot say so ends the stream: the page
    /// asks again.
    async fn beat(&self) -> Option<Bytes> {
        let (state, here) = (&self.state, &self.here);
        state.door().find(state.clock.mono(), here.from, &here.secret, false)?;
        let is_proctor = state.vouch(&here.secret, &here.session, here.from).await;
        let is_proctor = is_proctor.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "the console cannot read who is a proctor");
        });
        is_proctor
            .is_ok_and(|is_proctor| is_proctor)
            .then(|| format!("event: beat\ndata: {}\n\n", state.clock.wall().as_millisecond()).into())
    }
}
