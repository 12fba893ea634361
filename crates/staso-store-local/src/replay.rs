//! What the log says, brought into the catalog when the directory is opened.

use rusqlite::Connection;
use staso_store::{Batch, ProcessSign, StoreError};

use staso_model::Span;

use crate::apply::{Incoming, Kept, Transaction, delete_annotation};
use crate::error::from_sqlite;
use crate::schema::set_meta;
use crate::wal::Kind;
use crate::wal::forgotten::{ForgetRecord, Forgotten, TombstonesRecord};
use crate::wal::record::{BatchRecord, CarriedRecord, DeletedRecord, decode};
use crate::wal::replay::Replayed;

/// Records are applied in transactions of about this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// A replay under way.
pub(crate) struct Replay<'a> {
    conn: &'a Connection,
    kept: Kept,
    /// The number of the last record that the catalog has applied.
    applied: u64,
    pending: Vec<Effect>,
    /// The number of the last record that was taken.
    taken: u64,
    bytes: usize,
    /// Whether the catalog was made from segments: then it may lack what it says it has applied.
    is_rebuilt: bool,
}

/// What a record does.
enum Effect {
    Batch(Box<Batch>, u64, Vec<(String, ProcessSign)>),
    /// Spans that the catalog has counted, for the hot set.
    Keep(Vec<Span>),
    Delete(DeletedRecord),
    Forget(Box<Forgotten>, u64),
    /// What the catalog has forgotten already leaves the hot set too.
    LetGo(Box<Forgotten>),
    Tombstones(TombstonesRecord, u64),
}

impl<'a> Replay<'a> {
    pub(crate) fn new(conn: &'a Connection, kept: Kept, applied: u64, is_rebuilt: bool) -> Self {
        Self { conn, kept, applied, pending: Vec::new(), taken: 0, bytes: 0, is_rebuilt }
    }

    /// Applies the rest, and answers what the writer goes on with.
    pub(crate) fn finish(mut self) -> Result<Kept, StoreError> {
        self.apply()?;
        Ok(self.kept)
    }

    /// Takes a record; `false` where it cannot be read.
    pub(crate) fn take(&mut self, record: Replayed) -> Result<bool, StoreError> {
        let bytes = record.body.len();
        self.taken = record.number;
        let is_applied = record.number <= self.applied;
        let Some(effect) = effect(&record, is_applied, self.is_rebuilt) else { return Ok(false) };
        self.pending.push(effect);
        self.bytes += bytes;
        if self.bytes > GROUP_BYTES {
            self.apply()?;
        }
        Ok(true)
    }

    /// Applies what was taken.
    fn apply(&mut self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        if pending.is_empty() {
            return Ok(());
        }
        let last = self.taken.max(self.applied);
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        let mut transaction = Transaction::new(self.conn, &mut self.kept);
        for effect in pending {
            match effect {
                Effect::Batch(batch, sequence, heard) => {
                    transaction.replay(&Incoming::of(*batch), sequence, &heard)?;
                }
                Effect::Keep(spans) if self.is_rebuilt => transaction.take_again(spans)?,
                Effect::Keep(spans) => transaction.keep(spans)?,
                Effect::Forget(forgotten, number) => {
                    transaction.take_forgotten(&forgotten, number)?;
                }
                Effect::LetGo(forgotten) => transaction.let_go(*forgotten)?,
                Effect::Tombstones(record, number) => {
                    transaction.take_tombstones(record, number, self.is_rebuilt)?;
                }
                Effect::Delete(DeletedRecord { workspace, id }) => {
                    let id = id.id().unwrap_or_default();
                    delete_annotation(self.conn, &workspace, id)?;
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

/// What a record does. Of one that the catalog has applied already, only its spans are missing.
fn effect(record: &Replayed, is_applied: bool, is_rebuilt: bool) -> Option<Effect> {
    Some(match record.kind {
        Kind::Batch => {
            let record: BatchRecord = decode(&record.body)?;
            let (sequence, heard) = (record.sequence, record.heard());
            let batch = record.into_batch()?;
            if is_applied {
                Effect::Keep(batch.spans)
            } else {
                Effect::Batch(Box::new(batch), sequence, heard)
            }
        }
        Kind::DeleteAnnotation if is_applied => Effect::Keep(Vec::new()),
        Kind::DeleteAnnotation => Effect::Delete(decode(&record.body)?),
        Kind::Forget => {
            let forgotten = decode::<ForgetRecord>(&record.body)?.into_forgotten()?;
            let forgotten = Box::new(forgotten);
            if is_applied && !is_rebuilt {
                Effect::LetGo(forgotten)
            } else {
                Effect::Forget(forgotten, record.number)
            }
        }
        Kind::Tombstones if is_applied && !is_rebuilt => Effect::Keep(Vec::new()),
        Kind::Tombstones => Effect::Tombstones(decode(&record.body)?, record.number),
        Kind::Carried => {
            let record: CarriedRecord = decode(&record.body)?;
            Effect::Keep(
                record.spans.into_iter().map(|span| span.into_span("")).collect::<Option<_>>()?,
            )
        }
    })
}
