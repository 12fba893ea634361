//! The bytes of a live segment: mapped where the disk has promised the blocks, written otherwise.
//!
//! A store into a mapping of blocks the disk cannot provide kills the program, so a mapping is
//! only used over blocks that `fallocate` has truly allocated. Where the file system cannot promise
//! that, records go through `write`. A file is never truncated while it is mapped.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::sync::Arc;

#[cfg(unix)]
use std::os::unix::fs::FileExt;

/// How records reach a segment file.
#[derive(Debug)]
pub(crate) enum Storage {
    /// Stores into a shared mapping; `allocated` bytes from the front are backed by blocks.
    #[cfg(target_os = "linux")]
    Mapped { map: Arc<memmap2::MmapRaw>, allocated: u64 },
    /// `write` at an offset; `allocated` bytes from the front are counted against the budget.
    Written { allocated: u64 },
}

impl Storage {
    /// A mapping of `capacity` bytes if the file system can back its first `chunk`.
    pub(crate) fn new(file: &File, capacity: u64, chunk: u64, may_map: bool) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if may_map && allocate(file, 0, chunk)? {
            let length = usize::try_from(capacity).map_err(io::Error::other)?;
            let map = memmap2::MmapOptions::new().len(length).map_raw(file)?;
            make_ready(file, &map, 0, chunk);
            return Ok(Self::Mapped { map: Arc::new(map), allocated: chunk });
        }
        let _ = (file, capacity, may_map);
        Ok(Self::Written { allocated: chunk })
    }

    /// Whether records are stored into a mapping.
    pub(crate) fn is_mapped(&self) -> bool {
        !matches!(self, Self::Written { .. })
    }

    /// How far from the front blocks are promised, or counted.
    #[inline]
    pub(crate) fn allocated(&self) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mapped { allocated, .. } => *allocated,
            Self::Written { allocated } => *allocated,
        }
    }

    /// The mapping, for those who work beside the one who appends.
    pub(crate) fn mapping(&self) -> Option<Mapping> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mapped { map, .. } => Some(Mapping(Arc::clone(map))),
            Self::Written { .. } => None,
        }
    }

    /// Takes note that [`Mapping::prepare`] has backed everything up to `end`; answers by how much
    /// that is more than before.
    pub(crate) fn extend_to(&mut self, end: u64) -> u64 {
        let by = end.saturating_sub(self.allocated());
        match self {
            #[cfg(target_os = "linux")]
            Self::Mapped { allocated, .. } => *allocated += by,
            Self::Written { allocated } => *allocated += by,
        }
        by
    }

    /// How many more bytes of disk are needed so that `end` bytes are backed: a multiple of
    /// `chunk`, within `capacity`.
    #[inline]
    pub(crate) fn missing(&self, end: u64, chunk: u64, capacity: u64) -> u64 {
        let allocated = self.allocated();
        match end.saturating_sub(allocated) {
            0 => 0,
            short => short.next_multiple_of(chunk).min(capacity.saturating_sub(allocated)),
        }
    }

    /// Backs this many more bytes with blocks, where blocks can be promised.
    pub(crate) fn grow(&mut self, file: &File, by: u64) -> io::Result<()> {
        match self {
            _ if by == 0 => {}
            #[cfg(target_os = "linux")]
            Self::Mapped { map, allocated } => {
                Mapping(Arc::clone(map)).prepare(file, *allocated, by)?;
                *allocated += by;
            }
            Self::Written { allocated } => *allocated += by,
        }
        let _ = file;
        Ok(())
    }

    /// Puts a frame at `offset`, which the caller has made room for.
    #[inline]
    pub(crate) fn put<const WORDS: usize>(
        &self,
        file: &File,
        offset: u64,
        head: &[u64; WORDS],
        payload: &[u8],
    ) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mapped { map, allocated } => {
                let end = offset + (size_of_val(head) + payload.len()) as u64;
                if end > *allocated {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                // SAFETY: the range lies within the mapping (checked above: `allocated` never
                // exceeds its length) and within allocated blocks; the one writer holds the
                // segment's lock; readers use `read`, never a reference into the mapping.
                unsafe {
                    let at = map.as_mut_ptr().add(offset as usize);
                    let behind = at.add(size_of_val(head));
                    std::ptr::copy_nonoverlapping(payload.as_ptr(), behind, payload.len());
                    for (place, word) in head.iter().enumerate() {
                        at.cast::<u64>().add(place).write_unaligned(word.to_le());
                    }
                }
                expect_stores(map.as_mut_ptr().wrapping_add(end as usize));
                Ok(())
            }
            Self::Written { .. } => {
                let mut frame = Vec::with_capacity(size_of_val(head) + payload.len());
                frame.extend(head.iter().flat_map(|word| word.to_le_bytes()));
                frame.extend_from_slice(payload);
                write_all_at(file, &frame, offset)
            }
        }
    }
}

