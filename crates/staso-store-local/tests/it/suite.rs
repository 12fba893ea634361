//! The conformance suite over a fresh directory per test: answered from the hot set, and from segments.

use async_trait::async_trait;
use staso_store::conformance::StoreFactory;
use staso_store_local::{LocalStore, Options};
use tempfile::TempDir;

struct LocalFactory(TempDir, Options);

impl LocalFactory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), Options::default())
    }

    /// Everything goes to segments as soon as it may.
    fn flushing() -> Self {
        let options = Options { hot_bytes: 1, ..Options::default() };
        Self(tempfile::tempdir().unwrap(), options)
    }
}

#[async_trait]
impl StoreFactory for LocalFactory {
    type Store = LocalStore;

    async fn open(&self) -> LocalStore {
        LocalStore::open(self.0.path(), &self.1).unwrap()
    }
}

staso_store::conformance_suite!(LocalFactory::new());

/// The same with hardly any hot set: every batch waits until the one before it is in a segment.
mod from_segments {
    use super::LocalFactory;

    staso_store::conformance_suite!(LocalFactory::flushing());
}
