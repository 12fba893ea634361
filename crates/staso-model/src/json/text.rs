//! Text out of scanned JSON: strings, and payloads rewritten as plain UTF-8 JSON.
//!
//! A payload stays text. It is rewritten only where it must be: escapes of letters become the
//! letters (so that Arabic and Chinese are found by search), lone surrogates and bytes that are not
//! UTF-8 become U+FFFD, bare NaN and infinities become null, and what nests too deep becomes a
//! string of its own text.

use std::borrow::Cow;
use std::ops::Range;

use super::blocks::{BLOCK, block, specials};
use super::scan::{hex4, scan, string_run};
use super::walk::{Raw, is_nonfinite, skip_scalar, skip_value};

/// What had to be mended in one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mends {
    /// A bare NaN or infinity became null.
    pub(super) nonfinite: bool,
    /// A lone surrogate became U+FFFD.
    pub(super) surrogate: bool,
    /// Bytes that are not UTF-8 became U+FFFD.
    pub(super) utf8: bool,
    /// Too deep a value became text.
    pub(super) depth: bool,
    /// A raw control character was escaped.
    pub(super) control: bool,
    /// A number beyond 64 bits became text.
    pub(super) number: bool,
}

impl Mends {
    /// What was done, in the words of a repair.
    pub(super) fn problems(self) -> impl Iterator<Item = &'static str> {
        [
            (self.nonfinite, "NaN or Infinity: now null"),
            (self.surrogate, "lone surrogate: now U+FFFD"),
            (self.utf8, "not UTF-8: bad bytes are now U+FFFD"),
            (self.depth, "nested too deep: the inner part is kept as text"),
            (self.control, "raw control character in a string: now escaped"),
            (self.number, "number beyond 64 bits: kept as text"),
        ]
        .into_iter()
        .filter_map(|(is_done, problem)| is_done.then_some(problem))
    }

    /// Whether nothing was mended.
    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// A string's text, and what was mended in it.
pub(super) struct Unescaped<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) mends: Mends,
}

/// The text of a raw string. A value that is not a string answers its own bytes as text.
pub(super) fn unescape(raw: Raw<'_>) -> Unescaped<'_> {
    let inner = raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\"")).unwrap_or(raw);
    if memchr::memchr(b'\\', inner).is_none() {
        let (text, utf8) = utf8(inner);
        return Unescaped { text, mends: Mends { utf8, ..Mends::default() } };
    }
    unescape_sound(inner).unwrap_or_else(|| unescape_damaged(inner))
}

/// The text of the inside of a string that is not UTF-8, piece by piece.
fn unescape_damaged<'a>(inner: &[u8]) -> Unescaped<'a> {
    let mut out = String::with_capacity(inner.len());
    let mut mends = Mends::default();
    let mut pos = 0;
    while pos < inner.len() {
        let backslash = memchr::memchr(b'\\', &inner[pos..]).map_or(inner.len(), |at| pos + at);
        push_utf8(&inner[pos..backslash], &mut out, &mut mends);
        if backslash >= inner.len() {
            break;
        }
        let (letter, next) = read_escape(inner, backslash, &mut mends);
        out.push(letter);
        pos = next;
    }
    Unescaped { text: Cow::Owned(out), mends }
}

/// The text of the inside of a string, in one go; `None` where it is not UTF-8. Nearly all are.
fn unescape_sound<'a>(inner: &[u8]) -> Option<Unescaped<'a>> {
    let mut out = Vec::with_capacity(inner.len());
    let mut mends = Mends::default();
    // What stands from `from` to `pos` is plain and to be copied.
    let (mut from, mut pos) = (0, 0);
    while let Some(block) = block(inner, pos) {
        let (begin, mut marks) = (pos, specials(block));
        pos += BLOCK;
        while marks != 0 {
            let at = marks.trailing_zeros() as usize;
            marks &= marks - 1;
            if block[at] == b'\\' {
                from = unescape_one(inner, from..begin + at, &mut out, &mut mends);
                pos = pos.max(from);
                marks &= u32::MAX.checked_shl(u32::try_from(from - begin).ok()?).unwrap_or(0);
            }
        }
    }
    while let Some(at) = memchr::memchr(b'\\', inner.get(pos..).unwrap_or_default()) {
        from = unescape_one(inner, from..pos + at, &mut out, &mut mends);
        pos = from;
    }
    out.extend_from_slice(inner.get(from..).unwrap_or_default());
    Some(Unescaped { text: Cow::Owned(String::from_utf8(out).ok()?), mends })
}