/// Lets the processor fetch the lines that the next small record goes to: nobody has read them since they were made
/// ready, and a store into them would keep whatever orders memory next waiting for them.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline]
fn expect_stores(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    for line in 1..=3 {
        // SAFETY: a hint, for which no address is wrong: nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.wrapping_add(line * 64).cast()) };
    }
}

/// Others find out by themselves.
#[cfg(all(target_os = "linux", not(target_arch = "x86_64")))]
#[inline]
fn expect_stores(_: *const u8) {}

/// A live segment's mapping, shared with whoever makes it ready or durable without its lock.
#[cfg(target_os = "linux")]
pub(crate) struct Mapping(Arc<memmap2::MmapRaw>);

#[cfg(target_os = "linux")]
impl Mapping {
    /// Backs a range with blocks and makes its pages ready for stores.
    pub(crate) fn prepare(&self, file: &File, from: u64, length: u64) -> io::Result<()> {
        if !allocate(file, from, length)? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        make_ready(file, &self.0, from, length);
        Ok(())
    }

    /// Makes everything before `end` durable. What lies beyond is left alone: pages that were
    /// made ready would be written for nothing, and would have to be made ready again.
    pub(crate) fn sync_to(&self, end: u64) -> io::Result<()> {
        self.0.flush_range(0, end as usize)
    }
}

/// Nothing is mapped here.
#[cfg(not(target_os = "linux"))]
pub(crate) enum Mapping {}

#[cfg(not(target_os = "linux"))]
impl Mapping {
    pub(crate) fn prepare(&self, _: &File, _: u64, _: u64) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn sync_to(&self, _: u64) -> io::Result<()> {
        match *self {}
    }
}

/// Gives back the blocks from `tail` on, where nothing was written. The file keeps its length: a
/// forked child may still have it mapped, and a hole, unlike an end, harms no mapping.
pub(crate) fn release_from(file: &File, tail: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let from = tail.next_multiple_of(4096);
        let length = file.metadata()?.len().saturating_sub(from);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        if length > 0 {
            let (from, length) = (
                libc::off_t::try_from(from).map_err(io::Error::other)?,
                libc::off_t::try_from(length).map_err(io::Error::other)?,
            );
            // SAFETY: plain system call on a descriptor that `file` keeps open.
            unsafe {
                libc::fallocate(std::os::fd::AsRawFd::as_raw_fd(file), mode, from, length);
            }
        }
    }
    let _ = (file, tail);
    Ok(())
}

/// What a file takes on the disk, holes left out.
#[cfg(unix)]
pub(crate) fn disk_bytes(data: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(data) * 512
}

/// What a file takes on the disk.
#[cfg(not(unix))]
pub(crate) fn disk_bytes(data: &std::fs::Metadata) -> u64 {
    data.len()
}

