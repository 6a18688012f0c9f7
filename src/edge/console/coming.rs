//! Signing in and out, and what the page learns of its session.
//!
//! Both are on disk before the page hears of them.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{answer, asked, failed, said},
    guard::{self, COOKIE, Here},
    sign_in::{Refused, Secret, Session},
    state::ConsoleState,
};
use crate::{
    domain::{Access, AccessStep, ProctorId, Verdict},
    serve::Peer,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    code: String,
    pin: String,
}

pub(super) async fn sign_in(
    State(state): State<Arc<ConsoleState>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Body,
) -> Response {
    let Credentials { code, pin } = match asked(state.limits, body).await {
        Ok(credentials) => credentials,
        Err(refused) => return refused,
    };
    let code: String = code.chars().filter(char::is_ascii_digit).collect();
    let invitation = state.invitations.borrow().clone();
    let tried = state.door().try_code(state.clock.mono(), from, invitation.as_ref(), &code);
    let ticket = match tried {
        Ok(ticket) => ticket,
        Err(why) => return refused(&state, from, None, why).await,
    };
    let checked = {
        let _turn = state.pins.acquire().await.expect("never closed");
        let whose = ticket.proctor.clone();
        state.ask(move |office| office.check_pin(&whose, &pin)).await
    };
    let proctorship = match checked {
        Ok(Some(proctorship)) if state.door().spend(&ticket) => proctorship,
        Ok(Some(_)) => return refused(&state, from, None, Refused::Wrong).await,
        Ok(None) => {
            // What names a proctor counts for their card; once a code.
            let counts = state.door().wrong_pin(state.clock.mono(), from, &ticket);
            return refused(&state, from, counts.then_some(ticket.proctor), Refused::Wrong).await;
        }
        Err(error) => return failed(&error),
    };
    let proctor = ticket.proctor;
    let (mut secret, mut token) = (Secret::default(), Secret::default());
    if getrandom::fill(&mut secret).and_then(|()| getrandom::fill(&mut token)).is_err() {
        return said(StatusCode::SERVICE_UNAVAILABLE, "no_random");
    }
    // On disk before anybody is in.
    let access = Access { proctor: Some(proctor.clone()), from, step: AccessStep::SignedIn };
    if let Err(error) = state.ask(move |office| office.note(access)).await {
        return failed(&error);
    }
    let session = state.door().open(
        state.clock.mono(),
        from,
        (proctor, proctorship),
        &secret,
        hex::encode(token),
        state.limits.per_session,
    );
    tracing::info!("a proctor signed in at the console");
    let cookie = format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict", hex::encode(secret));
    let mut response = answer(StatusCode::OK, &about(&session));
    response.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).expect("hexadecimal digits"));
    response
}

/// Says no, and records that somebody was refused: at once, or with the next ones if they come in a flood.
async fn refused(state: &ConsoleState, from: IpAddr, proctor: Option<ProctorId>, why: Refused) -> Response {
    let times = state.door().refusals_to_note(state.clock.mono(), proctor.is_some());
    if let Some(times) = times {
        tracing::warn!(times, "somebody was refused at the console");
        let access = Access { proctor, from, step: AccessStep::Refused { times } };
        if let Err(error) = state.ask(move |office| office.note(access)).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a refusal was not recorded");
        }
    }
    match why {
        Refused::Wrong => said(StatusCode::UNAUTHORIZED, "wrong"),
        Refused::Wait(time) => {
            let seconds = time.as_secs() + 1;
            let mut response = answer(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": "wait", "seconds": seconds }));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
    }
}

/// What the page needs to know of its session, and the grounds it offers.
fn about(session: &Session) -> serde_json::Value {
    json!({
        "name": session.name,
        "token": session.token,
        "program": env!("CARGO_PKG_VERSION"),
        "grounds": {
            "admit": Verdict::Admit.grounds(),
            "admit_by_hand": Verdict::AdmitByHand.grounds(),
            "refuse": Verdict::Refuse.grounds(),
        },
    })
}

/// What the page needs to know; null: nobody is signed in.
pub(super) async fn session(
    State(state): State<Arc<ConsoleState>>,
    Extension(Peer(from)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match guard::session(&state, &headers, from, false).await {
        Ok(session) => answer(StatusCode::OK, &session.map(|(_, session)| about(&session))),
        Err(error) => failed(&error),
    }
}

pub(super) async fn sign_out(State(state): State<Arc<ConsoleState>>, Extension(here): Extension<Here>) -> Response {
    state.sign_out(&here.secret, here.session.proctor, here.from).await;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let gone = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_str(&gone).expect("ASCII"));
    response
}
