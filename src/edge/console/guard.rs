//! Access control of the console: requests must come from its own page, and all but the sign-in need a session.
//!
//! An action takes a session's cookie, from the address it was given to, the token that only our page knows, and the origin that
//! only our page has. Blocks other sites and stolen cookies; does not block a program on the proctor's own device.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    OfficeError,
    answer::{failed, said},
    sign_in::{Secret, Session},
    state::ConsoleState,
};
use crate::serve::Peer;

/// The cookie's name. `__Host-` binds it to this host, to TLS and to the whole path.
pub(super) const COOKIE: &str = "__Host-examgate";

/// Where actions carry the session's token.
const TOKEN: HeaderName = HeaderName::from_static("x-examgate-token");

/// Only its own style, script and streams; nothing in line, nothing from elsewhere, in no frame, and no way to inject HTML.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 9] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// Refuses what no page of ours asks for, and says to every browser how to treat the answer.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(request: &Request) -> Option<StatusCode> {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if request.method() == Method::POST {
        let own = text(header::HOST).map(|host| format!("https://{host}"));
        if own.is_none() || text(header::ORIGIN) != own.as_deref() || site.is_some_and(|site| site != "same-origin") {
            return Some(StatusCode::FORBIDDEN);
        }
        return (text(header::CONTENT_TYPE) != Some("application/json")).then_some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    // A link or an address typed elsewhere may lead to the page, and to nothing else.
    let may_lead_here = request.uri().path() == "/";
    site.filter(|site| !["same-origin", "none"].contains(site) && !may_lead_here).map(|_| StatusCode::FORBIDDEN)
}

/// Lets through who is signed in; for an action, only with the session's token.
pub(super) async fn only_signed_in(
    State(state): State<Arc<ConsoleState>>,
    Extension(Peer(from)): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let (secret, session) = match session(&state, request.headers(), from, true).await {
        Ok(Some(found)) => found,
        Ok(None) => return said(StatusCode::UNAUTHORIZED, "signed_out"),
        Err(error) => return failed(&error),
    };
    if request.method() == Method::POST {
        let token = request.headers().get(TOKEN).map(HeaderValue::as_bytes);
        if token != Some(session.token.as_bytes()) {
            return said(StatusCode::FORBIDDEN, "reload");
        }
    }
    request.extensions_mut().insert(Here { secret, session, from });
    next.run(request).await
}

/// The signed-in session that a request belongs to, and from where it came.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) secret: Secret,
    pub(super) session: Session,
    pub(super) from: IpAddr,
}

/// Whose session the request carries, if they are still the proctor who signed in. One that asks for something keeps it alive.
pub(super) async fn session(
    state: &ConsoleState,
    headers: &HeaderMap,
    from: IpAddr,
    asks: bool,
) -> Result<Option<(Secret, Session)>, OfficeError> {
    let Some(secret) = secret_in(headers) else { return Ok(None) };
    let found = state.door().find(state.clock.mono(), from, &secret, asks).cloned();
    let Some(session) = found else { return Ok(None) };
    Ok(state.vouch(&secret, &session, from).await?.then_some((secret, session)))
}

fn secret_in(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let value =
        cookies.flat_map(|line| line.split("; ")).find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))?;
    let mut secret = Secret::default();
    hex::decode_to_slice(value, &mut secret).ok()?;
    Some(secret)
}