/// Reads exactly `length` bytes, or fewer at the end of the file.
pub(crate) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match read_some_at(file, &mut bytes, length, at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Appends what the file has at `offset`, until there are `length` bytes at most; answers how many came. What is
/// read is not cleared first, which would cost more than reading it.
#[cfg(unix)]
fn read_some_at(file: &File, bytes: &mut Vec<u8>, length: usize, offset: u64) -> io::Result<usize> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let filled = bytes.len();
    bytes.reserve_exact(length - filled);
    let spare = &mut bytes.spare_capacity_mut()[..length - filled];
    let file = std::os::fd::AsRawFd::as_raw_fd(file);
    // SAFETY: `spare` may be written to over all its length, and `file` is open.
    let read = unsafe { libc::pread(file, spare.as_mut_ptr().cast(), spare.len(), offset) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: that many more bytes were written, within what was reserved.
    unsafe { bytes.set_len(filled + read) };
    Ok(read)
}

/// As above.
#[cfg(windows)]
fn read_some_at(file: &File, bytes: &mut Vec<u8>, length: usize, offset: u64) -> io::Result<usize> {
    let filled = bytes.len();
    bytes.resize(length, 0);
    let read = std::os::windows::fs::FileExt::seek_read(file, &mut bytes[filled..], offset);
    bytes.truncate(filled + read.as_ref().copied().unwrap_or(0));
    read
}

#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    within_limit(offset + bytes.len() as u64)?;
    file.write_all_at(bytes, offset)
}

/// Refuses what would make a file larger than this program's files may be. The system would refuse it too, but with
/// a signal (`SIGXFSZ`) that ends every program which does not expect one.
#[cfg(unix)]
pub(crate) fn within_limit(end: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system call that fills in what it is given.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    if is_known && end > limit.rlim_cur {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Nothing limits the size of files by a signal here.
#[cfg(not(unix))]
pub(crate) fn within_limit(_: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

/// Makes the pages of a range that holds nothing yet ready for stores. Faulting them in at once is cheaper than
/// a fault for each on the way. Zeros that are written first let the file system take many pages as one, which
/// costs a quarter of making pages by faults; where that fails, faults make them.
#[cfg(target_os = "linux")]
fn make_ready(file: &File, map: &memmap2::MmapRaw, from: u64, length: u64) {
    let _ = write_zeros(file, from, length);
    let _ = map.advise_range(memmap2::Advice::PopulateWrite, from as usize, length as usize);
}

#[cfg(target_os = "linux")]
fn write_zeros(file: &File, mut from: u64, mut length: u64) -> io::Result<()> {
    const PIECE: usize = 4096;
    const AT_ONCE: usize = 64;
    static ZEROS: [u8; PIECE] = [0; PIECE];
    let piece =
        |length| libc::iovec { iov_base: ZEROS.as_ptr().cast_mut().cast(), iov_len: length };
    while length > 0 {
        let mut pieces = [piece(PIECE); AT_ONCE];
        let whole = usize::try_from(length).unwrap_or(usize::MAX) / PIECE;
        let count = match whole {
            0 => {
                pieces[0] = piece(length as usize);
                1
            }
            whole => whole.min(AT_ONCE),
        };
        let offset = libc::off_t::try_from(from).map_err(io::Error::other)?;
        let file = std::os::fd::AsRawFd::as_raw_fd(file);
        // SAFETY: the pieces point at bytes that are only read and live for ever; `file` is open.
        let written = unsafe { libc::pwritev(file, pieces.as_ptr(), count as libc::c_int, offset) };
        let written = u64::try_from(written).map_err(|_| io::Error::last_os_error())?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        from += written;
        length = length.saturating_sub(written);
    }
    Ok(())
}

/// Allocates blocks. `false` where the file system cannot promise any.
#[cfg(target_os = "linux")]
fn allocate(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    within_limit(offset + length)?;
    let (offset, length) = (
        libc::off_t::try_from(offset).map_err(io::Error::other)?,
        libc::off_t::try_from(length).map_err(io::Error::other)?,
    );
    loop {
        // SAFETY: plain system call on a descriptor that `file` keeps open.
        let answer =
            unsafe { libc::fallocate(std::os::fd::AsRawFd::as_raw_fd(file), 0, offset, length) };
        if answer == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => return Ok(false),
            _ => return Err(error),
        }
    }
}
