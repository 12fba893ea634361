//! Read-only connections: a few, each used by one call at a time, off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use staso_store::StoreError;
use tokio::sync::Semaphore;

use crate::error::from_sqlite;
use crate::schema;

/// The pool. Clones share it.
#[derive(Clone)]
pub(crate) struct Pool {
    catalog: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(catalog: PathBuf, connections: usize) -> Self {
        Self {
            catalog: Arc::new(catalog),
            idle: Arc::default(),
            room: Arc::new(Semaphore::new(connections.max(1))),
        }
    }

    /// Runs a read on one snapshot: everything `work` asks sees the same state.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(&self.room);
        let permit = room.acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = pool.lock().pop();
            let conn = match taken {
                Some(conn) => conn,
                None => schema::open_reader(&pool.catalog)?,
            };
            let result = snapshot(&conn, work);
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
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = conn.unchecked_transaction().map_err(from_sqlite)?;
    let result = work(conn);
    transaction.finish().map_err(from_sqlite)?;
    result
}
