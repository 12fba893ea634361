//! A Rust program's redaction: a closure that sees every text before it reaches the journal.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::recorder::Recorder;

/// What stands in the place of a text that the redaction could not decide.
const FAILED: &str = "[redaction failed]";

type Change = dyn Fn(&[&str], &str) -> Option<String> + Send + Sync;

/// The program's closure.
pub(crate) struct Redaction(Box<Change>);

impl Redaction {
    pub(crate) fn new(
        change: impl Fn(&[&str], &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(change))
    }

    /// What to write in the place of `text`; `None` where it may be told. It fails closed: a closure that
    /// panics hides the text, and is counted.
    pub(crate) fn of(&self, recorder: &Recorder, path: &[&str], text: &str) -> Option<String> {
        catch_unwind(AssertUnwindSafe(|| (self.0)(path, text))).unwrap_or_else(|_| {
            recorder.fail_redaction();
            Some(FAILED.to_owned())
        })
    }
}
