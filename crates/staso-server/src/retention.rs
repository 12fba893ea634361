//! Retention: looks now and then whether a workspace keeps more than it should.
//!
//! Days are whole ones (UTC), so that the store can drop the files of a day as they are. What may go is the
//! store's contract ([`staso_store::retention`]); each look finds it anew, so that nothing is lost by a crash.

use std::sync::Arc;
use std::time::Duration;

use staso_store::{Retained, Retention, StoreError};

use crate::app::App;
use crate::config::Keeping;

const DAY_NS: i64 = 86_400_000_000_000;

/// The pause between two looks, and that before the first: a start has other things to do.
const INTERVAL: Duration = Duration::from_secs(600);
const FIRST: Duration = Duration::from_secs(2);

/// Looks until the server stops; not at all where everything is kept for ever.
pub(crate) async fn retain(app: Arc<App>) {
    if !app.retaining.is_bounded() {
        return;
    }
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = INTERVAL;
        tokio::select! {
            () = app.stop.cancelled() => return,
            looked = look(&app) => if let Err(error) = looked {
                tracing::warn!(%error, "which workspaces there are could not be read; it is tried again");
            }
        }
    }
}

async fn look(app: &App) -> Result<(), StoreError> {
    for workspace in app.store.workspaces().await? {
        let keeping = app.retaining.of(&workspace.slug);
        if keeping == Keeping::default() {
            continue;
        }
        let before_ns = keeping.days.map(|days| first_kept_ns(app.clock.now_ns(), days));
        let retention =
            Retention { workspace: workspace.slug, before_ns, max_bytes: keeping.bytes };
        match app.store.retain(&retention).await {
            Ok(retained) => note(app, &retention.workspace, retained),
            // The others are not to wait for one that cannot.
            Err(error) => {
                let workspace = &retention.workspace;
                tracing::warn!(%error, workspace, "what is too old could not be let go; it is tried again");
            }
        }
    }
    Ok(())
}

/// The beginning of the first day that is kept.
fn first_kept_ns(now_ns: i64, days: u32) -> i64 {
    let today_ns = now_ns.div_euclid(DAY_NS).saturating_mul(DAY_NS);
    today_ns.saturating_sub(DAY_NS.saturating_mul(i64::from(days)))
}

fn note(app: &App, workspace: &str, Retained { traces, spans, bytes }: Retained) {
    if traces == 0 {
        return;
    }
    tracing::info!(workspace, traces, spans, bytes, "traces went by the rules of retention");
    let counters = &app.counters;
    for (count, n) in [
        (&counters.retention_traces, traces),
        (&counters.retention_spans, spans),
        (&counters.retention_bytes, bytes),
    ] {
        count.add(usize::try_from(n).unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_ones() {
        assert_eq!(first_kept_ns(10 * DAY_NS + 5, 3), 7 * DAY_NS);
        assert_eq!(first_kept_ns(10 * DAY_NS, 3), 7 * DAY_NS);
        assert_eq!(first_kept_ns(5, 3), -3 * DAY_NS);
        assert_eq!(first_kept_ns(i64::MIN + 1, 3), i64::MIN);
    }
}
