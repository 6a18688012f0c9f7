//! What is served: the page and its parts, the stream of sheets, the stream of live pictures.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Follows, Limits, Picture, Settings, guard, sheet::Sheet, words::Door};
use crate::{
    domain::{Answer, Shown},
    serve::Bounds,
};

/// How often a page hears that the box is there. It gives the box up after 1.2 s of silence (`screen.js`).
const BEAT: Duration = Duration::from_millis(500);

/// How often the sheet is written anew, for the clock on it.
const TICK: Duration = Duration::from_secs(1);

/// Time between live pictures: twenty a second look alive and are cheap to decode.
const PICTURE_EVERY: Duration = Duration::from_millis(50);

/// Stands between two live pictures.
const BOUNDARY: &str = "examgate-picture";

/// All that the pages read.
pub(super) struct Pages {
    settings: Settings,
    port: u16,
    follows: Follows,
    sheets: watch::Sender<Arc<str>>,
    followers: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
}

impl Pages {
    pub(super) fn new(settings: Settings, port: u16, follows: Follows) -> Self {
        let Limits { followers, watchers, .. } = settings.limits;
        let pages = Self {
            settings,
            port,
            follows,
            sheets: watch::Sender::default(),
            followers: Arc::new(Semaphore::new(followers)),
            watchers: Arc::new(Semaphore::new(watchers)),
        };
        pages.sheets.send_replace(pages.sheet());
        pages
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.settings.limits.bounds
    }

    fn sheet(&self) -> Arc<str> {
        let Settings { words, more, zone, sound, .. } = &self.settings;
        let plate = self.follows.plate.borrow().clone();
        let door = Door { plate: &plate, now: self.follows.clock.wall(), zone, sound: *sound };
        let sheet = Sheet::write(words, more, &self.follows.shown.borrow(), &door);
        serde_json::to_string(&sheet).expect("a sheet is JSON").into()
    }

    /// Writes the sheet once for all pages, at every change and tick, until nothing is published any more.
    pub(super) async fn write_sheets(&self) {
        let mut shown = self.follows.shown.clone();
        shown.mark_changed();
        loop {
            tokio::select! {
                changed = shown.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(TICK) => {}
            }
            shown.mark_unchanged();
            let sheet = self.sheet();
            self.sheets.send_if_modified(|current| {
                let is_new = *current != sheet;
                *current = sheet;
                is_new
            });
        }
    }

    /// A beat tells the box's monotonic time: a page that knows it can say how old a sheet is.
    fn beat(&self) -> Bytes {
        format!("event: beat\ndata: {}\n\n", self.follows.clock.mono().since_start().as_secs_f64() * 1e3).into()
    }
}

pub(super) fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/", get(|| part("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/screen.css", get(|| part("text/css; charset=utf-8", include_str!("page/screen.css"))))
        .route("/screen.js", get(|| part("text/javascript; charset=utf-8", include_str!("page/screen.js"))))
        .route("/icon.svg", get(|| part("image/svg+xml", include_str!("page/icon.svg"))))
        .route("/events", get(events))
        .route("/picture", get(pictures))
        .layer(middleware::from_fn_with_state(Arc::clone(&pages), guarded))
        .with_state(pages)
}

async fn part(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn guarded(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let mut response = match guard::refusal(request.method(), request.headers(), pages.port) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    };
    guard::dress(response.headers_mut());
    response
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response()
}

struct Following {
    pages: Arc<Pages>,
    sheets: watch::Receiver<Arc<str>>,
    has_begun: bool,
    _place: OwnedSemaphorePermit,
}

/// A beat first, then sheets as they come and beats in between.
async fn events(State(pages): State<Arc<Pages>>) -> Response {
    let Ok(place) = Arc::clone(&pages.followers).try_acquire_owned() else { return busy() };
    let mut sheets = pages.sheets.subscribe();
    sheets.mark_changed();
    let following = Following { pages, sheets, has_begun: false, _place: place };
    let body = stream::unfold(following, |mut following| async move {
        if !std::mem::replace(&mut following.has_begun, true) {
            return Some((Ok(following.pages.beat()), following));
        }
        let said = tokio::select! {
            biased;
            changed = following.sheets.changed() => {
                changed.ok()?;
                let sheet = Arc::clone(&following.sheets.borrow_and_update());
                Bytes::from(format!("event: sheet\ndata: {sheet}\n\n"))
            }
            () = tokio::time::sleep(BEAT) => following.pages.beat(),
        };
        Some((Ok::<_, Infallible>(said), following))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

fn is_looking(shown: &watch::Receiver<Shown>) -> bool {
    matches!(shown.borrow().answer, Answer::Looking { .. })
}

struct Watching {
    shown: watch::Receiver<Shown>,
    pictures: watch::Receiver<Option<Picture>>,
    /// The rest of a part whose head is on its way already.
    rest: Vec<Bytes>,
    has_begun: bool,
    _place: OwnedSemaphorePermit,
}

impl Watching {
    /// The next picture; `None`: nobody is looked at any more.
    async fn next(&mut self) -> Option<Picture> {
        if self.has_begun {
            tokio::time::sleep(PICTURE_EVERY).await;
        } else {
            self.pictures.mark_changed();
        }
        while is_looking(&self.shown) {
            tokio::select! {
                changed = self.shown.changed() => changed.ok()?,
                changed = self.pictures.changed() => {
                    changed.ok()?;
                    if let Some(picture) = self.pictures.borrow_and_update().clone() {
                        return Some(picture);
                    }
                }
            }
        }
        None
    }
}

/// Live pictures while somebody is looked at; the stream ends with that. Nobody now: 404.
async fn pictures(State(pages): State<Arc<Pages>>) -> Response {
    let Ok(place) = Arc::clone(&pages.watchers).try_acquire_owned() else { return busy() };
    let (shown, pictures) = (pages.follows.shown.clone(), pages.follows.pictures.clone());
    if !is_looking(&shown) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let watching = Watching { shown, pictures, rest: Vec::new(), has_begun: false, _place: place };
    let body = stream::unfold(watching, |mut watching| async move {
        if let Some(bytes) = watching.rest.pop() {
            return Some((Ok(bytes), watching));
        }
        let picture = watching.next().await?;
        let opening = if std::mem::replace(&mut watching.has_begun, true) { "" } else { "--examgate-picture\r\n" };
        let head = format!("{opening}Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.as_ref().len());
        // The boundary follows at once: browsers show a picture only when they have seen its end. The picture itself is not
        // copied, and is wiped once it is written.
        watching.rest = vec![Bytes::from(format!("\r\n--{BOUNDARY}\r\n")), Bytes::from_owner(picture)];
        Some((Ok::<_, Infallible>(Bytes::from(head)), watching))
    });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
}