/// Copies a plain run and the character of the escape behind it; answers the offset after that.
fn unescape_one(inner: &[u8], plain: Range<usize>, out: &mut Vec<u8>, mends: &mut Mends) -> usize {
    let backslash = plain.end;
    out.extend_from_slice(inner.get(plain).unwrap_or_default());
    let (letter, next) = read_escape(inner, backslash, mends);
    match u8::try_from(letter) {
        Ok(byte) if byte.is_ascii() => out.push(byte),
        _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    next
}

/// The character of the escape at `pos`, and the offset after it.
fn read_escape(bytes: &[u8], pos: usize, mends: &mut Mends) -> (char, usize) {
    let plain = match bytes.get(pos + 1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return read_unicode(bytes, pos, mends),
        Some(&other) => char::from(other),
        None => '\u{fffd}',
    };
    (plain, pos + 2)
}

/// The character of the `\uXXXX` at `pos`, or of the surrogate pair that begins there.
fn read_unicode(bytes: &[u8], pos: usize, mends: &mut Mends) -> (char, usize) {
    let first = hex4(bytes, pos + 2).unwrap_or(0xfffd);
    if let Some(letter) = char::from_u32(u32::from(first)) {
        return (letter, pos + 6);
    }
    let second = (bytes.get(pos + 6..pos + 8) == Some(br"\u")).then(|| hex4(bytes, pos + 8));
    if let Some(Some(second)) = second
        && let Some(Ok(letter)) = char::decode_utf16([first, second]).next()
    {
        return (letter, pos + 12);
    }
    mends.surrogate = true;
    ('\u{fffd}', pos + 6)
}

/// The text of bytes, and whether they were not UTF-8.
fn utf8(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(String::from_utf8_lossy(bytes).into_owned()), true),
    }
}

fn push_utf8(bytes: &[u8], out: &mut String, mends: &mut Mends) {
    let (text, is_bad) = utf8(bytes);
    out.push_str(&text);
    mends.utf8 |= is_bad;
}

/// A raw value as plain JSON text: valid, unescaped, no deeper than `max_depth`.
pub(super) fn plain_json(raw: Raw<'_>, max_depth: usize, is_clean: bool) -> (String, Mends) {
    if is_clean {
        let (text, utf8) = utf8(raw);
        return (text.into_owned(), Mends { utf8, ..Mends::default() });
    }
    let mut writer = Plain { out: String::with_capacity(raw.len()), mends: Mends::default() };
    writer.copy(raw, max_depth);
    (writer.out, writer.mends)
}

/// JSON text that came as a string: plain JSON, or `None` where the text is not JSON.
pub(super) fn json_text(text: String, max_depth: usize) -> Result<(String, Mends), String> {
    match scan(text.as_bytes()) {
        Err(_) => Err(text),
        Ok((summary, _)) if summary.is_clean(max_depth) => Ok((text, Mends::default())),
        Ok(_) => Ok(plain_json(text.trim_ascii().as_bytes(), max_depth, false)),
    }
}

/// Writes `text` as a JSON string.
pub(super) fn push_json_string(text: &str, out: &mut String) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut pos = 0;
    loop {
        let stop = string_run(bytes, pos);
        // Runs end before ASCII bytes only, so both cuts are at character boundaries.
        out.push_str(&text[pos..stop]);
        match bytes.get(stop) {
            None => break,
            Some(&byte) => push_escaped(byte, out),
        }
        pos = stop + 1;
    }
    out.push('"');
}

fn push_escaped(byte: u8, out: &mut String) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            for nibble in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
    }
}

struct Plain {
    out: String,
    mends: Mends,
}

