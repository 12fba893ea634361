//! What the log says, brought into the catalog when the directory is opened.

use rusqlite::Connection;
use staso_store::{Batch, StoreError};

use crate::apply::{Kept, Transaction, delete_annotation};
use crate::error::from_sqlite;
use crate::schema::set_meta;
use crate::wal::Kind;
use crate::wal::record::{BatchRecord, DeletedRecord, decode};
use crate::wal::replay::Replayed;

/// Records are applied in transactions of about this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// A replay under way.
pub(crate) struct Replay<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) kept: Kept,
    /// The number of the last record that the catalog has applied.
    pub(crate) applied: u64,
    pub(crate) pending: Vec<(u64, Effect)>,
    pub(crate) bytes: usize,
}

/// What a record does.
pub(crate) enum Effect {
    Batch(Box<Batch>, u64),
    Delete(DeletedRecord),
}

impl Replay<'_> {
    /// Takes a record; `false` where it cannot be read.
    pub(crate) fn take(&mut self, record: Replayed) -> Result<bool, StoreError> {
        if record.number <= self.applied {
            return Ok(true);
        }
        let bytes = record.body.len();
        let Some(effect) = effect(&record) else { return Ok(false) };
        self.pending.push((record.number, effect));
        self.bytes += bytes;
        if self.bytes > GROUP_BYTES {
            self.apply()?;
        }
        Ok(true)
    }

    /// Applies what was taken.
    pub(crate) fn apply(&mut self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let Some((last, _)) = pending.last() else { return Ok(()) };
        let last = *last;
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        let mut transaction = Transaction::new(self.conn, &mut self.kept);
        for (_, effect) in &pending {
            match effect {
                Effect::Batch(batch, sequence) => transaction.replay(batch, *sequence)?,
                Effect::Delete(DeletedRecord { workspace, id }) => {
                    let id = id.id().unwrap_or_default();
                    delete_annotation(self.conn, workspace, id)?;
                }
            }
        }
        let last_sequence = transaction.finish()?;
        set_meta(self.conn, "applied", last)?;
        self.conn.execute_batch("COMMIT").map_err(from_sqlite)?;
        self.kept.last_sequence = last_sequence;
        self.applied = last;
        self.kept.cache.shrink();
        Ok(())
    }
}

fn effect(record: &Replayed) -> Option<Effect> {
    Some(match record.kind {
        Kind::Batch => {
            let record: BatchRecord = decode(&record.body)?;
            let sequence = record.sequence;
            Effect::Batch(Box::new(record.into_batch()?), sequence)
        }
        Kind::DeleteAnnotation => Effect::Delete(decode(&record.body)?),
    })
}
