//! Annotations whose sender names no workspace, which existing clients never do.
//!
//! Such an annotation belongs where its trace is. A trace that is known is looked for; one that is
//! not known yet (clients annotate before they send) leaves its annotation in the default
//! workspace and its id here, and when it arrives in another workspace the annotation moves there.
//! What is remembered is bounded and does not outlive the server: then the annotation stays in
//! the default workspace, where it can still be read.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use staso_model::TraceId;
use staso_store::{Batch, StoreError};

use crate::app::App;
use crate::params::DEFAULT_WORKSPACE;

/// How many traces are waited for; beyond it none is remembered anew.
const MAX_AWAITED: usize = 10_000;

/// In how many workspaces a trace is looked for.
const MAX_WORKSPACES: usize = 64;

/// Traces that were annotated before they arrived.
#[derive(Debug, Default)]
pub(crate) struct Awaited(Mutex<HashSet<TraceId>>);

impl Awaited {
    fn lock(&self) -> MutexGuard<'_, HashSet<TraceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, trace_id: TraceId) {
        let mut awaited = self.lock();
        if awaited.len() < MAX_AWAITED {
            awaited.insert(trace_id);
        }
    }
}

/// Where to put an annotation of this trace: the workspace it is in; the default one while it is
/// nowhere, and then its arrival is awaited.
pub(crate) async fn workspace_of(app: &App, trace_id: &TraceId) -> Result<String, StoreError> {
    let now_ns = app.clock.now_ns();
    for workspace in candidates(app).await? {
        if app.store.trace_row(&workspace, trace_id, now_ns).await?.is_some() {
            return Ok(workspace);
        }
    }
    app.awaited.add(*trace_id);
    Ok(DEFAULT_WORKSPACE.to_owned())
}

/// The workspaces where something without a named one is looked for, the default one first.
pub(crate) async fn candidates(app: &App) -> Result<Vec<String>, StoreError> {
    let others = app.store.workspaces().await?.into_iter().map(|row| row.slug);
    let others = others.filter(|slug| slug != DEFAULT_WORKSPACE).take(MAX_WORKSPACES);
    Ok(std::iter::once(DEFAULT_WORKSPACE.to_owned()).chain(others).collect())
}

/// Moves what was waiting for these traces to where they have arrived.
pub(crate) async fn settle(app: &App, touched: &[(String, TraceId)]) -> Result<(), StoreError> {
    let arrived: Vec<&(String, TraceId)> = {
        let awaited = app.awaited.lock();
        touched.iter().filter(|(_, trace_id)| awaited.contains(trace_id)).collect()
    };
    for (workspace, trace_id) in arrived {
        if workspace != DEFAULT_WORKSPACE {
            move_annotations(app, workspace, trace_id).await?;
        }
        app.awaited.lock().remove(trace_id);
    }
    Ok(())
}

/// Written there before it is deleted here: a crash in between leaves two, never none.
async fn move_annotations(
    app: &App,
    workspace: &str,
    trace_id: &TraceId,
) -> Result<(), StoreError> {
    let waiting = app.store.annotations(DEFAULT_WORKSPACE, trace_id).await?;
    let mut moved = waiting.clone();
    moved.iter_mut().for_each(|note| workspace.clone_into(&mut note.workspace));
    let batch = Batch {
        workspace: workspace.to_owned(),
        annotations: moved,
        received_ns: app.clock.now_ns(),
        ..Batch::default()
    };
    app.store.append(batch).await?;
    for note in waiting {
        app.store.delete_annotation(DEFAULT_WORKSPACE, &note.id).await?;
    }
    Ok(())
}
