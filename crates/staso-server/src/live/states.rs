//! Changes that no request brings: a running trace whose process falls silent.
//!
//! Run states are judged when they are read, so nothing is stored when one changes by time alone.
//! While somebody listens, this task looks at the open traces now and then and marks those whose
//! state is another than last time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::query::{Filter, RunState, Sort, TraceQuery};

use super::Changed;
use crate::app::App;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// How many open traces of one workspace are watched, newest first.
const MAX_WATCHED: usize = 500;

/// Watches until the server stops.
pub(crate) async fn watch_states(app: Arc<App>) {
    let mut known = HashMap::new();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        match open_traces(&app).await {
            Ok(now) => {
                app.hub.mark(differences(&known, &now));
                known = now;
            }
            Err(error) => tracing::debug!(%error, "could not look at the open traces"),
        }
    }
}

async fn open_traces(app: &App) -> Result<HashMap<Changed, RunState>, StoreError> {
    let mut open = HashMap::new();
    for workspace in app.hub.listened() {
        let query = TraceQuery {
            workspace,
            environment: None,
            from_ns: None,
            to_ns: None,
            filter: Filter::Any(vec![
                Filter::State(RunState::Running),
                Filter::State(RunState::Stalled),
                Filter::State(RunState::Unknown),
            ]),
            sort: Sort::Start,
            after: None,
            limit: MAX_WATCHED,
            now_ns: app.clock.now_ns(),
        };
        let rows = app.store.traces(&query).await?.rows;
        open.extend(rows.into_iter().map(|row| ((row.workspace, row.trace_id), row.state)));
    }
    Ok(open)
}

/// The traces known before whose state is another now, or that are open no more. New ones were
/// announced by the request that brought them.
fn differences(
    before: &HashMap<Changed, RunState>,
    now: &HashMap<(String, TraceId), RunState>,
) -> Vec<Changed> {
    let differs = |(trace, state): &(&Changed, &RunState)| now.get(*trace) != Some(*state);
    before.iter().filter(differs).map(|(trace, _)| trace.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_became_another_is_announced() {
        let trace = |n: u8| ("w".to_owned(), TraceId([n; 16]));
        let before = HashMap::from([
            (trace(1), RunState::Running),
            (trace(2), RunState::Running),
            (trace(3), RunState::Stalled),
        ]);
        let now = HashMap::from([
            (trace(1), RunState::Stalled),
            (trace(2), RunState::Running),
            (trace(4), RunState::Running),
        ]);
        let mut changed = differences(&before, &now);
        changed.sort();
        assert_eq!(changed, [trace(1), trace(3)]);
    }
}
