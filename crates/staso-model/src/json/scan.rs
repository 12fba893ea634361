//! The scanner: one iterative pass that says whether a text is JSON, or nearly so.
//!
//! The grammar is RFC 8259 plus what Python's and JavaScript's encoders let slip: bare `NaN`,
//! `Infinity`, `-Infinity`, and raw control characters within strings. Escapes are checked for
//! form, not for sense (a lone surrogate passes and is mended when the string is read). Nothing
//! recurses: nesting costs one bit per level, so 64 MiB of `[` is an error and not a crash. All
//! other readers of this module walk only bytes that passed here.

use super::blocks::{BLOCK, block, specials};
use super::outline::Outline;

/// What one pass saw, so that clean text can be copied without a second look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// A bare `NaN`, `Infinity` or `-Infinity`.
    pub(super) has_nonfinite: bool,
    /// An escape that has a plainer form: `\uXXXX` or `\/`.
    pub(super) has_long_escape: bool,
    /// A raw control character within a string.
    pub(super) has_control: bool,
    /// The deepest nesting of arrays and objects.
    pub(super) depth: usize,
}

impl Summary {
    /// Whether a value within this text can be kept byte for byte.
    pub(super) fn is_clean(&self, max_depth: usize) -> bool {
        !self.has_nonfinite && !self.has_long_escape && !self.has_control && self.depth <= max_depth
    }
}

/// Where a text stops being JSON, and what should have stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes before the fault.
    pub(super) offset: usize,
    /// What was expected.
    pub(super) expected: &'static str,
}

/// Checks that `bytes` is one value with nothing but white space around it. The outline is of the bytes as they
/// are, that white space included.
pub(super) fn scan(bytes: &[u8]) -> Result<(Summary, Outline), Fault> {
    let mut scanner = Scanner {
        bytes,
        pos: 0,
        open: BitStack::default(),
        seen: Summary::default(),
        outline: Outline::default(),
    };
    scanner.run()?;
    Ok((scanner.seen, scanner.outline))
}

/// The offset of the first byte at or after `pos` that ends a plain run within a string: a quote,
/// a backslash or a control character.
pub(super) fn string_run(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(block) = block(bytes, pos) {
        let marks = specials(block);
        if marks != 0 {
            return pos + marks.trailing_zeros() as usize;
        }
        pos += BLOCK;
    }
    while bytes.get(pos).is_some_and(|&b| b != b'"' && b != b'\\' && b >= 0x20) {
        pos += 1;
    }
    pos
}

/// The same, but plain escapes are a part of the run: texts within texts have one in every few words.
fn escaped_run(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(block) = block(bytes, pos) {
        let mut marks = specials(block);
        while marks != 0 {
            let at = marks.trailing_zeros() as usize;
            let is_escape = block[at] == b'\\' && block.get(at + 1).is_some_and(is_plain_escape);
            if !is_escape {
                return pos + at;
            }
            marks &= u32::MAX << (at + 2);
        }
        pos += BLOCK;
    }
    string_run(bytes, pos)
}

