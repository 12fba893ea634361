//! `GET /api/live`: the live tail as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::{Catch, Entry};
use crate::app::App;
use crate::error::ApiError;
use crate::params::{Params, WorkspaceParams};
use crate::view::change::{ChangeKind, LiveChange};

/// Silence after which a comment keeps the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where one listener stands.
struct Listener {
    app: Arc<App>,
    workspace: String,
    position: u64,
    ready: VecDeque<Event>,
    newest: watch::Receiver<u64>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// Changes of traces as they arrive.
///
/// Events: `hello` once at the start, then `trace` for each change (at most about four a second
/// for one trace), and `reset` when changes were missed and lists should be loaded anew. Resumes
/// after `Last-Event-ID`. A comment every 15 s keeps the connection open.
#[utoipa::path(get, path = "/api/live", tag = "live",
    params(WorkspaceParams),
    responses(
        (status = 200, description = "server-sent events; the data of `trace` events is a LiveChange",
         body = LiveChange, content_type = "text/event-stream"),
        (status = 503, description = "too many listeners", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn live(
    State(app): State<Arc<App>>,
    Params(params): Params<WorkspaceParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let permit = Arc::clone(&app.live_permits).try_acquire_owned().map_err(|_| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners", "too many live views")
            .hint("close some of the open dashboards")
            .retry_after(5)
    })?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let listener = Listener::new(app, params.workspace(), resumed, permit);
    let stream = unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("")))
}

impl Listener {
    fn new(
        app: Arc<App>,
        workspace: String,
        resumed: Option<u64>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let newest = app.hub.subscribe();
        app.hub.enter(&workspace);
        let position = resumed.unwrap_or_else(|| app.hub.position());
        let data = format!("{{\"seq\":{position}}}");
        let hello = Event::default().event("hello").id(position.to_string()).data(data);
        let stop = app.stop.clone();
        let ready = VecDeque::from([hello]);
        Self { app, workspace, position, ready, newest, stop, _permit: permit }
    }

    /// The next event; `None` when the server stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // Marked as seen before looking, so that a change in between wakes us again.
            self.newest.borrow_and_update();
            self.look();
            if self.ready.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => return None,
                    changed = self.newest.changed() => changed.ok()?,
                }
            }
        }
    }

    fn look(&mut self) {
        match self.app.hub.catch_up(self.position, &self.workspace) {
            Catch::Entries(entries, position) => {
                self.position = position;
                self.ready.extend(entries.into_iter().filter_map(trace_event));
            }
            Catch::Reset(position) => {
                self.position = position;
                let reset = Event::default().event("reset").id(position.to_string()).data("{}");
                self.ready.push_back(reset);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.app.hub.leave(&self.workspace);
    }
}

fn trace_event(entry: Entry) -> Option<Event> {
    let (workspace, trace_id) = entry.changed;
    let change =
        LiveChange { trace_id: trace_id.to_string(), workspace, change: ChangeKind::Upsert };
    Event::default().event("trace").id(entry.sequence.to_string()).json_data(change).ok()
}
