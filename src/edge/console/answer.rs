//! Questions and answers as JSON; what went wrong is named by a code, for which the page has words.

use axum::{
    body::{Body, to_bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{Limits, OfficeError};

/// The body, if it is JSON of this shape, short, and comes in time.
pub(super) async fn asked<T: DeserializeOwned>(limits: Limits, body: Body) -> Result<T, Response> {
    let bytes = match tokio::time::timeout(limits.bounds.within, to_bytes(body, limits.body)).await {
        Err(_) => return Err(said(StatusCode::REQUEST_TIMEOUT, "slow")),
        Ok(Err(_)) => return Err(said(StatusCode::PAYLOAD_TOO_LARGE, "long")),
        Ok(Ok(bytes)) => bytes,
    };
    serde_json::from_slice(&bytes).map_err(|_| said(StatusCode::UNPROCESSABLE_ENTITY, "not_understood"))
}

/// Says what went wrong: a key below `error.` of the page's words.
pub(super) fn said(status: StatusCode, code: &str) -> Response {
    answer(status, &json!({ "error": code }))
}

pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_string(body).expect("an answer is JSON");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn failed(error: &OfficeError) -> Response {
    let status = match error {
        OfficeError::NoStudent => StatusCode::NOT_FOUND,
        OfficeError::Unfounded(_) => StatusCode::UNPROCESSABLE_ENTITY,
        OfficeError::NotUndoable(_) => StatusCode::CONFLICT,
        OfficeError::Late => StatusCode::GATEWAY_TIMEOUT,
        OfficeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    if let OfficeError::Store(source) = error {
        tracing::error!(error = &**source as &dyn std::error::Error, "the console could not do as asked");
    }
    said(status, error.code())
}
