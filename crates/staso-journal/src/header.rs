//! The head of a segment file: what it is, whose it is, and how far it has been shipped.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 4 | format version |
//! | 12 | 4 | where records begin |
//! | 16 | 8 | capacity, bytes |
//! | 24 | 16 | segment id |
//! | 40 | 16 | process id |
//! | 56 | 8 | made at, Unix nanoseconds |
//! | 64 | 2 × 40 | two slots of progress; the whole one with the greater sequence counts |
//! | 144 | 4 + 4 | length of the words, CRC-32 of them and of bytes 0..64 |
//! | 152 | n | the words as JSON: the destination, and the stamp of every span in parts |

use serde::{Deserialize, Serialize};
use staso_model::ProcessId;
use uuid::Uuid;

use crate::destination::Destination;
use crate::record::Stamp;

const MAGIC: &[u8; 8] = b"STASOJNL";
/// The format this code writes.
pub(crate) const FORMAT_VERSION: u32 = 3;
/// The oldest format it reads: there, no span was kept in parts.
const OLDEST_VERSION: u32 = 2;
const SLOTS_AT: usize = 64;
const SLOT_LEN: usize = 40;
const WORDS_AT: usize = 152;
/// No header is longer than this; a longer one is not ours.
pub(crate) const HEADER_MAX: usize = 64 * 1024;

/// What a header says in words.
#[derive(Serialize, Deserialize)]
struct Words {
    #[serde(flatten)]
    destination: Destination,
    #[serde(default)]
    stamp: Stamp,
}

/// What never changes about a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The segment itself.
    pub segment_id: Uuid,
    /// The process that recorded it.
    pub process_id: ProcessId,
    /// When it was made, Unix nanoseconds.
    pub created_ns: i64,
    /// Where its records go.
    pub destination: Destination,
    /// What its spans have in common.
    pub stamp: Stamp,
    pub(crate) capacity: u64,
    pub(crate) data_start: u64,
}

impl SegmentHeader {
    pub(crate) fn new(
        process_id: ProcessId,
        created_ns: i64,
        destination: Destination,
        stamp: Stamp,
        capacity: u64,
    ) -> Self {
        Self {
            segment_id: Uuid::new_v4(),
            process_id,
            created_ns,
            destination,
            stamp,
            capacity,
            data_start: 0,
        }
    }

    /// The bytes at the front of the file; sets where records begin. `None` when the words
    /// are too long to be kept.
    pub(crate) fn encode(&mut self) -> Option<Vec<u8>> {
        let words = Words { destination: self.destination.clone(), stamp: self.stamp.clone() };
        let json = serde_json::to_vec(&words).ok()?;
        let length = (WORDS_AT + json.len()).next_multiple_of(8);
        if length > HEADER_MAX {
            return None;
        }
        self.data_start = u64::try_from(length).ok()?;
        let mut bytes = vec![0; length];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[24..40].copy_from_slice(self.segment_id.as_bytes());
        bytes[40..56].copy_from_slice(&self.process_id.0);
        bytes[56..64].copy_from_slice(&self.created_ns.to_le_bytes());
        bytes[144..148].copy_from_slice(&u32::try_from(json.len()).ok()?.to_le_bytes());
        let crc = static_checksum(&bytes[..64], &json);
        bytes[148..152].copy_from_slice(&crc.to_le_bytes());
        bytes[WORDS_AT..WORDS_AT + json.len()].copy_from_slice(&json);
        Some(bytes)
    }

    /// Reads the front of a file; `None` for what this code did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let version = u32_at(bytes, 8)?;
        if bytes.get(..8)? != MAGIC || !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return None;
        }
        let json_len = usize::try_from(u32_at(bytes, 144)?).ok()?;
        let json = bytes.get(WORDS_AT..WORDS_AT.checked_add(json_len)?)?;
        if u32_at(bytes, 148)? != static_checksum(&bytes[..64], json) {
            return None;
        }
        let words: Words = serde_json::from_slice(json).ok()?;
        Some(Self {
            segment_id: Uuid::from_bytes(bytes.get(24..40)?.try_into().ok()?),
            process_id: ProcessId(bytes.get(40..56)?.try_into().ok()?),
            created_ns: i64::from_le_bytes(bytes.get(56..64)?.try_into().ok()?),
            destination: words.destination,
            stamp: words.stamp,
            capacity: u64_at(bytes, 16)?,
            data_start: u64::from(u32_at(bytes, 12)?),
        })
    }
}

