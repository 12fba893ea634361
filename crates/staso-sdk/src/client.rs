//! The client: what a program holds, cheap to clone, safe from every thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use staso_journal::RecordKind;
use staso_model::{ProcessId, SpanId, TraceId};

use crate::config::Config;
use crate::record::SpanHead;
use crate::report::{DeliveryReport, Enqueued, FailureKind, Stats};

/// A span in the registry of open ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenToken(pub u64);

/// A handle on the engine that records and ships.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    process_id: ProcessId,
    is_open: AtomicBool,
}

impl Client {
    /// Starts recording. Never fails and never waits for the network.
    #[must_use]
    pub fn start(config: Config) -> Self {
        crate::fork::watch();
        let shared =
            Shared { config, process_id: crate::ids::process_id(), is_open: AtomicBool::new(true) };
        Self { shared: Arc::new(shared) }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// This run of this process; another one in a forked child.
    #[must_use]
    pub fn process_id(&self) -> ProcessId {
        self.shared.process_id
    }

    /// Whether records are taken: not disabled, not shut down.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.is_open.load(Ordering::Relaxed)
    }

    /// Records one finished thing. When this returns, it survives the death of the process (where
    /// there is a journal).
    pub fn append(
        &self,
        _kind: RecordKind,
        _trace_id: &TraceId,
        _span_id: &SpanId,
        _json: &[u8],
    ) -> Enqueued {
        Enqueued::refused(FailureKind::QueueFull)
    }

    /// Registers an open span: it is announced if it stays open longer than a flush interval.
    /// `start_mono_ns` is a reading of [`crate::clock::mono_ns`].
    pub fn open_span(&self, _head: Arc<SpanHead>, start_mono_ns: u64) -> OpenToken {
        OpenToken(start_mono_ns)
    }

    /// Replaces what is told of an open span; it is announced once more.
    pub fn update_open(&self, _token: OpenToken, _head: Arc<SpanHead>) {}

    /// Takes a span out of the registry. Twice is harmless.
    pub fn close_span(&self, _token: OpenToken) {}

    /// Ships until everything recorded before this call is acknowledged, or the time is over.
    /// In local mode without a server it returns at once: the journal keeps everything.
    pub fn flush(&self, _timeout: Duration) -> DeliveryReport {
        DeliveryReport::default()
    }

    /// Flushes, says goodbye and stops recording. Later calls report nothing new.
    pub fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        self.shared.is_open.store(false, Ordering::Relaxed);
        self.flush(timeout)
    }

    /// Like [`Client::shutdown`], for the end of the program: waits only while requests make
    /// progress. The rest stays in the journal.
    pub fn shutdown_at_exit(&self, timeout: Duration) -> DeliveryReport {
        self.shutdown(timeout)
    }

    /// Every counter since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
