//! The journal as an engine gets it: at its start, or later, once the directory can be made; and what memory
//! holds by then, which the journal keeps from then on.

use std::error::Error;

use staso_journal::{Journal, JournalError, JournalOptions, Record};

use crate::engine::{BATCH_BYTES, Engine};
use crate::log::{LogLevel, SaidOnce, log};

/// A batch's worth of records would wake the worker too often where they come fast: each waking costs the
/// recording thread a system call. What comes slowly is seen to after an interval.
const BATCHES: u64 = 10;

impl Engine {
    /// Opens the journal, where one is wanted; that it cannot be opened is said once. Answers whether it is open.
    pub(crate) fn open_journal(&self) -> bool {
        let config = &self.config;
        let Some(home) = config.home.as_ref().filter(|_| config.journal && config.enabled) else {
            return false;
        };
        let options = JournalOptions {
            call_records: config.batch_size as u64 * BATCHES,
            call_bytes: BATCH_BYTES,
            ..JournalOptions::default()
        };
        let destination = self.destination.clone();
        let opened = home
            .create()
            .map_err(|source| JournalError::Io { path: home.path().to_owned(), source })
            .and_then(|()| {
                Journal::open(home.journal_dir(), destination, self.process_id, options)
            });
        match opened {
            Ok(journal) => self.journal.set(journal.with_stamp(&self.stamp)).is_ok(),
            Err(error) => {
                say_memory_only(&self.said, &error);
                false
            }
        }
    }

    /// Tries again to open a journal that could not be opened, and lets it keep what memory holds. Meant for the
    /// worker, which ships less soon for it; the threads that record never wait for a directory. Answers whether
    /// the journal took anything over. The last time it is tried even where it has just failed.
    pub(crate) fn take_up_journal(&self, is_last: bool) -> bool {
        if self.journal().is_none() && self.open_journal() {
            log(LogLevel::Info, "the journal can be written now: spans survive this process again");
        }
        let before = self.queue.counts();
        if before.waiting > 0 && (is_last || !self.is_journal_resting()) {
            self.journal().inspect(|journal| self.keep_what_waits(journal));
        }
        self.queue.counts().moved > before.moved
    }

    /// Lets the journal keep what waits in memory, as far as it takes it.
    fn keep_what_waits(&self, journal: &Journal) {
        let mut trouble = None;
        self.queue.hand_over(|record| {
            trouble = keep(journal, record).err();
            trouble.is_none()
        });
        if matches!(trouble, Some(JournalError::DiskFull | JournalError::Io { .. })) {
            self.rest_journal();
        }
    }
}

fn keep(journal: &Journal, record: &Record) -> Result<bool, JournalError> {
    let Record { kind, trace_id, span_id, front, json } = record;
    match front {
        Some(front) => journal.append_span(trace_id, span_id, front, json),
        None => journal.append(*kind, trace_id, span_id, json),
    }
}

pub(crate) fn say_memory_only(said: &SaidOnce, error: &JournalError) {
    let cause = error.source().map(|cause| format!(" ({cause})"));
    let remedy = match error {
        JournalError::DiskFull => "make room on it".to_owned(),
        _ => format!("set {} to a directory this user may write to", crate::env::HOME),
    };
    said.warn(
        "no journal",
        &format!(
            "{error}{}: spans are kept in memory only and do not survive this process. To end \
             this, {remedy}.",
            cause.unwrap_or_default(),
        ),
    );
}
