//! Secrets: keys and tokens by the prefixes their makers gave them, private keys, bearer tokens, and whatever
//! stands under a key that says so.

use std::ops::Range;

use memchr::memmem;

use super::text::{char_at, run};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const OF_KEY: &[u8] = b"PRIVATE KEY";

/// How long the first part of a JSON web token is; the others are as long at least.
const HEAD_BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// What a key ends with whose value is a secret.
const NAMES: [&str; 8] =
    ["api_key", "api-key", "apikey", "authorization", "password", "passwd", "secret", "token"];

/// Words of a key that ends with `token` and tells a number of each one, or of one among many.
const MEASURES: [&str; 4] = ["first", "last", "next", "per"];

/// A search through one text.
pub(super) struct Search<'t> {
    text: &'t [u8],
    /// Where the run of a token's characters ends that was looked at last: many heads may end there.
    head_end: usize,
    /// The last point behind which no token goes on: it is asked about once.
    dead_end: Option<usize>,
}

impl<'t> Search<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, head_end: 0, dead_end: None }
    }

    /// The next secret that begins at `from` or later.
    pub(super) fn next(&mut self, from: usize) -> Option<Range<usize>> {
        (from..self.text.len()).find_map(|at| Some(at..self.secret_at(at)?))
    }

    /// Where the secret that begins at `at` ends.
    #[inline]
    fn secret_at(&mut self, at: usize) -> Option<usize> {
        let text = self.text;
        let next = |by: usize| text.get(at + by).copied();
        let run_of = |skipped: usize, least: usize, class: fn(u8) -> bool| {
            let length = run(text, at + skipped, usize::MAX, class);
            (length >= least).then_some(at + skipped + length)
        };
        match text[at] {
            b's' | b'p' | b'r' | b'a' if next(1) == Some(b'k') => {
                matches!(next(2)?, b'-' | b'_').then(|| run_of(3, 16, is_of_token))?
            }
            b'g' if next(1) == Some(b'h') => {
                let is_known = b"pousr".contains(&next(2)?) && next(3) == Some(b'_');
                is_known.then(|| run_of(4, 20, |byte| byte.is_ascii_alphanumeric()))?
            }
            b'x' if next(1) == Some(b'o') => {
                let is_known =
                    next(2) == Some(b'x') && b"abprs".contains(&next(3)?) && next(4) == Some(b'-');
                is_known
                    .then(|| run_of(5, 10, |byte| byte.is_ascii_alphanumeric() || byte == b'-'))?
            }
            b'A' if text[at..].starts_with(b"AKIA") => {
                let is_of_key = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
                (run(text, at + 4, 16, is_of_key) == 16).then_some(at + 20)
            }
            b'e' if text[at..].starts_with(b"eyJ") => self.web_token(at + 3),
            b'-' if text[at..].starts_with(BEGIN) => self.private_key(at),
            b'b' | b'B' => self.bearer(at),
            _ => None,
        }
    }

    /// The rest of a JSON web token: three parts with points between them.
    fn web_token(&mut self, head: usize) -> Option<usize> {
        if head > self.head_end {
            self.head_end = head + run(self.text, head, usize::MAX, is_of_token);
        }
        let end = self.head_end;
        if !HEAD_BYTES.contains(&(end - head)) || self.dead_end == Some(end) {
            return None;
        }
        let part_behind = |point: usize| {
            let start = (self.text.get(point) == Some(&b'.')).then_some(point + 1)?;
            let length = run(self.text, start, usize::MAX, is_of_token);
            (length >= *HEAD_BYTES.start()).then_some(start + length)
        };
        let token = part_behind(end).and_then(part_behind);
        if token.is_none() {
            self.dead_end = Some(end);
        }
        token
    }

    /// A private key up to its last line, or all the rest.
    fn private_key(&self, at: usize) -> Option<usize> {
        let body = self.label(at + BEGIN.len())?;
        let mut ends = memmem::find_iter(&self.text[body..], END);
        let end = ends.find_map(|end| self.label(body + end + END.len()));
        Some(end.unwrap_or(self.text.len()))
    }

    /// The end of `RSA PRIVATE KEY-----`.
    fn label(&self, at: usize) -> Option<usize> {
        let words =
            run(self.text, at, usize::MAX, |byte| byte == b' ' || byte.is_ascii_uppercase());
        let end = at + words;
        let is_whole =
            self.text[at..end].ends_with(OF_KEY) && self.text[end..].starts_with(b"-----");
        is_whole.then_some(end + 5)
    }

    /// `Bearer`, space, and what proves who bears it.
    fn bearer(&self, at: usize) -> Option<usize> {
        let word = self.text.get(at..at + 6)?;
        if !word.eq_ignore_ascii_case(b"bearer") {
            return None;
        }
        let mut start = at + 6;
        while let Some((found, length)) = char_at(self.text, start)
            && is_space(found)
        {
            start += length;
        }
        if start == at + 6 {
            return None;
        }
        let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/-".contains(&byte);
        let length = run(self.text, start, usize::MAX, of_token);
        let end = start + length;
        (length >= 12).then(|| end + run(self.text, end, usize::MAX, |byte| byte == b'='))
    }
}

/// Whether what stands under this key is a secret: its last word says so.
pub(super) fn is_named_by(key: &str) -> bool {
    let key = without_line_end(key);
    NAMES.iter().any(|name| {
        let before = without_end(key, name);
        before.is_some_and(|before| before.is_empty() || before.ends_with(['_', '.', '-']))
    })
}

/// Whether a number under this key is what a token took or cost: `time_to_first_token`, `cost_per_token`.
pub(super) fn is_measure(key: &str) -> bool {
    let is_of_one = |word: &str| MEASURES.iter().any(|name| word.eq_ignore_ascii_case(name));
    let before = without_end(without_line_end(key), "token");
    before.is_some_and(|before| before.split(['_', '.', '-']).any(is_of_one))
}

fn without_line_end(key: &str) -> &str {
    key.strip_suffix('\n').unwrap_or(key)
}

/// `key` without `name` at its end, in whatever letters that is written.
fn without_end<'k>(key: &'k str, name: &str) -> Option<&'k str> {
    let mut letters = key.chars();
    let has_all = name.chars().rev().all(|wanted| letters.next_back().map(lower) == Some(wanted));
    has_all.then_some(letters.as_str())
}

/// The small letter: two signs beside ASCII have one of ASCII's.
fn lower(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The separators of files, groups, records and units count as space too.
fn is_space(found: char) -> bool {
    found.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&found)
}
