//! Writing JSON by appending to a byte buffer: no tree, no allocation per field.
//!
//! Runs of plain bytes are copied whole. Text is written as
//! UTF-8, escaped only where JSON demands it.

/// What stands for a byte inside a JSON string: up to six bytes of text, and in the last place how many.
type Escape = [u8; 8];

static ESCAPES: [Escape; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = match byte as u8 {
            b'"' | b'\\' => byte as u8,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => b'u',
        };
        let digits = [HEX[byte >> 4], HEX[byte & 15]];
        table[byte] = match letter {
            b'u' => [b'\\', b'u', b'0', b'0', digits[0], digits[1], 0, 6],
            _ => [b'\\', letter, 0, 0, 0, 0, 0, 2],
        };
        byte += 1;
    }
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// So much text is escaped in one go, into room for the longest escape of every byte.
const PIECE_BYTES: usize = 2_048;

const LONGEST_ESCAPE: usize = 6;

/// A string with its quotes.
#[inline]
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    let (bytes, start) = (text.as_bytes(), out.len());
    if out.capacity() - start < bytes.len() + 2 {
        return write_str_in_new_room(out, text);
    }
    // SAFETY: there is room for the bytes and both quotes; what is counted has been written.
    let plain = unsafe {
        let to = out.as_mut_ptr().add(start);
        to.write(b'"');
        let plain = copy_plain(bytes, to.add(1));
        if plain == bytes.len() {
            to.add(1 + plain).write(b'"');
            return out.set_len(start + plain + 2);
        }
        out.set_len(start + 1 + plain);
        plain
    };
    write_rest(out, &bytes[plain..], b"\"");
}

/// A string with its quotes and a colon, after a comma where it is not the first.
#[inline]
pub fn write_key(out: &mut Vec<u8>, text: &str, is_first: bool) {
    let (bytes, start) = (text.as_bytes(), out.len());
    if out.capacity() - start < bytes.len() + 4 {
        return write_key_in_new_room(out, text, is_first);
    }
    // SAFETY: there is room for the bytes and the four beside them; what is counted has been written.
    let plain = unsafe {
        let before = 2 - usize::from(is_first);
        let to = out.as_mut_ptr().add(start);
        to.write(b',');
        to.add(before - 1).write(b'"');
        let plain = copy_plain(bytes, to.add(before));
        if plain == bytes.len() {
            to.add(before + plain).copy_from_nonoverlapping(b"\":".as_ptr(), 2);
            return out.set_len(start + before + plain + 2);
        }
        out.set_len(start + before + plain);
        plain
    };
    write_rest(out, &bytes[plain..], b"\":");
}

// What is rarely called is called last, so that nothing has to be saved for it.
#[cold]
#[inline(never)]
fn write_str_in_new_room(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    write_str(out, text);
}

#[cold]
#[inline(never)]
fn write_key_in_new_room(out: &mut Vec<u8>, text: &str, is_first: bool) {
    out.reserve(text.len() + 4);
    write_key(out, text, is_first);
}

/// What is left of a text from where a byte may need an escape, and what stands behind the text.
#[inline(never)]
fn write_rest(out: &mut Vec<u8>, bytes: &[u8], behind: &[u8]) {
    write_escaped(out, bytes);
    out.extend_from_slice(behind);
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

/// Copies text until something needs an escape, and answers how much of it is good. Payloads are mostly short
/// texts, of which a call of `memcpy` costs more than the copy: they are looked at and copied in one go, in runs of
/// lengths that the compiler knows, the last over what it shares with the one before.
///
/// # Safety
/// All of `bytes` may be written to `to`.
#[inline]
unsafe fn copy_plain(bytes: &[u8], to: *mut u8) -> usize {
    let put = |part: &[u8], at: usize| {
        // SAFETY: no part ends behind the end of `bytes`, by those who call this.
        unsafe { to.add(at).copy_from_nonoverlapping(part.as_ptr(), part.len()) };
    };
    let length = bytes.len();
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        for (number, block) in blocks.iter().enumerate() {
            if specials(block) != 0 {
                return number * 16;
            }
            put(block, number * 16);
        }
        put(last, length - 16);
        return if specials(last) == 0 { length } else { blocks.len() * 16 };
    }
    let mut block = [b' '; 16];
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        put(first, 0);
        put(last, length - 8);
        block[..8].copy_from_slice(first);
        block[8..].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        put(first, 0);
        put(last, length - 4);
        block[..4].copy_from_slice(first);
        block[4..8].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        // Up to three: where there are fewer, some are written twice. It does not matter where they are looked at.
        let middle = &bytes[length / 2];
        put(std::slice::from_ref(first), 0);
        put(std::slice::from_ref(middle), length / 2);
        put(std::slice::from_ref(last), length - 1);
        (block[0], block[1], block[2]) = (*first, *middle, *last);
    }
    if specials(&block) == 0 { length } else { 0 }
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE_BYTES) {
        // The last block may be written with 16 bytes behind the text, and with as many again behind an escape.
        out.reserve(piece.len() * LONGEST_ESCAPE + 48);
        let start = out.len();
        // SAFETY: there is room for the piece if all of it were escapes, and all that is counted is written.
        unsafe {
            let written = put_escaped(piece, out.as_mut_ptr().add(start));
            out.set_len(start + written);
        }
    }
}

