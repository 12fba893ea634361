//! Characters in bytes that are UTF-8 as a rule: what stands at a place, and before it.
//!
//! A byte that belongs to no character is read as U+FFFD, which is no digit, no letter and no space.

/// The zeros of the decimal digits of every script beside ASCII; the nine others follow each of them.
const ZEROS: [u32; 67] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650,
    0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16A60, 0x16AC0,
    0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E950,
    0x1FBF0,
];

/// The character that begins at `at`, and its length; `None` at the end.
pub(super) fn char_at(text: &[u8], at: usize) -> Option<(char, usize)> {
    let first = *text.get(at)?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let piece = &text[at..text.len().min(at + 4)];
    let found = piece.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    Some(found.map_or((char::REPLACEMENT_CHARACTER, 1), |found| (found, found.len_utf8())))
}

/// The character that ends before `at`; `None` at the beginning.
pub(super) fn char_before(text: &[u8], at: usize) -> Option<char> {
    let is_within = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let last = at.checked_sub(1)?;
    let lowest = at.saturating_sub(4);
    let start = (lowest..at).rev().find(|&start| !is_within(text[start])).unwrap_or(last);
    let (found, length) = char_at(text, start)?;
    Some(if start + length == at { found } else { char::REPLACEMENT_CHARACTER })
}

/// The value of the decimal digit that begins at `at`, and its length.
#[inline]
pub(super) fn digit_at(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let first = *text.get(at)?;
    if first.is_ascii() {
        return first.is_ascii_digit().then(|| (first - b'0', 1));
    }
    let (found, length) = char_at(text, at)?;
    Some((digit(found)?, length))
}

/// The value of a decimal digit of any script.
pub(super) fn digit(found: char) -> Option<u8> {
    if found.is_ascii() {
        return found.is_ascii_digit().then(|| found as u8 - b'0');
    }
    let zeros_up_to = ZEROS.partition_point(|&zero| zero <= found as u32);
    let zero = *ZEROS.get(zeros_up_to.checked_sub(1)?)?;
    u8::try_from(found as u32 - zero).ok().filter(|&value| value < 10)
}

/// Whether a word may hold it.
pub(super) fn is_word(found: char) -> bool {
    found.is_alphanumeric() || found == '_'
}

/// How many bytes of `class` follow from `at` on, counted up to `most`.
pub(super) fn run(text: &[u8], at: usize, most: usize, class: fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take(most).take_while(|&&byte| class(byte)).count()
}
