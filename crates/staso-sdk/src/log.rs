//! What the engine has to say goes to one sink, which the binding turns into its host's logging.

use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

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