impl Plain {
    fn copy(&mut self, raw: Raw<'_>, max_depth: usize) {
        let mut depth = 0;
        let mut pos = 0;
        while let Some(&byte) = raw.get(pos) {
            match byte {
                b'"' => {
                    pos = self.string(raw, pos);
                    continue;
                }
                b'[' | b'{' if depth >= max_depth => {
                    pos = self.too_deep(raw, pos);
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
                _ => {
                    pos = self.scalar(raw, pos);
                    continue;
                }
            }
            self.out.push(char::from(byte));
            pos += 1;
        }
    }

    fn too_deep(&mut self, raw: Raw<'_>, pos: usize) -> usize {
        let end = skip_value(raw, pos);
        let (text, is_bad) = utf8(raw.get(pos..end).unwrap_or_default());
        push_json_string(&text, &mut self.out);
        self.mends.utf8 |= is_bad;
        self.mends.depth = true;
        end
    }

    fn scalar(&mut self, raw: Raw<'_>, pos: usize) -> usize {
        let end = skip_scalar(raw, pos).min(raw.len());
        if is_nonfinite(&raw[pos..end]) {
            self.out.push_str("null");
            self.mends.nonfinite = true;
        } else {
            push_utf8(&raw[pos..end], &mut self.out, &mut self.mends);
        }
        end
    }

    /// Copies the string at `pos` with its escapes shortened; answers the offset after it.
    fn string(&mut self, raw: Raw<'_>, pos: usize) -> usize {
        self.out.push('"');
        let mut pos = pos + 1;
        loop {
            let stop = string_run(raw, pos);
            push_utf8(&raw[pos..stop], &mut self.out, &mut self.mends);
            pos = match raw.get(stop) {
                None => return stop,
                Some(b'"') => {
                    self.out.push('"');
                    return stop + 1;
                }
                Some(b'\\') => self.escape(raw, stop),
                Some(&control) => {
                    self.mends.control = true;
                    push_escaped(control, &mut self.out);
                    stop + 1
                }
            };
        }
    }

    fn escape(&mut self, raw: Raw<'_>, pos: usize) -> usize {
        let (letter, next) = read_escape(raw, pos, &mut self.mends);
        match (u8::try_from(u32::from(letter)), raw.get(pos + 1)) {
            (Ok(ascii), Some(b'u' | b'/')) if ascii < 0x20 || ascii == b'"' || ascii == b'\\' => {
                push_escaped(ascii, &mut self.out);
            }
            (_, Some(b'u' | b'/')) => self.out.push(letter),
            _ => push_utf8(raw.get(pos..next).unwrap_or_default(), &mut self.out, &mut self.mends),
        }
        next.min(raw.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_back(text in "[a-z\"\\\\\n\u{1}\u{e9}\u{6f0}\u{1f600}]{0,80}") {
            let raw = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(raw.as_bytes()).text, text.as_str());
            let raw = raw.escape_default().to_string().replace("\\u{e9}", "\\u00e9");
            let once = unescape_sound(raw.as_bytes()).map(|sound| sound.text);
            prop_assert_eq!(once, Some(unescape_damaged(raw.as_bytes()).text));
        }

        #[test]
        fn both_ways_read_the_same(inner in "[a\\\\u0d8\u{e9}/]{0,60}") {
            if let Some(sound) = unescape_sound(inner.as_bytes()) {
                let damaged = unescape_damaged(inner.as_bytes());
                prop_assert_eq!(sound.text, damaged.text);
                prop_assert_eq!(sound.mends.surrogate, damaged.mends.surrogate);
            }
        }
    }

    fn plain(text: &str) -> String {
        plain_json(text.as_bytes(), 3, false).0
    }

    #[test]
    fn letters_come_out_of_their_escapes() {
        let text =
            r#"{"سؤال":"\u0645\u0631\u062d\u0628\u0627 \ud83d\ude00 \u0000 \u0022 a\/b \n"}"#;
        assert_eq!(plain(text), r#"{"سؤال":"مرحبا 😀 \u0000 \" a/b \n"}"#);
    }

    #[test]
    fn what_cannot_be_said_is_mended() {
        let (text, mends) = plain_json(br#"[NaN, -Infinity,"\ud800x", [[[[1]]]]]"#, 3, false);
        assert_eq!(text, "[null, null,\"\u{fffd}x\", [[\"[[1]]\"]]]");
        assert_eq!(
            mends,
            Mends { nonfinite: true, surrogate: true, depth: true, ..Mends::default() }
        );
    }

    #[test]
    fn bad_bytes_and_raw_control_characters_become_json() {
        let (text, mends) = plain_json(b"\"a\xffb\nc\"", 3, false);
        assert_eq!(text, "\"a\u{fffd}b\\nc\"");
        assert!(mends.utf8 && mends.control);
    }
}