/// Writes text with its escapes, and answers how many bytes that is.
///
/// # Safety
/// Behind `to` there is room for an escape of each byte and 48 bytes more.
unsafe fn put_escaped(piece: &[u8], to: *mut u8) -> usize {
    let (mut rest, mut written) = (piece, 0);
    while let Some((pair, _)) = rest.split_first_chunk::<32>() {
        // SAFETY: by those who call this.
        written += unsafe { put_block(pair, to.add(written)) };
        rest = &rest[16..];
    }
    // What is behind the last whole pair is looked at where 16 bytes may follow it, and these are not counted.
    let mut end = [b' '; 48];
    end[..rest.len()].copy_from_slice(rest);
    for pair in [0, 16].iter().filter(|at| **at < rest.len()) {
        let pair = end[*pair..].first_chunk().unwrap_or(&[b' '; 32]);
        // SAFETY: by those who call this.
        written += unsafe { put_block(pair, to.add(written)) };
    }
    written - (rest.len().next_multiple_of(16) - rest.len())
}

/// Writes the first half of 32 bytes with its escapes, and answers how many bytes that is. Where the escapes are is
/// known of all 16 at once, so that no look has to wait for the one before.
///
/// # Safety
/// Behind `to` there is room for an escape of each of the 16 bytes, and for 16 bytes more.
#[inline]
unsafe fn put_block(pair: &[u8; 32], to: *mut u8) -> usize {
    let mut found = pair.first_chunk().map_or(0, specials);
    let (mut to_here, mut done) = (to, 0_usize);
    // SAFETY: `done` is 16 at most, and 16 bytes follow it. The room is there, by those who call this.
    unsafe {
        loop {
            to_here.copy_from_nonoverlapping(pair.as_ptr().add(done), 16);
            if found == 0 {
                return to_here.add(16 - done).offset_from_unsigned(to);
            }
            let at = found.trailing_zeros() as usize;
            found &= found - 1;
            let escape = &ESCAPES[usize::from(*pair.as_ptr().add(at))];
            to_here = to_here.add(at - done);
            to_here.copy_from_nonoverlapping(escape.as_ptr(), escape.len());
            to_here = to_here.add(usize::from(escape[7]));
            done = at + 1;
        }
    }
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

#[cfg(not(target_arch = "x86_64"))]
use counted_specials as specials;

/// The same without instructions of one processor. Looking at all bytes in any case is what a compiler can do for
/// many at once.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn counted_specials(block: &[u8; 16]) -> u32 {
    let is_special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    if !block.iter().fold(false, |has, byte| has | is_special(byte)) {
        return 0;
    }
    let bit = |(at, byte)| u32::from(is_special(byte)) << at;
    block.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
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
    fn any_mixture_reads_back() {
        let alphabet = ["a", "b", "\"", "\\", "\n", "\u{1}", "é", "😀"];
        let mut state = 7_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        for _ in 0..5_000 {
            let (length, rarity) = (below(90), 1 + below(40));
            let letter = |_| alphabet[if below(rarity) == 0 { below(alphabet.len()) } else { 0 }];
            let text: String = (0..length).map(letter).collect();
            let json = written(|out| write_str(out, &text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn text_of_nothing_but_the_longest_escapes_has_room() {
        for length in (1..70).chain(PIECE_BYTES - 20..PIECE_BYTES + 20) {
            let text = "\u{1}".repeat(length);
            let mut out = Vec::new();
            write_str(&mut out, &text);
            assert_eq!(out.len(), length * LONGEST_ESCAPE + 2);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn keys_have_their_commas_and_colons() {
        for length in (0..40).chain([PIECE_BYTES + 3]) {
            for special in ["", "\"", "\n", "é"] {
                let keys = ["a".repeat(length) + special, special.to_owned() + &"b".repeat(length)];
                let mut out = b"{".to_vec();
                for (at, key) in keys.iter().enumerate() {
                    write_key(&mut out, key, at == 0);
                    write_u64(&mut out, at as u64);
                }
                out.push(b'}');
                let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
                assert_eq!(read[&keys[1]], 1);
                assert!(read.as_object().unwrap().contains_key(&keys[0]));
            }
        }
    }

    #[test]
    fn every_processor_finds_the_same() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                let mut block = [b'a'; 16];
                (block[at], block[15]) = (byte, byte);
                assert_eq!(specials(&block), counted_specials(&block));
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
