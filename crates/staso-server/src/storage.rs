//! The one place that names an engine.

use std::path::Path;
use std::sync::Arc;

use staso_store::{Store, StoreError};
pub use staso_store_local::{Copied, Damage, Inspection, backup, inspect, restore};
use staso_store_local::{LocalStore, Options};

/// Opens the data directory, making it where it is missing.
pub(crate) async fn open(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || LocalStore::open(&path, &Options::default()));
    let opened = opened.await.map_err(|panic| StoreError::Engine(panic.to_string()))?;
    Ok(Arc::new(opened?))
}
