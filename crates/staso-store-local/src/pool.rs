//! Read-only connections: a few, each used by one call at a time, off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::Connection;
use staso_store::StoreError;
use tokio::sync::Semaphore;

use crate::error::from_sqlite;
use crate::files::Files;
use crate::gauges::Spent;
use crate::hot::Hot;
use crate::schema;
use crate::segment::Segments;

/// What the writer publishes beside the catalog.
pub(crate) struct Shared {
    /// Replaced in the same moment in which the catalog's commit becomes visible.
    pub(crate) hot: RwLock<Arc<Hot>>,
    /// Replaced in that moment, too, when segments go: a reader holds the one in which it began.
    pub(crate) era: Mutex<Arc<()>>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) files: Arc<Files>,
    pub(crate) catalog: PathBuf,
    pub(crate) compacted: Spent,
}

impl Shared {
    /// The era of who begins to read now. A panic cannot leave it half-replaced.
    fn era(&self) -> Arc<()> {
        Arc::clone(&self.era.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins another era; answers the one that ended.
    pub(crate) fn begin_era(&self) -> Arc<()> {
        let mut era = self.era.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *era)
    }

    /// The hot set as of the last commit. A panic cannot leave it half-replaced.
    pub(crate) fn hot(&self) -> Arc<Hot> {
        Arc::clone(&self.hot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One state of everything: the catalog's transaction and the hot set that belongs to it.
pub(crate) struct Snapshot<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) hot: Arc<Hot>,
    pub(crate) segments: Arc<Segments>,
}

/// The pool. Clones share it.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
    connections: usize,
}

impl Pool {
    pub(crate) fn new(connections: usize, shared: Arc<Shared>) -> Self {
        let connections = connections.max(1);
        let room = Arc::new(Semaphore::new(connections));
        Self { shared, idle: Arc::default(), room, connections }
    }

    /// How many reads there may be at one time.
    pub(crate) fn all(&self) -> u64 {
        self.connections as u64
    }

    /// How many there are.
    pub(crate) fn busy(&self) -> u64 {
        self.connections.saturating_sub(self.room.available_permits()) as u64
    }

    /// Runs a read on one snapshot: everything `work` asks sees the same state.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(&self.room);
        let permit = room.acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = pool.lock().pop();
            let conn = match taken {
                Some(conn) => conn,
                None => schema::open_reader(&pool.shared.catalog)?,
            };
            let result = snapshot(&conn, &pool.shared, work);
            if !pool.room.is_closed() && conn.is_autocommit() {
                pool.lock().push(conn);
            }
            result
        });
        task.await.map_err(|e| StoreError::Engine(format!("a read failed: {e}")))?
    }

    /// Refuses further reads and closes idle connections. Reads under way finish.
    pub(crate) fn close(&self) {
        self.room.close();
        self.lock().clear();
    }

    /// A panic cannot leave the list of connections half-changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn snapshot<T>(
    conn: &Connection,
    shared: &Shared,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = conn.unchecked_transaction().map_err(from_sqlite)?;
    // Held to the end: the files that this state names stay so long.
    let (hot, _era) = {
        let published = shared.hot.read().unwrap_or_else(PoisonError::into_inner);
        // SQLite takes its snapshot at the first read; the writer waits for that moment.
        conn.prepare_cached("SELECT 1 FROM meta LIMIT 1")
            .and_then(|mut first| first.query_row([], |_| Ok(())))
            .map_err(from_sqlite)?;
        (Arc::clone(&published), shared.era())
    };
    let result = work(&Snapshot { conn, hot, segments: Arc::clone(&shared.segments) });
    transaction.finish().map_err(from_sqlite)?;
    result
}
