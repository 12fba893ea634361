//! The rules at work on one record: what its pen asks about everything it is to write.

use super::{Rule, Rules, SMALL, guarded, secret};
use crate::recorder::Recorder;

/// The rules in force, and what the key written last says of the value after it.
#[derive(Debug)]
pub(crate) struct Ruled {
    rules: &'static Rules,
    recorder: &'static Recorder,
    /// Where a text begins that names a secret, should it be a key.
    named_at: Option<usize>,
    /// Where a secret stands: right behind such a key.
    secret_at: Option<usize>,
    /// The key is one of numbers that are no secret.
    is_of_measure: bool,
}

impl Ruled {
    pub(crate) fn new(rules: &'static Rules, recorder: &'static Recorder) -> Self {
        Self { rules, recorder, named_at: None, secret_at: None, is_of_measure: false }
    }

    /// What is to be written instead of a text; `None` where it may be told. `at` is where it is written.
    pub(crate) fn text(&mut self, at: Option<usize>, text: &str) -> Option<String> {
        let is_secret = at.is_some_and(|at| self.is_secret(at));
        if let Some(at) = at {
            self.judge(at, text);
        }
        let kept = guarded(self.recorder, || match is_secret {
            true => Some(Rule::Secret.marker().to_owned()),
            false => self.rules.plain(text),
        });
        kept.unwrap_or_else(Some)
    }

    /// The same for bytes, which may be text.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let kept = guarded(self.recorder, || self.rules.applied(bytes));
        kept.unwrap_or_else(|failed| Some(failed.into_bytes()))
    }

    /// Whether what is to be written here, whatever it is, stands under a key that says it is a secret.
    pub(crate) fn is_secret(&mut self, at: usize) -> bool {
        self.secret_at.take() == Some(at)
    }

    /// The same for a number.
    fn hidden_number(&mut self, at: usize) -> Option<String> {
        (self.is_secret(at) && !self.is_of_measure).then(|| Rule::Secret.marker().to_owned())
    }

    /// The same for a whole number: a card's digits may stand there as one.
    pub(crate) fn whole(&mut self, at: usize, number: i64) -> Option<String> {
        let is_long = number.unsigned_abs() > SMALL;
        let digits = |ruled: &Self| ruled.digits(|| number.to_string());
        self.hidden_number(at).or_else(|| if is_long { digits(self) } else { None })
    }

    /// The same for a float, where that is a whole number.
    pub(crate) fn float(&mut self, at: usize, number: f64) -> Option<String> {
        if let Some(hidden) = self.hidden_number(at) {
            return Some(hidden);
        }
        #[expect(clippy::cast_precision_loss, reason = "a bound of twelve digits is exact")]
        let is_long = number.abs() > SMALL as f64 && number.abs() < 1e20;
        let is_whole = is_long && number.fract() == 0.0;
        if is_whole { self.digits(|| format!("{number:.0}")) } else { None }
    }

    fn digits(&self, digits: impl FnOnce() -> String) -> Option<String> {
        guarded(self.recorder, || self.rules.plain(&digits())).unwrap_or_else(Some)
    }

    /// A key that began at `start` is written, and its value begins at `next`.
    pub(crate) fn end_key(&mut self, start: usize, next: usize) {
        self.secret_at = (self.named_at.take() == Some(start)).then_some(next);
    }

    /// Notes whether the text at a place names a secret; a name that it had before something changed it counts.
    pub(crate) fn judge(&mut self, at: usize, text: &str) {
        if self.named_at != Some(at) {
            self.named_at = self.rules.names_secret(text).then_some(at);
            self.is_of_measure = self.named_at.is_some() && secret::is_measure(text);
        }
    }

    /// The same for bytes: a program may have its keys as such.
    pub(crate) fn judge_bytes(&mut self, at: usize, bytes: &[u8]) {
        if let Ok(text) = str::from_utf8(bytes) {
            self.judge(at, text);
        }
    }

    pub(crate) fn forget(&mut self) {
        (self.named_at, self.secret_at) = (None, None);
    }
}
