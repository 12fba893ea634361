//! The dashboard: files built from `web/` and kept inside the binary.
//!
//! A debug build reads them from `web/dist` as it runs, so that the dashboard can be rebuilt
//! beside a running server. A build without them serves a page that says how to make them.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::ApiError;

/// What stands in `index.html` where the nonce of the answer goes.
const NONCE_MARK: &str = "__CSP_NONCE__";

/// The page of a build without a dashboard.
const NOT_BUILT: &str = include_str!("dashboard/not_built.html");

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Files;

/// Answers every path that is not an API's: a file, or the page that finds its own way.
pub(crate) async fn fallback(request: Request) -> Response {
    let path = request.uri().path();
    if is_api(path) {
        return ApiError::not_found(format!("there is nothing at {path}"))
            .hint("/api/openapi.json lists every path")
            .into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let message = format!("{} is not a method of {path}", request.method());
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .into_response();
    }
    let name = path.trim_start_matches('/');
    match Files::get(name) {
        Some(file) if name != "index.html" => asset(name, file),
        None if name.starts_with("assets/") => {
            ApiError::not_found(format!("there is no file {path}")).into_response()
        }
        _ => page(),
    }
}

/// Also what is reserved but not built: a scraper must not take the page for an answer.
fn is_api(path: &str) -> bool {
    ["/api", "/v1", "/metrics"].iter().any(|root| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// A file. Those under `assets/` carry a hash in their name and never change.
fn asset(name: &str, file: EmbeddedFile) -> Response {
    let cache = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (headers, file.data.into_owned()).into_response()
}

fn content_type(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

/// The page, with a nonce that only this answer knows.
fn page() -> Response {
    let nonce = BASE64.encode(uuid::Uuid::new_v4().as_bytes());
    let html = Files::get("index.html").map(|file| match String::from_utf8_lossy(&file.data) {
        Cow::Borrowed(text) => text.replace(NONCE_MARK, &nonce),
        Cow::Owned(text) => text.replace(NONCE_MARK, &nonce),
    });
    let html = html.unwrap_or_else(|| NOT_BUILT.replace(NONCE_MARK, &nonce));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, policy(&nonce)),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, html).into_response()
}

/// Nothing from elsewhere, nothing inline without the nonce, in nobody's frame.
fn policy(nonce: &str) -> HeaderValue {
    let text = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_the_apis() {
        for path in ["/api", "/api/", "/api/x", "/v1/traces/x", "/metrics", "/metrics/"] {
            assert!(is_api(path), "{path}");
        }
        for path in ["/", "/apis", "/traces/v1", "/v10", "/metricsx"] {
            assert!(!is_api(path), "{path}");
        }
    }

    #[test]
    fn each_page_has_its_own_nonce_and_allows_nothing_inline() {
        let csp = |response: &Response| {
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let (one, two) = (csp(&page()), csp(&page()));
        assert_ne!(one, two);
        assert!(!one.contains("unsafe"), "{one}");
    }
}
