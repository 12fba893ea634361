//! The conformance suite over a fresh directory per test.

use async_trait::async_trait;
use staso_store::conformance::StoreFactory;
use staso_store_local::{LocalStore, Options};
use tempfile::TempDir;

struct LocalFactory(TempDir);

impl LocalFactory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl StoreFactory for LocalFactory {
    type Store = LocalStore;

    async fn open(&self) -> LocalStore {
        LocalStore::open(self.0.path(), &Options::default()).unwrap()
    }
}

staso_store::conformance_suite!(LocalFactory::new());
