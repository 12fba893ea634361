//! Sixteen bytes of text at a time.

/// The bytes of a block.
pub(super) const BLOCK: usize = 16;

/// The block at `pos`; `None` where the text ends sooner.
pub(super) fn block(bytes: &[u8], pos: usize) -> Option<&[u8; BLOCK]> {
    bytes.get(pos..)?.first_chunk()
}

/// A bit for each byte that ends a plain run within a string: a quote, a backslash, a control character. The lowest
/// bit is the first byte's.
#[cfg(target_arch = "x86_64")]
pub(super) fn specials(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: SSE2 is a part of x86-64.
    unsafe { specials_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn specials_sse2(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let half = |at: usize| block[at..].first_chunk().map_or(0, |half| i64::from_le_bytes(*half));
    let bytes = _mm_set_epi64x(half(8), half(0));
    let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
    let last_control = _mm_set1_epi8(0x1f);
    let is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    let found = _mm_or_si128(is_control, _mm_or_si128(is(b'"'), is(b'\\')));
    _mm_movemask_epi8(found).cast_unsigned()
}

/// The same, in words that any compiler makes the best of.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn specials(block: &[u8; BLOCK]) -> u32 {
    let is_special = |b: u8| (b == b'"') | (b == b'\\') | (b < 0x20);
    (0..BLOCK).fold(0, |marks, at| marks | u32::from(is_special(block[at])) << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_as_what_it_is() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let is_special = byte == b'"' || byte == b'\\' || byte < 0x20;
                assert_eq!(specials(&block), u32::from(is_special) << at, "{byte} at {at}");
            }
        }
    }
}