/// Whether this byte behind a backslash is an escape of two bytes that has no plainer form.
fn is_plain_escape(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// The first offset at or after `pos` that is not white space.
pub(super) fn skip_space(bytes: &[u8], mut pos: usize) -> usize {
    while matches!(bytes.get(pos), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        pos += 1;
    }
    pos
}

struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    open: BitStack,
    seen: Summary,
    outline: Outline,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            // A value starts here; an empty container or a scalar completes one.
            if self.begin_value()? {
                continue;
            }
            if !self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar, or opens a container. Answers whether another value must start now.
    fn begin_value(&mut self) -> Result<bool, Fault> {
        self.pos = skip_space(self.bytes, self.pos);
        match self.peek() {
            Some(b'"') => self.value_string().map(|()| false),
            Some(b'[') => self.open_container(true, b']'),
            Some(b'{') => self.open_container(false, b'}'),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'N') => self.nonfinite(b"NaN"),
            Some(b'I') => self.nonfinite(b"Infinity"),
            _ => Err(self.fault("a value")),
        }
    }

    fn open_container(&mut self, is_array: bool, close: u8) -> Result<bool, Fault> {
        let begin = self.pos;
        self.pos = skip_space(self.bytes, self.pos + 1);
        self.seen.depth = self.seen.depth.max(self.open.len + 1);
        if self.peek() == Some(close) {
            self.pos += 1;
            return Ok(false);
        }
        self.outline.open(begin, self.open.len);
        self.open.push(is_array);
        if !is_array {
            self.key()?;
        }
        Ok(true)
    }

    /// Closes what ends here. Answers whether another value must start, or the text is over.
    fn after_value(&mut self) -> Result<bool, Fault> {
        loop {
            self.pos = skip_space(self.bytes, self.pos);
            let Some(in_array) = self.open.top() else {
                let at_end = self.pos == self.bytes.len();
                return if at_end { Ok(false) } else { Err(self.fault("the end of the text")) };
            };
            match (self.peek(), in_array) {
                (Some(b','), true) => {
                    self.pos += 1;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.pos = skip_space(self.bytes, self.pos + 1);
                    self.key()?;
                    return Ok(true);
                }
                (Some(b']'), true) | (Some(b'}'), false) => {
                    self.pos += 1;
                    self.open.pop();
                    self.outline.close(self.pos, self.open.len);
                }
                (_, true) => return Err(self.fault("`,` or `]`")),
                (_, false) => return Err(self.fault("`,` or `}`")),
            }
        }
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key in double quotes"));
        }
        self.string()?;
        self.pos = skip_space(self.bytes, self.pos);
        if self.peek() != Some(b':') {
            return Err(self.fault("`:`"));
        }
        self.pos += 1;
        Ok(())
    }

    fn value_string(&mut self) -> Result<(), Fault> {
        let begin = self.pos;
        self.string()?;
        self.outline.string(begin, self.pos, self.open.len);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.pos += 1;
        loop {
            self.pos = escaped_run(self.bytes, self.pos);
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => {
                    self.seen.has_control = true;
                    self.pos += 1;
                }
                None => return Err(self.fault("the closing quote of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.pos + 1) {
            Some(byte) if is_plain_escape(byte) => self.pos += 2,
            Some(b'/') => {
                self.seen.has_long_escape = true;
                self.pos += 2;
            }
            Some(b'u') if hex4(self.bytes, self.pos + 2).is_some() => {
                self.seen.has_long_escape = true;
                self.pos += 6;
            }
            Some(b'u') => return Err(self.fault("four hex digits after `\\u`")),
            _ => return Err(self.fault("an escape that JSON knows")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.pos += 1;
            if self.peek() == Some(b'I') {
                return self.nonfinite(b"Infinity").map(|_| ());
            }
        }
        if self.peek() == Some(b'0') {
            self.pos += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.pos += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let first = self.pos;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.pos += 1;
        }
        if self.pos == first { Err(self.fault("a digit")) } else { Ok(()) }
    }

    fn nonfinite(&mut self, word: &'static [u8]) -> Result<bool, Fault> {
        self.seen.has_nonfinite = true;
        self.word(word)
    }

    fn word(&mut self, word: &'static [u8]) -> Result<bool, Fault> {
        if self.bytes[self.pos..].starts_with(word) {
            self.pos += word.len();
            Ok(false)
        } else {
            Err(self.fault("a value"))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn fault(&self, expected: &'static str) -> Fault {
        Fault { offset: self.pos.min(self.bytes.len()), expected }
    }
}

/// The four hex digits at `pos`.
pub(super) fn hex4(bytes: &[u8], pos: usize) -> Option<u16> {
    let digits = bytes.get(pos..pos + 4)?;
    digits.iter().try_fold(0u16, |value, &digit| {
        Some(value << 4 | u16::try_from(char::from(digit).to_digit(16)?).ok()?)
    })
}

/// A stack of bits: which of the open containers are arrays.
#[derive(Default)]
struct BitStack {
    words: Vec<u64>,
    len: usize,
}

impl BitStack {
    fn push(&mut self, bit: bool) {
        let (word, shift) = (self.len / 64, self.len % 64);
        if word == self.words.len() {
            self.words.push(0);
        }
        self.words[word] = self.words[word] & !(1 << shift) | u64::from(bit) << shift;
        self.len += 1;
    }

    fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    fn top(&self) -> Option<bool> {
        let index = self.len.checked_sub(1)?;
        Some(self.words[index / 64] >> (index % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nesting_costs_no_stack() {
        let deep = "[".repeat(1 << 20);
        assert_eq!(scan(deep.as_bytes()).unwrap_err().offset, 1 << 20);
        let closed = deep + &"]".repeat(1 << 20);
        assert_eq!(scan(closed.as_bytes()).unwrap().0.depth, 1 << 20);
    }

    #[test]
    fn a_fault_says_where() {
        let cases = [
            ("", 0, "a value"),
            ("{\"a\" 1}", 5, "`:`"),
            ("[1 2]", 3, "`,` or `]`"),
            ("[1,]", 3, "a value"),
            ("{\"a\":1,}", 7, "a key in double quotes"),
            ("\"a", 2, "the closing quote of a string"),
            ("\"\\x\"", 1, "an escape that JSON knows"),
            ("01", 1, "the end of the text"),
            ("-", 1, "a digit"),
        ];
        for (text, offset, expected) in cases {
            let fault = scan(text.as_bytes()).map(|(seen, _)| seen);
            assert_eq!(fault, Err(Fault { offset, expected }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",:0-9a-z\\ .eE+\-]{0,24}"#) {
            let ours = scan(text.as_bytes());
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        }

        #[test]
        fn agrees_with_serde_json_on_strings(text in r#""([a-z ]{0,20}(\\["\\/bfnrtu0-9x])?){0,4}"{1,2}"#) {
            let ours = scan(text.as_bytes());
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        }

        #[test]
        fn finds_the_first_special_byte(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let naive = bytes
                .iter()
                .position(|&b| b == b'"' || b == b'\\' || b < 0x20)
                .unwrap_or(bytes.len());
            prop_assert_eq!(string_run(&bytes, 0), naive);
        }
    }
}
