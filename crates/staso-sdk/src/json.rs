//! Writing JSON by appending to a byte buffer: no tree, no allocation per field.
//!
//! Runs of plain bytes are copied whole. Text is written as
//! UTF-8, escaped only where JSON demands it.

/// What a byte is inside a JSON string: 0 plain, otherwise the letter of its short escape, or
/// `u` for the long form.
static ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table[0x08] = b'b';
    table[0x0c] = b'f';
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A string with its quotes.
#[inline]
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// A string from bytes that may not be UTF-8: what is not becomes U+FFFD.
pub fn write_str_lossy_utf8(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        write_escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// A signed integer.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// An unsigned integer.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A float in its shortest form that reads back the same; `null` for what JSON cannot say.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return out.extend_from_slice(b"null");
    }
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, &value);
}

/// `true` or `false`.
#[inline]
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// An id as UUID text in quotes.
#[inline]
pub fn write_uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    let mut text = [b'"'; 38];
    uuid::Uuid::from_bytes_ref(bytes).hyphenated().encode_lower(&mut text[1..37]);
    out.extend_from_slice(&text);
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return };
        rest = &rest[plain + 1..];
        let escape = ESCAPES[byte as usize];
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"00");
            out.extend_from_slice(&digits);
        }
    }
}

/// How many bytes from the start need no escape. Payloads are mostly plain text, so that looking for what
/// JSON escapes is most of the work: 16 bytes are looked at together, the rest eight at a time.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    for (number, block) in blocks.iter().enumerate() {
        let found = specials(block);
        if found != 0 {
            return number * 16 + found.trailing_zeros() as usize;
        }
    }
    let plain = blocks.len() * 16;
    plain + plain_words(&bytes[plain..])
}

/// A bit for each byte that needs an escape, the first byte's the lowest.
#[cfg(target_arch = "x86_64")]
#[inline]
fn specials(block: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: the instructions belong to every x86-64 processor, and 16 bytes may be read.
    unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let found = _mm_or_si128(_mm_or_si128(quote, backslash), control);
        _mm_movemask_epi8(found).cast_unsigned()
    }
}

/// A bit for each byte that needs an escape, the first byte's the lowest.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn specials(block: &[u8; 16]) -> u32 {
    let plain = plain_words(block);
    if plain < block.len() { 1 << plain } else { 0 }
}

#[inline]
fn plain_words(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (words, _) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let found = below_space | quote | backslash;
        if found != 0 {
            // The lowest mark is exact; only marks above it may be owed to a borrow.
            return number * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let at = words.len() * 8;
    let is_special = |byte: &u8| ESCAPES[usize::from(*byte)] != 0;
    bytes[at..].iter().position(is_special).map_or(bytes.len(), |found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_string_reads_back() {
        let all: String =
            (0..0x300).filter_map(char::from_u32).chain("🦀\u{2028}".chars()).collect();
        for text in ["", "plain", "\"\\\u{0}\u{1f}\u{7f}", all.as_str()] {
            let json = written(|out| write_str(out, text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn what_needs_an_escape_is_found_at_every_place() {
        for length in (0..20).chain(30..70) {
            for special in ['"', '\\', '\0', '\u{1f}', '\n', 'é', '\u{7f}', '😀'] {
                for place in 0..=length {
                    let mut text = "a".repeat(length);
                    text.insert(place, special);
                    text.push(special);
                    let json = written(|out| write_str(out, &text));
                    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
                }
            }
        }
    }

    #[test]
    fn bad_utf8_is_marked() {
        let json = written(|out| write_str_lossy_utf8(out, b"a\xff\"\xed\xa0\x80z"));
        let text: String = serde_json::from_str(&json).unwrap();
        assert!(text.starts_with("a\u{fffd}\"\u{fffd}") && text.ends_with('z'), "{text}");
    }

    #[test]
    fn numbers_read_back() {
        for value in [i64::MIN, -1, 0, 7, 1_000_000, i64::MAX] {
            assert_eq!(written(|out| write_i64(out, value)), value.to_string());
        }
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            assert_eq!(written(|out| write_u64(out, value)), value.to_string());
        }
        assert_eq!(written(|out| write_f64(out, f64::NAN)), "null");
        assert_eq!(written(|out| write_f64(out, 0.1)), "0.1");
        assert_eq!(written(|out| write_f64(out, 1.0)), "1.0");
    }

    #[test]
    fn an_id_is_uuid_text() {
        let json = written(|out| write_uuid(out, &[0xab; 16]));
        assert_eq!(json, "\"abababab-abab-abab-abab-abababababab\"");
    }
}
