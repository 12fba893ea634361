//! Time as a trace sees it: one reading of the wall clock, then only the monotonic one.
//!
//! A wall clock that is set while a trace runs would give negative durations and children outside
//! their parents; within a process every span of a trace is dated by the same pair.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A wall-clock instant and the monotonic one read with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceClock {
    wall_ns: i64,
    mono_ns: u64,
}

impl TraceClock {
    /// Reads both clocks.
    #[must_use]
    pub fn start() -> Self {
        Self { wall_ns: wall_ns(), mono_ns: mono_ns() }
    }

    /// A pair with `mono_ns`, a reading of [`mono_ns`] just made. Traces that begin within a millisecond
    /// share one reading of the wall clock.
    #[must_use]
    #[inline]
    pub fn start_at(mono_ns: u64) -> Self {
        let since = mono_ns.saturating_sub(READ_AT_NS.load(Ordering::Acquire));
        let ahead_ns = if since < SHARED_FOR_NS {
            AHEAD_NS.load(Ordering::Relaxed)
        } else {
            read_ahead(mono_ns)
        };
        Self { wall_ns: ahead_ns.wrapping_add_unsigned(mono_ns), mono_ns }
    }

    /// Now, Unix nanoseconds on this trace's clock; never earlier than its start.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.at(mono_ns())
    }

    /// The Unix nanoseconds of a reading of [`mono_ns`] in this process.
    #[must_use]
    pub fn at(&self, mono_ns: u64) -> i64 {
        let since = mono_ns.saturating_sub(self.mono_ns);
        self.wall_ns.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

/// How long one reading of the wall clock serves: shorter than anybody can tell, longer than a span of a program
/// that is in a hurry.
const SHARED_FOR_NS: u64 = 1_000_000;

/// By how much the wall clock is ahead of the monotonic one, and when that was read. Each is right by itself,
/// whichever thread wrote it.
static AHEAD_NS: AtomicI64 = AtomicI64::new(0);
static READ_AT_NS: AtomicU64 = AtomicU64::new(0);

#[cold]
fn read_ahead(mono_ns: u64) -> i64 {
    let ahead_ns = wall_ns().wrapping_sub_unsigned(mono_ns);
    AHEAD_NS.store(ahead_ns, Ordering::Relaxed);
    READ_AT_NS.store(mono_ns, Ordering::Release);
    ahead_ns
}

/// The wall clock, Unix nanoseconds.
#[cfg(unix)]
#[must_use]
pub fn wall_ns() -> i64 {
    i64::try_from(read(libc::CLOCK_REALTIME)).unwrap_or(i64::MAX)
}

/// The wall clock, Unix nanoseconds.
#[cfg(not(unix))]
#[must_use]
pub fn wall_ns() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The monotonic clock, nanoseconds from an arbitrary start.
#[cfg(unix)]
#[must_use]
pub fn mono_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Asks the system directly: the standard library checks and converts what is added up here anyway.
#[cfg(unix)]
#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to; both clocks exist on every Unix.
    unsafe {
        libc::clock_gettime(clock, &raw mut time);
    }
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// The monotonic clock, nanoseconds from the first reading.
#[cfg(not(unix))]
#[must_use]
pub fn mono_ns() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    u64::try_from(START.get_or_init(std::time::Instant::now).elapsed().as_nanos())
        .unwrap_or(u64::MAX)
}

/// A time-out in seconds as programs give it: anything that is none is at once, and at most a million.
#[must_use]
pub fn seconds(timeout: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(timeout.clamp(0.0, 1e6)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_never_runs_backwards() {
        let clock = TraceClock::start();
        let before = clock.now_ns();
        assert!(clock.now_ns() >= before);
        assert_eq!(clock.at(0), clock.at(clock.mono_ns));
        let wall = wall_ns();
        let shared = TraceClock::start_at(mono_ns()).now_ns();
        assert!((shared - wall).abs() < 1_000_000_000, "{shared} is not {wall}");
    }
}
