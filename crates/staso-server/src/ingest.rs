//! `POST /v1/traces/ingest`: from bytes of a stranger to spans that survive a power cut.
//!
//! The way of a batch: received within bounds ([`crate::body`]) → decompressed, hashed and decoded
//! on a blocking thread → appended to the store → announced to the live tail → answered. The part
//! after receiving runs as a task of its own: a client that hangs up, or is answered 429 because
//! time is up, does not stop a write half-way; its resend meets the receipt.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use staso_model::ProcessId;
use staso_model::json::{DecodeContext, DecodeError, DecodedBatch, ProcessState, decode_batch};
use staso_store::{Appended, Batch, ProcessLife, ProcessSign, ReceiptKey, Sign, StoreError};
use tokio::time::timeout;

use crate::app::App;
use crate::body::{self, Encoding, Share};
use crate::error::ApiError;
use crate::homeless;
use crate::params::DEFAULT_WORKSPACE;
use crate::view::receipt::{IngestAnswer, Repaired};

/// How long a batch may take from its last byte to its answer; clients give up at 5 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(3_700);

/// How long a batch waits for its turn to be decoded before the client is asked to come again. The
/// store waits as long for room in its queue.
const QUEUE_WAIT: Duration = Duration::from_secs(3);

/// In how many workspaces a sign of life counts beside its own.
const MAX_SIGN_WORKSPACES: usize = 64;

/// The longest key that is kept as it came.
const MAX_KEY_BYTES: usize = 200;

/// Entries of the `repaired` list of one answer; each span keeps all of its own besides.
const MAX_REPAIRS_LISTED: usize = 10_000;

/// One batch as it came.
pub(crate) struct Incoming {
    pub(crate) bytes: Vec<u8>,
    pub(crate) encoding: Encoding,
    /// The `Idempotency-Key`.
    pub(crate) key: Option<String>,
    pub(crate) share: Share,
}

/// What became of a batch.
pub(crate) struct Accepted {
    /// The answer as JSON.
    pub(crate) reply: Vec<u8>,
    /// The latest time that one of its spans speaks of.
    pub(crate) latest_ns: Option<i64>,
}

/// A batch ready for the store. The share of memory it holds is given back with it.
struct Ready {
    batch: Batch,
    repaired: usize,
    _share: Share,
}

/// Accepts one batch of traces.
///
/// The 200 is sent once the batch would survive a power cut and every later query sees it. The
/// same body under the same `Idempotency-Key` is one batch, however often it is sent. What can be
/// repaired is never rejected.
#[utoipa::path(post, path = "/v1/traces/ingest", tag = "ingest",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "one per batch, the same across retries"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd")),
    request_body(content_type = "application/json", content = Object,
        description = "{\"traces\": [...], \"processes\": [...]}"),
    responses(
        (status = 200, body = IngestAnswer),
        (status = 400, description = "not JSON, or no traces", body = crate::view::refusal::ErrorBody),
        (status = 413, description = "over a limit; says which", body = crate::view::refusal::ErrorBody),
        (status = 429, description = "too busy; Retry-After says when", body = crate::view::refusal::ErrorBody),
        (status = 503, description = "disk full or shutting down; Retry-After says when",
         body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn ingest(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let result = match receive(&app, &head.headers, body).await {
        Ok(incoming) => accept_in_time(&app, incoming).await,
        // What a stopping server reads no further is to be sent again.
        Err(_) if app.stop.is_cancelled() => Err(ApiError::stopping()),
        Err(error) => Err(error),
    };
    match result {
        Ok(accepted) => {
            ([(header::CONTENT_TYPE, "application/json")], accepted.reply).into_response()
        }
        Err(error) => {
            count_refusal(&app, &error);
            error.into_response()
        }
    }
}

async fn receive(app: &App, headers: &HeaderMap, body: Body) -> Result<Incoming, ApiError> {
    let encoding = match Encoding::of(headers) {
        _ if app.stop.is_cancelled() => Err(ApiError::stopping()),
        encoding => encoding,
    };
    let encoding = match encoding {
        Ok(encoding) => encoding,
        Err(error) => {
            body::drain(body).await;
            return Err(error);
        }
    };
    let mut share = Share::new(Arc::clone(&app.inflight_kib));
    let bytes = body::receive(body, headers, &app.limits, &mut share).await?;
    Ok(Incoming { bytes, encoding, key: idempotency_key(headers), share })
}

/// The `Idempotency-Key`, any bytes; an empty one is none.
fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("idempotency-key")?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned()).filter(|key| !key.is_empty())
}

