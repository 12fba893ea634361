//! Reading a data directory while no server runs on it, with the same answers as the API.

use std::path::Path;
use std::sync::Arc;

use staso_store::{Store, StoreError};
use tokio::runtime::Runtime;

use crate::clock::{Clock as _, SystemClock};
use crate::queries;
use crate::view::Int64;
use crate::view::trace::{TraceAnswer, TraceList, TraceRow};

/// A data directory opened for a moment. For programs without an async runtime of their own.
pub struct Offline {
    runtime: Runtime,
    store: Arc<dyn Store>,
}

impl Offline {
    /// Opens the directory; refused while a server has it.
    ///
    /// # Errors
    /// What the store says.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        if !data_dir.is_dir() {
            return Err(StoreError::Engine(format!("{} is not a directory", data_dir.display())));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Engine(error.to_string()))?;
        let store = runtime.block_on(crate::storage::open(data_dir))?;
        Ok(Self { runtime, store })
    }

    /// One page of the newest traces; the cursor is empty for the first.
    ///
    /// # Errors
    /// What the store says.
    pub fn traces(
        &self,
        workspace: &str,
        limit: usize,
        cursor: &str,
    ) -> Result<TraceList, StoreError> {
        let mut query = queries::newest(workspace, limit, SystemClock.now_ns());
        query.after = cursor.parse().ok();
        let page = self.runtime.block_on(self.store.traces(&query))?;
        Ok(TraceList {
            traces: page.rows.iter().map(TraceRow::from).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
            now_ns: Int64(query.now_ns),
        })
    }

    /// One trace without its payloads; `None` when it is not known.
    ///
    /// # Errors
    /// What the store says; an id that is none is not known.
    pub fn trace(&self, workspace: &str, id: &str) -> Result<Option<TraceAnswer>, StoreError> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let found = self.store.trace(workspace, &id, false, SystemClock.now_ns());
        Ok(self.runtime.block_on(found)?.as_ref().map(TraceAnswer::from))
    }

    /// Closes the directory.
    ///
    /// # Errors
    /// What the store says.
    pub fn close(&self) -> Result<(), StoreError> {
        self.runtime.block_on(self.store.close())
    }
}
