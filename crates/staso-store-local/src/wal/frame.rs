//! Bytes of a log file: a header, then records, each behind a header of its own.
//!
//! File: `"STASOWAL" [format: 4] [first number: 8] [crc32 of these 20: 4]`.
//! Record: `"SWR1" [number: 8] [length of the body: 4] [before compression: 4] [kind: 1] [codec: 1]
//! [0: 2] [crc32 of the body: 4] [crc32 of these 28: 4] [body]`. Numbers are little-endian.
//! The record's header has a checksum of its own, so that a damaged body can be passed over; where
//! the header is damaged, the next one is searched for.

use std::ops::Range;

/// The format of every log file this program writes.
const FORMAT: u32 = 1;
const FILE_MAGIC: &[u8; 8] = b"STASOWAL";
const RECORD_MAGIC: &[u8; 4] = b"SWR1";
pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 32;

pub(super) const PLAIN: u8 = 0;
pub(super) const ZSTD: u8 = 1;

/// What a log file begins with. `first` is the number of its first record: whatever an older file
/// has from there on was given up.
pub(super) fn file_header(first: u64) -> Vec<u8> {
    let mut bytes = FILE_MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// The number of a file's first record; the error says what is wrong with its header.
pub(super) fn read_file_header(bytes: &[u8]) -> Result<u64, &'static str> {
    let header = bytes.get(..FILE_HEADER).ok_or("its header is cut off")?;
    if header[..8] != *FILE_MAGIC || crc32fast::hash(&header[..20]) != u32_at(header, 20) {
        return Err("its header is damaged");
    }
    if u32_at(header, 8) != FORMAT {
        return Err("its format is unknown");
    }
    Ok(u64_at(header, 12))
}

/// Adds one record's bytes to a buffer.
pub(super) fn push(out: &mut Vec<u8>, number: u64, kind: u8, codec: u8, raw: usize, body: &[u8]) {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let began = out.len();
    out.extend(RECORD_MAGIC);
    out.extend(number.to_le_bytes());
    out.extend(length(body.len()));
    out.extend(length(raw));
    out.extend([kind, codec, 0, 0]);
    out.extend(crc32fast::hash(body).to_le_bytes());
    let crc = crc32fast::hash(&out[began..]);
    out.extend(crc.to_le_bytes());
    out.extend(body);
}

/// A stretch of a log file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A sound record.
    Record { number: u64, kind: u8, codec: u8, raw: usize, body: Range<usize> },
    /// Bytes that are no sound record, with what was found.
    Damage { at: Range<usize>, problem: &'static str },
}

/// Takes a file's bytes apart, its header left out. Damage at the very end may be a torn write.
pub(super) fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = FILE_HEADER;
    while at < bytes.len() {
        let Some((part, next)) = record(bytes, at) else {
            let next = next_header(bytes, at + 1);
            parts.push(Part::Damage { at: at..next, problem: "the bytes are no record" });
            at = next;
            continue;
        };
        parts.push(part);
        at = next;
    }
    parts
}

/// The record at a place, and where the next begins; `None` where no sound header is.
fn record(bytes: &[u8], at: usize) -> Option<(Part, usize)> {
    let header = sound_header(bytes, at)?;
    let begin = at + RECORD_HEADER;
    let Some(body) = bytes.get(begin..begin + u32_at(header, 12) as usize) else {
        let problem = "the record is cut off";
        // The header may lie: what follows is searched as well.
        let next = next_header(bytes, begin);
        return Some((Part::Damage { at: at..next, problem }, next));
    };
    let end = begin + body.len();
    if crc32fast::hash(body) != u32_at(header, 24) {
        let problem = "a record's checksum does not match";
        return Some((Part::Damage { at: at..end, problem }, end));
    }
    let number = u64_at(header, 4);
    let raw = u32_at(header, 16) as usize;
    let part = Part::Record { number, kind: header[20], codec: header[21], raw, body: begin..end };
    Some((part, end))
}

fn sound_header(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at + RECORD_HEADER)?;
    let is_sound =
        header[..4] == *RECORD_MAGIC && crc32fast::hash(&header[..28]) == u32_at(header, 28);
    is_sound.then_some(header)
}

fn next_header(bytes: &[u8], from: usize) -> usize {
    let mut at = from.min(bytes.len());
    while let Some(found) = memchr::memmem::find(&bytes[at..], RECORD_MAGIC) {
        if sound_header(bytes, at + found).is_some() {
            return at + found;
        }
        at += found + 1;
    }
    bytes.len()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |n, byte| (n << 8) | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |n, byte| (n << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = file_header(1);
        for (i, body) in bodies.iter().enumerate() {
            push(&mut bytes, i as u64 + 1, 0, PLAIN, body.len(), body);
        }
        bytes
    }

    fn numbers(bytes: &[u8]) -> Vec<u64> {
        let number = |part: Part| match part {
            Part::Record { number, .. } => Some(number),
            Part::Damage { .. } => None,
        };
        parts(bytes).into_iter().filter_map(number).collect()
    }

    #[test]
    fn every_tear_leaves_the_whole_records_before_it() {
        let bytes = file(&[b"one", b"", b"three"]);
        assert_eq!(read_file_header(&bytes), Ok(1));
        assert_eq!(numbers(&bytes), [1, 2, 3]);
        let ends = [FILE_HEADER + 35, FILE_HEADER + 67, bytes.len()];
        for end in FILE_HEADER..bytes.len() {
            let whole = ends.iter().filter(|at| **at <= end).count();
            assert_eq!(numbers(&bytes[..end]).len(), whole, "cut at {end}");
        }
    }

    #[test]
    fn any_flipped_bit_costs_one_record_and_is_told() {
        let bytes = file(&[b"one SWR1 two", b"second", b"three"]);
        for at in FILE_HEADER..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 4;
            assert_eq!(numbers(&broken).len(), 2, "byte {at}");
            let told = parts(&broken).iter().any(|part| matches!(part, Part::Damage { .. }));
            assert!(told, "byte {at}");
        }
    }

    #[test]
    fn a_damaged_or_foreign_file_header_is_refused() {
        let bytes = file(&[]);
        for at in 0..FILE_HEADER {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert!(read_file_header(&broken).is_err(), "byte {at}");
        }
        assert!(read_file_header(&bytes[..FILE_HEADER - 1]).is_err());
    }
}
