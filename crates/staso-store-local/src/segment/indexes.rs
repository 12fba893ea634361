//! Indexes that stay in memory, bounded by bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use staso_store::StoreError;

use super::index::Index;

/// About what ten million spans have.
const MAX_BYTES: usize = 64 << 20;
/// What holding one takes, beside its bytes.
const OVERHEAD: usize = 256;

#[derive(Default)]
pub(super) struct Indexes(Mutex<Held>);

#[derive(Default)]
struct Held {
    indexes: HashMap<i64, Used>,
    bytes: usize,
    clock: u64,
}

struct Used {
    at: u64,
    /// `None`: the segment has none.
    index: Option<Arc<Index>>,
}

impl Used {
    fn bytes(&self) -> usize {
        OVERHEAD + self.index.as_ref().map_or(0, |index| index.bytes())
    }
}

impl Indexes {
    /// The index of a segment, read where it is not held yet.
    pub(super) fn get(
        &self,
        segment: i64,
        read: impl FnOnce() -> Result<Option<Index>, StoreError>,
    ) -> Result<Option<Arc<Index>>, StoreError> {
        if let Some(index) = self.lock().find(segment) {
            return Ok(index);
        }
        let index = read()?.map(Arc::new);
        self.lock().insert(segment, index.clone());
        Ok(index)
    }

    /// Forgets that of a segment that is no more.
    pub(super) fn let_go(&self, segment: i64) {
        self.lock().remove(segment);
    }

    /// A panic cannot leave it half-changed.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn find(&mut self, segment: i64) -> Option<Option<Arc<Index>>> {
        self.clock += 1;
        let used = self.indexes.get_mut(&segment)?;
        used.at = self.clock;
        Some(used.index.clone())
    }

    fn insert(&mut self, segment: i64, index: Option<Arc<Index>>) {
        self.remove(segment);
        let used = Used { at: self.clock, index };
        self.bytes += used.bytes();
        self.indexes.insert(segment, used);
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.indexes.iter().min_by_key(|(_, used)| used.at) else { break };
            let oldest = *oldest.0;
            self.remove(oldest);
        }
    }

    fn remove(&mut self, segment: i64) {
        if let Some(gone) = self.indexes.remove(&segment) {
            self.bytes -= gone.bytes();
        }
    }
}
