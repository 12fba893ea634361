//! Every refusal, in one shape: a code for programs, a sentence for people, a next step.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use staso_store::StoreError;

use crate::view::refusal::{ErrorBody, ErrorDetail};

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
    retry_after_secs: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: String::new(), retry_after_secs: None }
    }

    /// A request that makes no sense as sent.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// The same request may succeed in a moment.
    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "the server has more to write than it can at the moment",
        )
        .hint("send the same request again after the seconds in Retry-After")
        .retry_after(1)
    }

    /// The server is on its way out.
    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is shutting down")
            .hint("send the same request again when it is back; nothing of this one was kept")
            .retry_after(2)
    }

    /// Adds the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is told of it.
    pub(crate) fn into_detail(self) -> ErrorDetail {
        ErrorDetail { code: self.code.to_owned(), message: self.message, hint: self.hint }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::busy(),
            StoreError::Closed => Self::stopping(),
            StoreError::DiskFull => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "disk_full", error.to_string())
                    .hint("make room on that disk; the server goes on by itself")
                    .retry_after(10)
            }
            StoreError::BadQuery { message, hint } => {
                Self::bad_request("bad_query", message).hint(hint)
            }
            StoreError::Unsupported(_) => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "unsupported", error.to_string())
            }
            StoreError::Damaged { .. } | StoreError::Engine(_) => {
                tracing::error!(%error, "the store failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", error.to_string())
                    .hint("the server's log says more; `staso doctor` checks the data directory")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after_secs) = (self.status, self.retry_after_secs);
        let mut response = (status, Json(ErrorBody { error: self.into_detail() })).into_response();
        if let Some(seconds) = retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
