//! Everything that is printed: results to standard output, complaints and hints to standard error.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use crate::environment;

/// Prints a result. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says something about a result that is no part of it.
pub(crate) fn remark(text: &str) -> anyhow::Result<()> {
    Ok(io::stderr().lock().write_all(text.as_bytes())?)
}

/// Whether a person looks at standard output.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints an error, each of its causes, and the next step.
pub(crate) fn complain(error: &anyhow::Error) {
    // Where even standard error is closed there is nobody left to tell.
    let _ = io::stderr().lock().write_all(complaint(error).as_bytes());
}

fn complaint(error: &anyhow::Error) -> String {
    let hint = error.downcast_ref::<Hint>().map(|hint| hint.0.clone());
    // A hint travels as a link of the chain, and is told apart from a cause by its text.
    let causes = error.chain().map(ToString::to_string).filter(|text| Some(text) != hint.as_ref());
    let mut text = String::new();
    for cause in causes {
        text.push_str(if text.is_empty() { "error: " } else { "\n  because " });
        text.push_str(&plain(&cause));
    }
    if let Some(hint) = &hint {
        text.push_str("\n  hint: ");
        text.push_str(&plain(hint));
    }
    text.push('\n');
    text
}

/// The next step, carried along an error apart from what went wrong.
#[derive(Debug, Clone)]
struct Hint(String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Hint {}

/// Adds the next step to a failure.
pub(crate) trait WithHint<T> {
    /// What to do about it.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T> WithHint<T> for anyhow::Result<T> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| {
            let hint = hint.into();
            if hint.is_empty() { error } else { error.context(Hint(hint)) }
        })
    }
}

/// Whether standard output shows colours.
pub(crate) fn is_colorful() -> bool {
    io::stdout().is_terminal() && !environment::has_no_color()
}

/// Text of strangers made safe for a terminal: what would move the cursor, change colours or
/// break the line becomes visible or a space.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        // Direction marks and overrides could make a line read as something else.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_ends_with_the_next_step() {
        use anyhow::Context as _;
        let failed: anyhow::Result<()> = Err(anyhow::anyhow!("disk on fire"));
        let error = failed.context("cannot write").hint("call someone").unwrap_err();
        assert_eq!(
            complaint(&error),
            "error: cannot write\n  because disk on fire\n  hint: call someone\n"
        );
    }

    #[test]
    fn a_name_cannot_paint_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc\u{202e}d"), "a\u{fffd}[31mb c\u{fffd}d");
    }
}