async fn accept_in_time(app: &Arc<App>, incoming: Incoming) -> Result<Accepted, ApiError> {
    let time_left = ANSWER_WITHIN.saturating_sub(incoming.share.waited());
    let task = tokio::spawn(accept(Arc::clone(app), incoming));
    match timeout(time_left, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(fault(&panic)),
        Err(_) => Err(ApiError::busy()),
    }
}

/// Takes in one batch. Also the way of the journal.
pub(crate) async fn accept(app: Arc<App>, incoming: Incoming) -> Result<Accepted, ApiError> {
    let ready = prepare(&app, incoming).await?;
    let latest_ns = ready.batch.spans.iter().map(|span| span.end_ns.unwrap_or(span.start_ns)).max();
    let spans = ready.batch.spans.len();
    let reply = ready.batch.reply.clone();
    match commit(&app, ready.batch).await? {
        Appended::Repeated { reply } => {
            app.counters.repeated.add(1);
            Ok(Accepted { reply, latest_ns })
        }
        Appended::New { touched, key_reused } => {
            homeless::settle(&app, &touched).await?;
            app.hub.mark(touched);
            app.counters.batches.add(1);
            app.counters.spans.add(spans);
            app.counters.repaired.add(ready.repaired);
            app.counters.key_reused.add(usize::from(key_reused));
            Ok(Accepted { reply, latest_ns })
        }
    }
}

/// Decompresses and decodes where blocking is allowed, a few batches at a time.
async fn prepare(app: &Arc<App>, incoming: Incoming) -> Result<Ready, ApiError> {
    let acquire = Arc::clone(&app.decode_permits).acquire_owned();
    let Ok(Ok(permit)) = timeout(QUEUE_WAIT, acquire).await else { return Err(ApiError::busy()) };
    let app = Arc::clone(app);
    let work = move || {
        let _permit = permit;
        decode(&app, incoming)
    };
    tokio::task::spawn_blocking(work).await.map_err(|panic| fault(&panic))?
}

fn decode(app: &App, mut incoming: Incoming) -> Result<Ready, ApiError> {
    let limit = app.limits.max_body_bytes;
    let bytes = body::unfold(incoming.bytes, incoming.encoding, limit, &mut incoming.share)?;
    let receipt_id = incoming.key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let received_ns = app.clock.now_ns();
    let limits = staso_model::json::Limits {
        max_spans: app.limits.max_spans,
        max_depth: app.limits.max_depth,
        ..Default::default()
    };
    let reserved = app.limits.max_spans as u64 + 1;
    let decoded = decode_batch(
        &bytes,
        &DecodeContext {
            workspace_override: None,
            default_workspace: DEFAULT_WORKSPACE,
            received_ns,
            first_sequence: app.sequence.fetch_add(reserved, Ordering::Relaxed),
            receipt_id: &receipt_id,
            limits,
        },
    )?;
    let receipt = incoming
        .key
        .map(|key| ReceiptKey { key: bounded_key(key), digest: Sha256::digest(&bytes).into() });
    let repaired = decoded.repairs.len();
    let reply = serde_json::to_vec(&answer(receipt_id, &decoded)).unwrap_or_default();
    let batch = to_batch(decoded, receipt, reply, received_ns);
    Ok(Ready { batch, repaired, _share: incoming.share })
}

/// A key of any length as one that the store keeps: what is too long goes by its hash.
fn bounded_key(key: String) -> String {
    if key.len() <= MAX_KEY_BYTES { key } else { format!("sha256:{:x}", Sha256::digest(key)) }
}

fn answer(receipt_id: String, decoded: &DecodedBatch) -> IngestAnswer {
    let repaired = decoded.repairs.iter().take(MAX_REPAIRS_LISTED).map(|repair| Repaired {
        trace_id: repair.trace_id.map(|id| id.to_string()).unwrap_or_default(),
        span_id: repair.span_id.map(|id| id.to_string()).unwrap_or_default(),
        field: repair.field.clone(),
        problem: repair.problem.clone(),
    });
    IngestAnswer {
        accepted: decoded.trace_count as u64,
        rejected: 0,
        spans_dropped: 0,
        receipt_id,
        spans: decoded.spans.len() as u64,
        repaired: repaired.collect(),
    }
}

