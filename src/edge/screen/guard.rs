//! Refuses requests that do not come from our own page, and sets the security headers of every response.
//!
//! Answers only requests that name this machine as their host (a web page elsewhere cannot have its name resolve to here and
//! look in) and that come from no other site. Blocks no program on this machine: loopback is as far as trust reaches.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Only its own style, script, pictures and streams; nothing in line, nothing from elsewhere, in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// What every answer carries.
pub(super) fn dress(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Why a request to the screen on `port` is not answered.
pub(super) fn refusal(method: &Method, headers: &HeaderMap, port: u16) -> Option<StatusCode> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (name, at) = text(header::HOST).unwrap_or_default().rsplit_once(':').unwrap_or_default();
    if !["127.0.0.1", "localhost"].contains(&name) || at.parse() != Ok(port) {
        return Some(StatusCode::MISDIRECTED_REQUEST);
    }
    if method != Method::GET && method != Method::HEAD {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
    {
        return Some(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let site = text(HeaderName::from_static("sec-fetch-site"));
    site.filter(|site| !["same-origin", "none"].contains(site)).map(|_| StatusCode::FORBIDDEN)
}
