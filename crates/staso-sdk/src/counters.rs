//! Counting what became of records: since the start for `stats`, since the last report for reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::load;
use crate::report::{DeliveryReport, FailureKind, Stats};

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Records taken by the queue in memory; the journal counts its own.
    pub(crate) queued: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) adopted_delivered: AtomicU64,
    pub(crate) announced: AtomicU64,
    pub(crate) heartbeats: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) failed_requests: AtomicU64,
    refused: AtomicU64,
    last: Mutex<Last>,
}

/// What a report compares with, and the last things that went wrong.
#[derive(Debug, Default)]
struct Last {
    accepted: u64,
    delivered: u64,
    lost: u64,
    refused: u64,
    failure: Option<(FailureKind, bool)>,
    refusal: Option<FailureKind>,
}

impl Counters {
    /// One record was turned away.
    pub(crate) fn refused(&self, kind: FailureKind) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.last().refusal = Some(kind);
    }

    /// One request failed.
    pub(crate) fn failed(&self, kind: FailureKind, is_retried: bool) {
        self.failed_requests.fetch_add(1, Ordering::Relaxed);
        self.last().failure = Some((kind, is_retried));
    }

    /// What happened since the last report; the levels are the caller's to fill in.
    pub(crate) fn report(&self, accepted: u64, evicted: u64) -> DeliveryReport {
        let mut last = self.last();
        let now = Last {
            accepted,
            delivered: load(&self.delivered),
            lost: load(&self.given_up) + evicted,
            refused: load(&self.refused),
            failure: None,
            refusal: None,
        };
        let report = DeliveryReport {
            accepted: now.accepted - last.accepted,
            delivered: now.delivered - last.delivered,
            failed: now.lost - last.lost,
            rejected: now.refused - last.refused,
            last_failure: last.failure.map(|(kind, _)| kind),
            retryable: last.failure.is_some_and(|(_, is_retried)| is_retried),
            last_rejection: last.refusal,
            rejection_retryable: last.refusal.is_some_and(FailureKind::is_retryable),
            ..DeliveryReport::default()
        };
        *last = now;
        report
    }

    pub(crate) fn list(&self, stats: &mut Stats) {
        for (name, counter) in [
            ("delivered", &self.delivered),
            ("given_up", &self.given_up),
            ("refused", &self.refused),
            ("adopted_delivered", &self.adopted_delivered),
            ("announced", &self.announced),
            ("heartbeats", &self.heartbeats),
            ("requests", &self.requests),
            ("failed_requests", &self.failed_requests),
        ] {
            stats.0.insert(name, load(counter));
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
