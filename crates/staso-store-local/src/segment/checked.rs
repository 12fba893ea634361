//! A segment's file, of which no byte is believed that is not as it was written.
//!
//! The catalog keeps one checksum per [`BLOCK`] of the file. Whatever is read is read in whole blocks
//! and compared, so that a decoder never meets damaged bytes. A read that the system refuses says nothing
//! about the bytes: it may succeed the next time, and is counted apart.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Bytes per checksum. A page that is read takes up to two blocks more with it.
pub(crate) const BLOCK: usize = 16 << 10;
const SUM: usize = 4;
/// How much is read at a time where the end is not known.
const READ_BYTES: usize = 4 << 10;

/// The checksums of a file's blocks.
pub(crate) fn checksums(file: &[u8]) -> Vec<u8> {
    file.chunks(BLOCK).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect()
}

/// A file's length, and the numbers of its blocks that are not what was written. Those that have no
/// checksum, or are missing, count as such.
pub(crate) fn damaged_blocks(path: &Path, sums: &[u8]) -> io::Result<(u64, Vec<u64>)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let known = sums.len() / SUM;
    let count = usize::try_from(length.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX).max(known);
    let mut bytes = vec![0; BLOCK];
    let mut damaged = Vec::new();
    for block in 0..count {
        let from = (block * BLOCK) as u64;
        let size = usize::try_from(length.saturating_sub(from)).unwrap_or(BLOCK).min(BLOCK);
        file.read_exact_at(&mut bytes[..size], from)?;
        let sum = sums.get(block * SUM..(block + 1) * SUM);
        if size == 0 || sum != Some(&crc32fast::hash(&bytes[..size]).to_le_bytes()) {
            damaged.push(block as u64);
        }
    }
    Ok((length, damaged))
}

/// An open file with its checksums. Clones share it.
#[derive(Clone)]
pub(crate) struct Checked {
    file: Arc<File>,
    length: u64,
    sums: Arc<Vec<u8>>,
    refused: Arc<AtomicU64>,
}

impl Checked {
    pub(super) fn open(path: &Path, sums: Vec<u8>) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), length, sums: Arc::new(sums), refused: Arc::default() })
    }

    /// How many reads the system refused; clones count together.
    pub(super) fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    fn bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let fail = |problem: &str| ParquetError::General(problem.to_owned());
        let end = start.saturating_add(length as u64);
        if end > self.length {
            return Err(fail("the file is too short"));
        }
        let first = start / BLOCK as u64;
        let from = first * BLOCK as u64;
        let to = end.next_multiple_of(BLOCK as u64).min(self.length);
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, from).map_err(|e| {
            if e.kind() != io::ErrorKind::UnexpectedEof {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            fail(&e.to_string())
        })?;
        let first = usize::try_from(first).unwrap_or(usize::MAX).saturating_mul(SUM);
        let known = self.sums.get(first..).unwrap_or_default().chunks(SUM);
        let mut blocks = bytes.chunks(BLOCK).zip(known);
        let is_sound = blocks.all(|(block, sum)| crc32fast::hash(block).to_le_bytes() == sum);
        let is_known = self.sums.len() / SUM == (self.length as usize).div_ceil(BLOCK);
        if !is_sound || !is_known {
            return Err(fail("the checksum of a block does not match"));
        }
        let begin = usize::try_from(start - from).unwrap_or_default();
        Ok(Bytes::from(bytes).slice(begin..begin + length))
    }
}

impl Length for Checked {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Checked {
    type T = CheckedRead;

    fn get_read(&self, start: u64) -> Result<CheckedRead, ParquetError> {
        Ok(CheckedRead { checked: self.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.bytes(start, length)
    }
}

/// Reads on from a place.
pub(crate) struct CheckedRead {
    checked: Checked,
    at: u64,
}

impl Read for CheckedRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left =
            usize::try_from(self.checked.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left).min(READ_BYTES);
        let bytes = self.checked.bytes(self.at, count).map_err(io::Error::other)?;
        buffer[..count].copy_from_slice(&bytes);
        self.at += count as u64;
        Ok(count)
    }
}
