//! A Rust program's redaction: a closure that sees every text before it reaches the journal.

use crate::recorder::Recorder;
use crate::redaction::guarded;

type Change = dyn Fn(&[&str], &str) -> Option<String> + Send + Sync;

/// The program's closure.
pub(crate) struct Redaction(Box<Change>);

impl Redaction {
    pub(crate) fn new(
        change: impl Fn(&[&str], &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(change))
    }

    /// What to write in the place of `text`; `None` where it may be told.
    pub(crate) fn of(&self, recorder: &Recorder, path: &[&str], text: &str) -> Option<String> {
        guarded(recorder, || (self.0)(path, text)).unwrap_or_else(Some)
    }
}
