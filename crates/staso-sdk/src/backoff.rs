//! When to try again: exponentially later, with jitter, or when the server says.

use std::time::{Duration, Instant};

use crate::engine::RoundEnd;
use crate::report::FailureKind;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(300);

/// Whether sending must wait, and why.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    until: Instant,
    end: RoundEnd,
    /// Someone who asks for a flush does not shorten what the server asked for.
    is_fixed: bool,
}

impl Backoff {
    /// An attempt failed. A local server that is not reached is as good as none.
    pub(crate) fn failed(&mut self, kind: FailureKind, after: Option<Duration>, is_local: bool) {
        let factor = 2u32.saturating_pow(self.failures.min(10));
        let wait = FIRST.saturating_mul(factor).min(LONGEST).mul_f64(0.5 + crate::ids::unit());
        self.failures = self.failures.saturating_add(1);
        let is_absent = is_local && kind == FailureKind::NetworkUnavailable;
        self.wait = Some(Wait {
            until: Instant::now() + after.unwrap_or(wait),
            end: if is_absent { RoundEnd::NoServer } else { RoundEnd::Waiting },
            is_fixed: after.is_some(),
        });
    }

    /// Nothing will be taken until a person does something.
    pub(crate) fn pause(&mut self) {
        let until = Instant::now() + PROBE_EVERY;
        self.wait = Some(Wait { until, end: RoundEnd::Paused, is_fixed: true });
    }

    /// Someone asks for a flush.
    pub(crate) fn try_now(&mut self) {
        if self.wait.as_ref().is_some_and(|wait| !wait.is_fixed) {
            self.wait = None;
        }
    }

    /// How a round ends now, if it must wait.
    pub(crate) fn blocks(&self) -> Option<RoundEnd> {
        self.wait.as_ref().filter(|wait| Instant::now() < wait.until).map(|wait| wait.end)
    }
}