fn to_batch(
    decoded: DecodedBatch,
    receipt: Option<ReceiptKey>,
    reply: Vec<u8>,
    received_ns: i64,
) -> Batch {
    let processes = decoded.processes.iter().map(|sign| ProcessSign {
        process_id: sign.process_id,
        sign: match sign.state {
            // It lives now: heartbeats are never kept for later, and a sender's clock that runs ahead
            // or behind must neither keep a dead process alive nor give up a living one.
            ProcessState::Alive { .. } => Sign::Alive(received_ns),
            ProcessState::Goodbye => Sign::Goodbye(received_ns),
        },
    });
    Batch {
        workspace: DEFAULT_WORKSPACE.to_owned(),
        receipt,
        reply,
        processes: processes.collect(),
        spans: decoded.spans,
        annotations: decoded.annotations,
        received_ns,
    }
}

/// Appends a batch and spreads its signs of life.
///
/// Those name a process and no workspace, and without keys to tie a process to one, they count in every
/// workspace. They are kept in the batch's own first, which is the default one: what a crash or a
/// workspace made this very moment keeps from hearing a goodbye is found by
/// [`crate::interruptions`].
pub(crate) async fn commit(app: &App, mut batch: Batch) -> Result<Appended, StoreError> {
    let heard = batch.processes.clone();
    let own: BTreeSet<String> = batch.spans.iter().map(|span| span.workspace.clone()).collect();
    let (home, received_ns) = (batch.workspace.clone(), batch.received_ns);
    batch.processes.extend(said_before(app, &batch).await?);
    let appended = app.store.append(batch).await;
    app.counters.note_append(&appended);
    let appended = appended?;
    if !heard.is_empty() && matches!(appended, Appended::New { .. }) {
        let known = app.store.workspaces().await?.into_iter().map(|row| row.slug);
        // The store counts a batch's signs in the workspaces of its spans as well.
        let others = known.filter(|slug| *slug != home && !own.contains(slug));
        spread(app, others.take(MAX_SIGN_WORKSPACES), &heard, received_ns).await;
    }
    Ok(appended)
}

/// The goodbyes of processes whose open spans come late, to a workspace that never heard them.
async fn said_before(app: &App, batch: &Batch) -> Result<Vec<ProcessSign>, StoreError> {
    let elsewhere = batch.spans.iter().filter(|span| span.workspace != batch.workspace);
    let held = elsewhere.filter(|span| span.is_open()).filter_map(|span| span.process_id);
    let processes: Vec<ProcessId> = held.collect::<BTreeSet<_>>().into_iter().collect();
    if processes.is_empty() {
        return Ok(Vec::new());
    }
    let lives = app.store.lives(&batch.workspace, &processes).await?.into_iter();
    let goodbye = |(process_id, life): (ProcessId, ProcessLife)| {
        Some(ProcessSign { process_id, sign: Sign::Goodbye(life.goodbye_ns?) })
    };
    Ok(lives.filter_map(goodbye).collect())
}

/// Says signs in further workspaces. The batch that brought them is stored by now, so that a failure
/// here is not its sender's affair.
async fn spread(
    app: &App,
    workspaces: impl Iterator<Item = String>,
    signs: &[ProcessSign],
    received_ns: i64,
) {
    let appends = workspaces.map(|workspace| {
        let processes = signs.to_vec();
        app.store.append(Batch { workspace, processes, received_ns, ..Batch::default() })
    });
    for appended in join_all(appends).await {
        match appended {
            Ok(Appended::New { touched, .. }) => app.hub.mark(touched),
            Ok(Appended::Repeated { .. }) => {}
            Err(error) => tracing::warn!(%error, "a sign of life did not reach every workspace"),
        }
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let status = if error.is_too_large() {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        Self::new(status, code, message).hint(error.hint())
    }
}

/// A fault of ours while working on a batch: nothing of it was kept, and it may be sent again.
fn fault(panic: &tokio::task::JoinError) -> ApiError {
    tracing::error!(%panic, "a batch could not be worked on");
    let message = "the server failed while it worked on the batch";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        .hint("the server's log says more; please report it")
}

fn count_refusal(app: &App, error: &ApiError) {
    let counter = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => &app.counters.too_large,
        StatusCode::TOO_MANY_REQUESTS => &app.counters.busy,
        StatusCode::BAD_REQUEST => &app.counters.malformed,
        _ => return,
    };
    counter.add(1);
    tracing::debug!(message = error.message(), "a batch was refused");
}
