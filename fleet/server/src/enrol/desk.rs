//! Who is enrolled: one request with one code to one certificate, or a refusal that says how to mend it. `renewal` serves boxes that are enrolled.
//!
//! The registry knows of an enrolment before the box does. A box whose answer was lost asks again with the same keys and is served.

mod renewal;

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use examgate::{
    domain::{DeviceId, Timestamp},
    serve::Peer,
    wire::{
        enrolment::{Answer, CodeId, EnrolmentError, MAX_REQUEST, Request, ServerHash},
        host::Host,
        renewal::MAX_RENEWAL,
    },
};
use examgate_fleet_core::{
    folder::Folder,
    issuer::{Issuer, IssuerError, LIST_LASTS},
    registry::{Registry, who},
};
use tokio::time::Instant;

use super::{metrics::Metrics, now, throttle::Throttle};
use crate::health::Board;

/// Why a box is not enrolled. The box shows it to the technician.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    /// A code that nobody was given.
    #[error(
        "this code is not known here: make one with `examgate-fleet device add`, which also ends older codes of the box"
    )]
    Unknown,
    /// A code whose time is over.
    #[error("this code expired: `examgate-fleet device add` makes a new one")]
    Expired,
    /// A code that served another box.
    #[error("this code was used by another box: if that was not yours, `examgate-fleet device revoke` that box now")]
    Used,
    /// A code that was tried too often.
    #[error(
        "this code was tried too often with a signature that is not good: `examgate-fleet device add` makes a new one"
    )]
    TooOften,
    /// A request that is none.
    #[error("the request is not good: {0}")]
    Request(EnrolmentError),
    /// A request for a certificate that is none.
    #[error("the request is not good: {0}")]
    Csr(String),
}

/// Takes requests.
pub(super) struct Desk {
    folder: Folder,
    registry: Mutex<Registry>,
    issuer: Issuer,
    broker: (Host, u16),
    server: ServerHash,
    throttle: Mutex<Throttle>,
    board: Board,
    metrics: Metrics,
}

impl Desk {
    pub(super) fn new(
        folder: Folder,
        registry: Registry,
        issuer: Issuer,
        broker: (Host, u16),
        server: ServerHash,
        (board, metrics): (Board, Metrics),
    ) -> Self {
        let throttle = Mutex::default();
        Self { folder, registry: Mutex::new(registry), issuer, broker, server, throttle, board, metrics }
    }

    /// Makes the list of revoked certificates anew if half of its time is over. A failure is logged and tried again in an hour.
    pub(super) fn keep_list(&self, now: Timestamp) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.folder.list_is_old(&registry, now).and_then(|is_old| {
            if is_old {
                self.folder.write_list(&mut registry, now)?;
                tracing::warn!(
                    "revoked.pem was made anew: the broker must read it (examgate-revoked.path restarts it; elsewhere copy the file and restart it)"
                );
            }
            Ok(())
        });
        if let Ok(made) = registry.last_list() {
            let until = made.as_second().saturating_add(i64::try_from(LIST_LASTS.as_secs()).unwrap_or(i64::MAX));
            self.metrics.list_until.set(until);
        }
        match kept {
            Ok(()) => self.board.well("revoked.pem"),
            Err(error) => {
                let (error, means) = (format!("{error:#}"), "brokers refuse everybody once its time is over");
                tracing::error!(error, "revoked.pem cannot be made: {means}");
                self.board.trouble("revoked.pem", format!("it cannot be made ({error}): {means}"));
            }
        }
    }

    /// Serves one request. The outer error is the fleet's own fault.
    fn serve(&self, code: CodeId, message: &[u8], now: Timestamp) -> Result<Result<Vec<u8>, Refused>> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(claim) = registry.claim(code)? else { return Ok(Err(Refused::Unknown)) };
        if claim.tries_left == 0 {
            return Ok(Err(Refused::TooOften));
        }
        let request = match Request::decode(message, &claim.requests, &self.server) {
            Ok(request) => request,
            Err(error) => {
                registry.fail(code)?;
                return Ok(Err(Refused::Request(error)));
            }
        };
        // Only who knows the code hears more of it.
        if claim.expires <= now {
            return Ok(Err(Refused::Expired));
        }
        let issued = match self.issuer.issue(&claim.device, &request.csr, now) {
            Ok(issued) => issued,
            Err(error @ (IssuerError::Request(_) | IssuerError::KeyKind)) => {
                return Ok(Err(Refused::Csr(error.to_string())));
            }
            Err(error) => return Err(error.into()),
        };
        if claim.used_by.is_some_and(|by| by != who(&request, &issued.public_key)) {
            return Ok(Err(Refused::Used));
        }
        let (root, _, trust) = self.folder.read_trust()?;
        if !registry.enrol(code, &request, &issued, now)? {
            return Ok(Err(Refused::Used));
        }
        self.folder.write_devices(&registry)?;
        tracing::info!(device = %claim.device, room = claim.room.as_str(), until = %issued.not_after, "enrolled");
        let answer = Answer {
            device: claim.device,
            room: claim.room,
            certificate: issued.certificate,
            root,
            trust,
            broker: self.broker.0.to_string(),
            port: self.broker.1,
        };
        Ok(Ok(answer.encode(&claim.answers, request.nonce, &self.server)))
    }
}

