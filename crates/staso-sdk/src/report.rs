//! What became of the spans: the answers of `append`, `flush`, `shutdown` and `stats`.

use std::collections::BTreeMap;

/// Why something was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Recording is off.
    Disabled,
    /// The client was shut down.
    Shutdown,
    /// No room, in memory or on disk.
    QueueFull,
    /// The server does not know the key (401).
    InvalidKey,
    /// The plan has ended (402).
    PlanExpired,
    /// The key may not write here (403).
    Forbidden,
    /// Too many requests (429).
    RateLimited,
    /// The server answered something that is not its contract, or refused the batch (4xx).
    MalformedResponse,
    /// The server failed (5xx).
    BackendUnavailable,
    /// The server was not reached.
    NetworkUnavailable,
    /// No answer in time.
    Timeout,
}

impl FailureKind {
    /// The word users see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Shutdown => "shutdown",
            Self::QueueFull => "queue_full",
            Self::InvalidKey => "invalid_key",
            Self::PlanExpired => "plan_expired",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::MalformedResponse => "malformed_response",
            Self::BackendUnavailable => "backend_unavailable",
            Self::NetworkUnavailable => "network_unavailable",
            Self::Timeout => "timeout",
        }
    }

    /// Whether trying again may help without anyone doing anything.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::QueueFull
                | Self::RateLimited
                | Self::BackendUnavailable
                | Self::NetworkUnavailable
                | Self::Timeout
        )
    }
}

/// Whether a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// It is in the journal, or queued in memory where there is no journal.
    pub accepted: bool,
    /// Why not.
    pub failure: Option<FailureKind>,
    /// Whether the same again may be taken later.
    pub retryable: bool,
}

impl Enqueued {
    /// Taken.
    pub const ACCEPTED: Self = Self { accepted: true, failure: None, retryable: false };

    /// Refused.
    #[must_use]
    pub fn refused(kind: FailureKind) -> Self {
        Self { accepted: false, failure: Some(kind), retryable: kind.is_retryable() }
    }
}

/// What became of the records since the last report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Taken since the last report.
    pub accepted: u64,
    /// Acknowledged by the server since the last report.
    pub delivered: u64,
    /// Given up since the last report: set aside, evicted or lost.
    pub failed: u64,
    /// In memory, not delivered, now.
    pub pending: u64,
    /// Refused at the door since the last report.
    pub rejected: u64,
    /// Whether the time given was over before everything was delivered.
    pub timed_out: bool,
    /// The last failure to deliver since the last report.
    pub last_failure: Option<FailureKind>,
    /// Whether that one is retried.
    pub retryable: bool,
    /// The last refusal at the door since the last report.
    pub last_rejection: Option<FailureKind>,
    /// Whether the same may be taken later.
    pub rejection_retryable: bool,
    /// In the journal, not delivered, now.
    pub journalled: u64,
}

impl DeliveryReport {
    /// The report of a client that is off.
    #[must_use]
    pub fn disabled() -> Self {
        Self { last_failure: Some(FailureKind::Disabled), ..Self::default() }
    }

    /// Whether nothing failed, was refused, waits or timed out. What merely stands in the journal
    /// is well kept in local mode, but not yet delivered in any other.
    #[must_use]
    pub fn ok(&self, local: bool) -> bool {
        self.failed == 0
            && self.rejected == 0
            && self.pending == 0
            && !self.timed_out
            && (local || self.journalled == 0)
    }
}

/// Every counter by name, since the client started.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Stats(pub BTreeMap<&'static str, u64>);