/// The format of a file that is a segment of a later version than this code reads.
pub(crate) fn later_format(bytes: &[u8]) -> Option<u32> {
    let version = u32_at(bytes, 8)?;
    (bytes.starts_with(MAGIC) && version > FORMAT_VERSION).then_some(version)
}

/// How far a segment has been shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    sequence: u64,
    /// Everything before this offset is acknowledged.
    pub(crate) acknowledged: u64,
    /// The batch that was being sent: offsets of its first and last record.
    pub(crate) in_flight: Option<(u64, u64)>,
}

impl Progress {
    /// The newest whole slot; nothing shipped when there is none.
    pub(crate) fn decode(header: &[u8]) -> Self {
        let slot = |n: usize| {
            let at = SLOTS_AT + n * SLOT_LEN;
            Self::decode_slot(header.get(at..at + SLOT_LEN)?)
        };
        [slot(0), slot(1)].into_iter().flatten().max_by_key(|p| p.sequence).unwrap_or_default()
    }

    fn decode_slot(slot: &[u8]) -> Option<Self> {
        if u32_at(slot, 32)? != crc32fast::hash(&slot[..32]) {
            return None;
        }
        let (first, last) = (u64_at(slot, 16)?, u64_at(slot, 24)?);
        Some(Self {
            sequence: u64_at(slot, 0)?,
            acknowledged: u64_at(slot, 8)?,
            in_flight: (first != 0).then_some((first, last)),
        })
    }

    /// The next state with its offset in the file and its bytes. The other slot stays as it is,
    /// so that a torn write loses only itself.
    pub(crate) fn advance(
        &self,
        acknowledged: u64,
        in_flight: Option<(u64, u64)>,
    ) -> (Self, u64, [u8; SLOT_LEN]) {
        let next = Self { sequence: self.sequence + 1, acknowledged, in_flight };
        let (first, last) = in_flight.unwrap_or((0, 0));
        let mut slot = [0; SLOT_LEN];
        for (at, value) in [next.sequence, acknowledged, first, last].iter().enumerate() {
            slot[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
        }
        let crc = crc32fast::hash(&slot[..32]);
        slot[32..36].copy_from_slice(&crc.to_le_bytes());
        let at = SLOTS_AT as u64 + (next.sequence % 2) * SLOT_LEN as u64;
        (next, at, slot)
    }
}

fn static_checksum(front: &[u8], json: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(front);
    hasher.update(json);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> (SegmentHeader, Vec<u8>) {
        let mut header = SegmentHeader::new(
            ProcessId([7; 16]),
            5,
            Destination::local(),
            Stamp { process: ",\"process_id\":\"7\"".to_owned(), home: String::new() },
            1 << 20,
        );
        let bytes = header.encode().unwrap();
        (header, bytes)
    }

    #[test]
    fn reads_back_and_refuses_damage() {
        let (header, bytes) = encoded();
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        for at in (0..SLOTS_AT).chain(144..bytes.len() - 8) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            assert_eq!(SegmentHeader::decode(&damaged), None, "byte {at}");
        }
    }

    /// Before version 3 the words were the destination alone.
    #[test]
    fn the_oldest_format_is_read() {
        let (header, mut bytes) = encoded();
        let json = serde_json::to_vec(&Destination::local()).unwrap();
        bytes[8..12].copy_from_slice(&OLDEST_VERSION.to_le_bytes());
        bytes[144..148].copy_from_slice(&u32::try_from(json.len()).unwrap().to_le_bytes());
        bytes[WORDS_AT..WORDS_AT + json.len()].copy_from_slice(&json);
        let crc = static_checksum(&bytes[..64], &json);
        bytes[148..152].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(
            SegmentHeader::decode(&bytes),
            Some(SegmentHeader { stamp: Stamp::default(), ..header })
        );
        bytes[8..12].copy_from_slice(&(OLDEST_VERSION - 1).to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), None);
    }

    #[test]
    fn a_torn_slot_loses_only_itself() {
        let (_, mut bytes) = encoded();
        let (first, at, slot) = Progress::decode(&bytes).advance(200, Some((200, 300)));
        bytes[at as usize..at as usize + SLOT_LEN].copy_from_slice(&slot);
        assert_eq!(Progress::decode(&bytes), first);
        let (second, at, slot) = first.advance(400, None);
        for torn in 0..SLOT_LEN {
            let mut half = bytes.clone();
            half[at as usize..at as usize + torn].copy_from_slice(&slot[..torn]);
            let read = Progress::decode(&half);
            assert!(read == first || read == second, "torn at {torn}: {read:?}");
        }
    }
}
