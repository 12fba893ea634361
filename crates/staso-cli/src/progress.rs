//! How far a long command is, shown on a terminal and nowhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// One line on standard error that is written over.
pub(crate) struct Progress {
    is_shown: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self { is_shown: io::stderr().is_terminal(), shown_at: None }
    }

    /// Shows how far it is, now and then.
    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        if self.is_shown && self.shown_at.is_none_or(|at| at.elapsed() >= SHOW_EVERY) {
            self.shown_at = Some(Instant::now());
            // Where standard error is closed there is nobody to show it to.
            let _ = write!(io::stderr(), "\r{} ", text());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            let _ = write!(io::stderr(), "\r");
        }
    }
}