/// What can be asked.
#[derive(Clone, Copy)]
enum Asked {
    Enrolment,
    Renewal,
}

/// What can be asked: to be enrolled with a code, another certificate, and to go over to another signing key.
pub(super) fn router(desk: Arc<Desk>, within: Duration) -> Router {
    let enrol = move |State(desk): State<Arc<Desk>>,
                      Extension(Peer(peer)): Extension<Peer>,
                      Path(code): Path<String>,
                      body: Body| {
        let serve = move |desk: &Desk, message: &[u8]| match code.parse() {
            Ok(code) => desk.serve(code, message, now()),
            Err(_) => Ok(Err(Refused::Unknown)),
        };
        answer(desk, (peer, Asked::Enrolment), body, (MAX_REQUEST, within), serve)
    };
    let renew = move |State(desk): State<Arc<Desk>>,
                      Extension(Peer(peer)): Extension<Peer>,
                      Path(device): Path<String>,
                      body: Body| {
        let serve = move |desk: &Desk, message: &[u8]| match DeviceId::new(device) {
            Ok(device) => desk.renew(&device, message, now()),
            Err(_) => Ok(Err(renewal::Refused::Unknown)),
        };
        answer(desk, (peer, Asked::Renewal), body, (MAX_RENEWAL, within), serve)
    };
    let hand_over = move |State(desk): State<Arc<Desk>>,
                          Extension(Peer(peer)): Extension<Peer>,
                          Path(device): Path<String>,
                          body: Body| {
        let serve = move |desk: &Desk, message: &[u8]| match DeviceId::new(device) {
            Ok(device) => desk.hand_over(&device, message, now()),
            Err(_) => Ok(Err(renewal::Refused::Unknown)),
        };
        answer(desk, (peer, Asked::Renewal), body, (MAX_RENEWAL, within), serve)
    };
    Router::new()
        .route("/v1/enrolment/{code}", post(enrol))
        .route("/v1/renewal/{device}", post(renew))
        .route("/v1/hand-over/{device}", post(hand_over))
        .with_state(desk)
}

/// Reads a request of at most so many bytes within so long, and serves it where it may block.
async fn answer<R: fmt::Display + Send + 'static>(
    desk: Arc<Desk>,
    (peer, asked): (IpAddr, Asked),
    body: Body,
    (most, within): (usize, Duration),
    serve: impl FnOnce(&Desk, &[u8]) -> Result<Result<Vec<u8>, R>> + Send + 'static,
) -> Response {
    if let Some(wait) = desk.throttle.lock().unwrap_or_else(PoisonError::into_inner).wait(peer, Instant::now()) {
        let text = format!("too many tries from this address: wait {} seconds", wait.as_secs() + 1);
        return (StatusCode::TOO_MANY_REQUESTS, text).into_response();
    }
    let Ok(Ok(message)) = tokio::time::timeout(within, to_bytes(body, most)).await else {
        return (StatusCode::BAD_REQUEST, "the request is too long or too slow").into_response();
    };
    let desk_too = Arc::clone(&desk);
    let served = tokio::task::spawn_blocking(move || serve(&desk_too, &message)).await;
    match served.unwrap_or_else(|panicked| Err(panicked.into())) {
        Ok(Ok(bytes)) => {
            match asked {
                Asked::Enrolment => desk.metrics.enrolled.inc(),
                Asked::Renewal => desk.metrics.renewed.inc(),
            };
            desk.board.well("enrolment");
            bytes.into_response()
        }
        Ok(Err(refused)) => {
            desk.metrics.refused.inc();
            desk.throttle.lock().unwrap_or_else(PoisonError::into_inner).refused(peer, Instant::now());
            tracing::warn!(%peer, why = %refused, "refused");
            (StatusCode::FORBIDDEN, refused.to_string()).into_response()
        }
        Err(error) => {
            desk.metrics.failed.inc();
            let error = format!("{error:#}");
            tracing::error!(error, "a box could not be served");
            let what = match asked {
                Asked::Enrolment => "enrolled",
                Asked::Renewal => "given another certificate",
            };
            desk.board.trouble("enrolment", format!("the last box could not be {what}: {error}"));
            let text = "the fleet failed, not the box: look into its log, then ask again (a code stays good)";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
