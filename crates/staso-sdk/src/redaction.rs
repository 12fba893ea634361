//! The built-in redaction rules: texts that look like addresses, cards, phone numbers and secrets.
//!
//! Each rule finds what it hides in one pass, in time linear in the text, however the text was chosen: no
//! general matcher runs here, and nothing of the program's is called. Texts are read as bytes, so that what
//! stands in a `bytes` object is found too; [`text`] reads the characters of them that matter. The rules run
//! one after another, each over what the one before it left. Measured in the wheel (2.0 MB), this is 36 KB;
//! `regex-lite` with the same rules was 47 KB, `regex` 215 KB, and 287 KB with the letters of other scripts;
//! neither looks behind, as the rules do.

mod digits;
mod email;
mod ruled;
mod secret;
mod text;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::log::{LogLevel, log};
use crate::recorder::Recorder;
pub(crate) use ruled::Ruled;

/// What stands in the place of a value that a redaction could not decide.
const FAILED: &str = "[redaction failed]";

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "[redacted secret]";

/// Numbers up to this many are counts and amounts; a card has more digits.
const SMALL: u64 = 100_000_000_000;

/// One built-in rule. Their order is the order in which they are applied: cards before phones, whose shorter
/// groups of digits would eat into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Email,
    Card,
    Phone,
    Secret,
}

impl Rule {
    const ALL: [Self; 4] = [Self::Email, Self::Card, Self::Phone, Self::Secret];

    fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Phone => "phone",
            Self::Secret => "secret",
        }
    }

    fn marker(self) -> &'static str {
        match self {
            Self::Email => "[redacted email]",
            Self::Card => "[redacted card]",
            Self::Phone => "[redacted phone]",
            Self::Secret => HIDDEN,
        }
    }

    /// What is left of `text`; `None` where there was nothing to hide.
    fn applied(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Email => replaced(text, self.marker(), |from| email::next(text, from)),
            Self::Card => replaced(text, self.marker(), |from| digits::next_card(text, from)),
            Self::Phone => replaced(text, self.marker(), |from| digits::next_phone(text, from)),
            Self::Secret => {
                let mut search = secret::Search::new(text);
                replaced(text, self.marker(), |from| search.next(from))
            }
        }
    }
}

/// The built-in rules that a program asked for.
///
/// ```
/// let rules = staso_sdk::Rules::named(["email", "secret"])?;
/// let hidden = rules.text(&["input", "question"], "write to a.b@example.org, please");
/// assert_eq!(hidden.as_deref(), Some("write to [redacted email], please"));
/// assert_eq!(rules.text(&["input", "question"], "how are you?"), None);
/// // What stands under a key that says so is hidden, whatever it is.
/// let hidden = rules.text(&["input", "api_key"], "whatever");
/// assert_eq!(hidden.as_deref(), Some("[redacted secret]"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// The rules of these names: `"email"`, `"card"`, `"phone"`, `"secret"`.
    ///
    /// # Errors
    /// A message with the names there are, for another one.
    pub fn named<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, String> {
        let known = Rule::ALL.map(|rule| format!("{:?}", rule.name())).join(", ");
        let named = names.into_iter().map(|name| {
            let name = name.as_ref();
            let rule = Rule::ALL.into_iter().find(|rule| rule.name() == name);
            rule.ok_or_else(|| format!("redact: a rule is one of {known}, not {name:?}"))
        });
        let mut rules = named.collect::<Result<Vec<_>, _>>()?;
        rules.sort_unstable();
        rules.dedup();
        Ok(Self(rules))
    }

    /// What is to stand in the place of a text; `None` where it may be told. `path` is where it stands, as a
    /// redaction of the program's own sees it: a key is a text at its own path. Numbers are asked about as texts.
    #[must_use]
    pub fn text(&self, path: &[&str], text: &str) -> Option<String> {
        let keys = path.get(1..).unwrap_or_default();
        let above = if keys.last() == Some(&text) { &keys[..keys.len() - 1] } else { keys };
        let is_number = || text.parse::<f64>().is_ok();
        let hides = |key: &str| self.names_secret(key) && !(secret::is_measure(key) && is_number());
        if above.iter().any(|key| hides(key)) {
            return Some(HIDDEN.to_owned());
        }
        self.plain(text)
    }

    /// Whether what stands under this key is hidden, whatever it is.
    fn names_secret(&self, key: &str) -> bool {
        self.0.contains(&Rule::Secret) && secret::is_named_by(key)
    }

    fn plain(&self, text: &str) -> Option<String> {
        let left = self.applied(text.as_bytes())?;
        Some(String::from_utf8(left).unwrap_or_else(|_| FAILED.to_owned()))
    }

    fn applied(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut left: Option<Vec<u8>> = None;
        for rule in &self.0 {
            left = rule.applied(left.as_deref().unwrap_or(text)).or(left);
        }
        left
    }
}

/// `text` with every range that `next` finds at or after a place replaced by `marker`.
fn replaced(
    text: &[u8],
    marker: &str,
    mut next: impl FnMut(usize) -> Option<Range<usize>>,
) -> Option<Vec<u8>> {
    let mut found = next(0)?;
    let mut out = Vec::with_capacity(text.len() + marker.len());
    let mut told = 0;
    loop {
        out.extend_from_slice(&text[told..found.start]);
        out.extend_from_slice(marker.as_bytes());
        told = found.end;
        let Some(another) = next(told) else { break };
        found = another;
    }
    out.extend_from_slice(&text[told..]);
    Some(out)
}

/// A redaction failed for the first time: what it hides now is more than what was meant.
#[cold]
pub(crate) fn say_failed() {
    let message = format!(
        "a redaction failed: {FAILED:?} stands in the place of what it was asked about, and redactions_failed in \
         the client's stats() counts it. Find the value that it fails for by calling it in a test of your own."
    );
    log(LogLevel::Warning, &message);
}

/// What a redaction decides. It fails closed: where it panics there is a text to stand for what it was asked
/// about, and that is counted.
pub(crate) fn guarded<T>(recorder: &Recorder, decide: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decide)).map_err(|_| {
        recorder.fail_redaction();
        FAILED.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_under_a_key_that_names_a_secret_is_hidden() {
        let rules = Rules::named(["secret"]).unwrap();
        let hidden = |path: &[&str], text: &str| rules.text(path, text).as_deref() == Some(HIDDEN);
        for path in
            [&["input", "token"][..], &["input", "token", "0"], &["input", "password", "old", "0"]]
        {
            assert!(hidden(path, "x") && hidden(path, "4711") && hidden(path, "0.5"), "{path:?}");
        }
        assert!(!hidden(&["input", "token"], "token"), "the key itself");
        assert!(!hidden(&["token", "x"], "y"), "the first part names a field of the span");
        assert!(!hidden(&["input", "tokens"], "4711") && !hidden(&["input", "max_tokens"], "1"));
    }

    #[test]
    fn what_a_token_takes_is_told_where_it_is_a_number() {
        let rules = Rules::named(["secret"]).unwrap();
        for key in ["time_to_first_token", "cost-per-token", "gen_ai.time_per_output_token"] {
            // Only the last word makes it a token's.
            assert_eq!(rules.text(&["metadata", key], "0.25"), None, "{key}");
            assert_eq!(rules.text(&["metadata", key], "x").as_deref(), Some(HIDDEN), "{key}");
        }
        assert_eq!(rules.text(&["metadata", "first_password"], "1").as_deref(), Some(HIDDEN));
    }
}
