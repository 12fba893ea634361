//! Receiving a request's body from a stranger: bounded in bytes, in time, and in what it unfolds to.
//!
//! The body arrives piece by piece; each piece is paid for from one budget that all requests
//! share, before it is kept. Decompression is paid for in the same way while it unfolds, so a
//! bomb stops at the limit and not at the end of memory.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::body::HttpBody as _;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::config::Limits;
use crate::error::ApiError;

/// The longest a body may take in all.
const TOTAL: Duration = Duration::from_secs(60);

/// How long a request waits for its share of the budget, in all.
const BUDGET_WAIT: Duration = Duration::from_secs(3);

/// How long the rest of a refused body is read and thrown away, so that a client that reads only
/// after it has written everything gets to see the refusal.
const DRAIN: Duration = Duration::from_secs(1);

/// How long the rest of a half-sent body is still waited for once the server is to stop. What has
/// not arrived whole was never acknowledged.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The largest window a zstd frame may ask for, as a power of two: 64 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// The step in which the budget is taken.
const STEP_KIB: usize = 64;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// The encoding a request names.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let name = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str());
        let name = name.transpose().unwrap_or(Some("?")).unwrap_or("identity").trim();
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_encoding",
                "the Content-Encoding is not one this server reads",
            )
            .hint("send gzip, zstd, or no Content-Encoding")),
        }
    }
}

/// A request's share of the memory that all bodies may hold; given back when dropped.
pub(crate) struct Share {
    semaphore: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
    paid_bytes: usize,
    /// How long it has waited so far, of [`BUDGET_WAIT`] in all.
    waited: Duration,
}

impl Share {
    pub(crate) fn new(semaphore: Arc<Semaphore>) -> Self {
        Self { semaphore, held: Vec::new(), paid_bytes: 0, waited: Duration::ZERO }
    }

    /// How long the request has waited for its share: time that its answer has no more.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Pays for `bytes` in all; waits for others to give back, but not for ever.
    pub(crate) async fn pay_up_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        while self.paid_bytes < bytes {
            let acquire = Arc::clone(&self.semaphore).acquire_many_owned(STEP_KIB as u32);
            let since = Instant::now();
            match timeout(BUDGET_WAIT.saturating_sub(self.waited), acquire).await {
                Ok(Ok(permit)) => self.held.push(permit),
                Ok(Err(_)) | Err(_) => return Err(ApiError::busy()),
            }
            self.waited += since.elapsed();
            self.paid_bytes += STEP_KIB * 1024;
        }
        Ok(())
    }
}

/// The body, which breaks off a moment after the server was told to stop.
pub(crate) fn until_stop(body: Body, stop: &CancellationToken) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let stop = stop.clone();
    let over = async move {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let state = (body.into_data_stream(), Box::pin(over.fuse()));
    Body::from_stream(stream::unfold(state, |(mut pieces, mut over)| async move {
        let piece = tokio::select! {
            biased;
            piece = pieces.next() => piece?,
            // An error, not an end: half a body must not pass for a whole one.
            () = &mut over => Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut))),
        };
        Some((piece, (pieces, over)))
    }))
}

/// Reads a whole body, compressed as it came.
pub(crate) async fn receive(
    mut body: Body,
    headers: &HeaderMap,
    limits: &Limits,
    share: &mut Share,
) -> Result<Vec<u8>, ApiError> {
    let max_bytes = limits.max_body_bytes;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > max_bytes) {
        drain(body).await;
        return Err(over_limit(max_bytes));
    }
    let deadline = Instant::now() + TOTAL;
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(STEP_KIB * 1024));
    while let Some(piece) = next_piece(&mut body, limits.body_idle_timeout, deadline).await? {
        if bytes.len() + piece.len() > max_bytes {
            drain(body).await;
            return Err(over_limit(max_bytes));
        }
        if let Err(error) = share.pay_up_to(bytes.len() + piece.len()).await {
            drain(body).await;
            return Err(error);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn next_piece(
    body: &mut Body,
    idle: Duration,
    deadline: Instant,
) -> Result<Option<bytes::Bytes>, ApiError> {
    loop {
        let until = deadline.min(Instant::now() + idle);
        match timeout_at(until, body.frame()).await {
            Err(_) => {
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "body_timeout",
                    "the rest of the body did not arrive in time",
                ));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => {
                return Err(ApiError::bad_request("body_broken", "the body ended too early"));
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on for a moment and throws it away; see [`DRAIN`].
pub(crate) async fn drain(mut body: Body) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(DRAIN, all).await;
}

fn over_limit(max_bytes: usize) -> ApiError {
    ApiError::too_large(format!("the body is larger than {max_bytes} bytes after decompression"))
        .hint("split the batch, or raise max_body_bytes")
}

/// The decompressed body. Blocks; not for the async threads.
pub(crate) fn unfold(
    bytes: Vec<u8>,
    encoding: Encoding,
    max_bytes: usize,
    share: &mut Share,
) -> Result<Vec<u8>, ApiError> {
    match encoding {
        Encoding::Identity => Ok(bytes),
        Encoding::Gzip => pour(MultiGzDecoder::new(&*bytes), bytes.len(), max_bytes, share),
        Encoding::Zstd => {
            let mut decoder =
                ZstdDecoder::with_buffer(&*bytes).map_err(|_| not_decompressible())?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| not_decompressible())?;
            pour(decoder, bytes.len(), max_bytes, share)
        }
    }
}

/// Reads to the end, to the limit, or to where the budget is spent.
fn pour(
    mut source: impl Read,
    already_paid: usize,
    max_bytes: usize,
    share: &mut Share,
) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    let mut piece = vec![0; STEP_KIB * 1024];
    loop {
        let read = match source.read(&mut piece) {
            Ok(0) => return Ok(out),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(not_decompressible()),
        };
        if out.len() + read > max_bytes {
            return Err(over_limit(max_bytes));
        }
        Handle::current().block_on(share.pay_up_to(already_paid + out.len() + read))?;
        out.extend_from_slice(&piece[..read]);
    }
}

fn not_decompressible() -> ApiError {
    let message = "the body is not what its Content-Encoding says";
    ApiError::bad_request("not_decompressible", message)
        .hint("send gzip or zstd whole, or leave Content-Encoding out")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Config;

    /// A body of so many pieces, one each few seconds.
    async fn received(pieces: u64, pause_secs: u64) -> Result<Vec<u8>, ApiError> {
        let limits = Config::merge(PathBuf::new(), &[]).unwrap().limits;
        let body = Body::from_stream(stream::unfold(0, move |n| async move {
            tokio::time::sleep(Duration::from_secs(pause_secs)).await;
            (n < pieces).then(|| (Ok::<_, io::Error>(bytes::Bytes::from_static(b"x")), n + 1))
        }));
        let mut share = Share::new(Arc::new(Semaphore::new(1024)));
        receive(body, &HeaderMap::new(), &limits, &mut share).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_come_slowly_but_neither_pause_nor_last_for_long() {
        assert_eq!(received(5, 9).await.unwrap().len(), 5);
        for (pieces, pause_secs) in [(7, 9), (1, 11)] {
            let error = received(pieces, pause_secs).await.unwrap_err();
            assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT, "{pieces} × {pause_secs} s");
        }
    }
}
