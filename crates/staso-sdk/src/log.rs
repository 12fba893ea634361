//! What the engine has to say goes to one sink, which the binding turns into its host's logging.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// How urgent a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// Only with `debug`.
    Debug,
    /// Good to know.
    Info,
    /// Something is not delivered, or was lost.
    Warning,
}

impl LogLevel {
    /// Its name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}

/// Takes one message. Called from any thread, never while the engine holds a lock.
pub type LogSink = fn(LogLevel, &str);

static SINK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Sets where messages go. Without a sink they are not kept.
pub fn set_log_sink(sink: LogSink) {
    SINK.store(sink as *mut (), Ordering::Release);
}

pub(crate) fn log(level: LogLevel, message: &str) {
    let sink = SINK.load(Ordering::Acquire);
    if sink.is_null() {
        return;
    }
    // SAFETY: the only non-null value ever stored is a `LogSink`.
    let sink = unsafe { std::mem::transmute::<*mut (), LogSink>(sink) };
    sink(level, message);
}

/// What the engine has said and the host's logging has not yet taken.
static KEPT: Mutex<Vec<(&'static str, String)>> = Mutex::new(Vec::new());

static IS_KEEPING: AtomicBool = AtomicBool::new(false);

/// The most messages that wait to be taken.
const KEPT_MAX: usize = 100;

/// A sink that keeps messages until [`take_messages`]: the engine's own threads never wait for the
/// host, whose logging may be anything.
pub fn keep_messages() {
    set_log_sink(|level, message| {
        // Tried, not waited for: in a forked child the lock may be held by a thread that is not there.
        let Ok(mut kept) = KEPT.try_lock() else { return };
        if kept.len() < KEPT_MAX {
            kept.push((level.as_str(), message.to_owned()));
            IS_KEEPING.store(true, Ordering::Release);
        }
    });
}

/// Whether messages wait; nearly always none do.
#[inline]
#[must_use]
pub fn has_messages() -> bool {
    IS_KEEPING.load(Ordering::Relaxed)
}

/// The messages since the last call, each after the name of its level.
#[must_use]
pub fn take_messages() -> Vec<(&'static str, String)> {
    IS_KEEPING.store(false, Ordering::Relaxed);
    KEPT.try_lock().map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default()
}

/// Says each kind of thing once.
#[derive(Debug, Default)]
pub(crate) struct SaidOnce(Mutex<Vec<&'static str>>);

impl SaidOnce {
    pub(crate) fn warn(&self, kind: &'static str, message: &str) {
        let is_new = match self.0.lock() {
            Ok(mut said) => {
                !said.contains(&kind) && {
                    said.push(kind);
                    true
                }
            }
            Err(_) => false,
        };
        if is_new {
            log(LogLevel::Warning, message);
        }
    }
}
