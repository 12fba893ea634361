//! The live segment of this process: made, appended to, sealed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::adopt::{SEGMENT, UNBORN};
use crate::error::JournalError;
use crate::frame;
use crate::header::{HEADER_MAX, SegmentHeader};
use crate::home::private_options;
use crate::lock::Lock;
use crate::storage::{Mapping, Storage, release_from, write_all_at};

/// What a new segment takes of the disk; the longest header fits.
pub(crate) const FIRST_CHUNK: u64 = HEADER_MAX as u64;

/// What the appending and the shipping end share of one segment.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Where whole records end.
    pub(crate) tail: AtomicU64,
    /// Nothing more will be appended.
    pub(crate) is_sealed: AtomicBool,
    /// The file was deleted to make room.
    pub(crate) is_evicted: AtomicBool,
    /// Records appended.
    pub(crate) appended: AtomicU64,
    /// Records delivered or given up.
    pub(crate) settled: AtomicU64,
    /// Announcements of open spans among the appended records, and among the settled ones.
    pub(crate) announced: AtomicU64,
    pub(crate) announced_settled: AtomicU64,
    /// Bytes counted against the budget.
    pub(crate) size: AtomicU64,
    /// Held while blocks are made ready, which writes zeros: whoever appends may have to do that itself, and puts
    /// records there at once. Taken with the journal's lock held or not, but that one is never taken under it.
    pub(crate) preparing: Mutex<()>,
    /// How far from the front the file is ready for stores; where it is raised, by whoever holds the journal's lock.
    pub(crate) ready: AtomicU64,
    _lock: Lock,
}

/// The appending end.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) live: Arc<Live>,
    storage: Storage,
    tail: u64,
    capacity: u64,
    chunk: u64,
}

impl Inlet {
    /// Makes the file under another name, locks it, and only then gives it its own: nobody ever
    /// finds an unlocked segment of a living process.
    pub(crate) fn create(
        dir: &Path,
        mut header: SegmentHeader,
        chunk: u64,
        may_map: bool,
    ) -> Result<Self, JournalError> {
        let unborn = dir.join(format!("{}.{UNBORN}", header.segment_id.simple()));
        let path = unborn.with_extension(SEGMENT);
        let made = Self::create_at(&unborn, &path, &mut header, chunk, may_map);
        if made.is_err() {
            let _ = fs::remove_file(&unborn);
        }
        made
    }

    fn create_at(
        unborn: &Path,
        path: &Path,
        header: &mut SegmentHeader,
        chunk: u64,
        may_map: bool,
    ) -> Result<Self, JournalError> {
        let error = || JournalError::io(path);
        let front = header.encode().ok_or(JournalError::TooLarge { bytes: 0 })?;
        let file = private_options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(unborn)
            .map_err(error())?;
        let lock = Lock::try_take(unborn).map_err(error())?.ok_or(JournalError::Closed)?;
        let storage = Storage::new(&file, header.capacity, FIRST_CHUNK, may_map).map_err(error())?;
        write_all_at(&file, &front, 0).map_err(error())?;
        fs::rename(unborn, path).map_err(error())?;
        let live = Live {
            path: path.to_owned(),
            file,
            tail: AtomicU64::new(header.data_start),
            is_sealed: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            appended: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            announced_settled: AtomicU64::new(0),
            size: AtomicU64::new(FIRST_CHUNK),
            preparing: Mutex::default(),
            ready: AtomicU64::new(storage.allocated()),
            _lock: lock,
        };
        let tail = header.data_start;
        Ok(Self { live: Arc::new(live), storage, tail, capacity: header.capacity, chunk })
    }

    /// Whether a payload of this length still fits.
    #[inline]
    pub(crate) fn has_room(&self, payload: usize) -> bool {
        self.tail + frame::framed_len(payload) as u64 <= self.capacity
    }

    /// How many bytes the file must grow by for a payload of this length.
    #[inline]
    pub(crate) fn missing(&self, payload: usize) -> u64 {
        let end = self.tail + frame::framed_len(payload) as u64;
        self.storage.missing(end, self.chunk, self.capacity)
    }

    /// Grows the file by what [`Inlet::missing`] said.
    pub(crate) fn grow(&mut self, by: u64) -> Result<(), JournalError> {
        let preparing = self.live.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        self.storage.grow(&self.live.file, by).map_err(JournalError::io(&self.live.path))?;
        self.live.ready.store(self.storage.allocated(), Ordering::Release);
        drop(preparing);
        self.live.size.fetch_add(by, Ordering::Relaxed);
        Ok(())
    }

    /// Appends one record that fits.
    #[inline]
    pub(crate) fn put<const WORDS: usize>(
        &mut self,
        head: &frame::Head<WORDS>,
        json: &[u8],
    ) -> Result<(), JournalError> {
        let put = self.storage.put(&self.live.file, self.tail, head.words(), json);
        if let Err(error) = put {
            return Err(JournalError::io(&self.live.path)(error));
        }
        self.tail += frame::framed_len(frame::Head::<WORDS>::FRONT + json.len()) as u64;
        // The inlet is the one that counts.
        let appended = self.live.appended.load(Ordering::Relaxed) + 1;
        self.live.appended.store(appended, Ordering::Relaxed);
        self.live.tail.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// How far from the front the file is ready for stores.
    pub(crate) fn ready_end(&self) -> u64 {
        self.storage.allocated()
    }

    /// Where whole records end.
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// The most the segment will take.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The mapping, for those who work beside the one who appends.
    pub(crate) fn mapping(&self) -> Option<Mapping> {
        self.storage.mapping()
    }

    /// Takes over what was made ready up to `end`; answers by how much that is more than before.
    pub(crate) fn extend_to(&mut self, end: u64) -> u64 {
        let by = self.storage.extend_to(end);
        self.live.ready.store(self.storage.allocated(), Ordering::Release);
        self.live.size.fetch_add(by, Ordering::Relaxed);
        by
    }

    pub(crate) fn is_mapped(&self) -> bool {
        self.storage.is_mapped()
    }
}

impl Live {
    /// Gives back what was made ready beyond the last record of a sealed segment.
    pub(crate) fn release_rest(&self) {
        // Blocks that stay are given back with the file.
        let _ = release_from(&self.file, self.tail.load(Ordering::Acquire));
    }

    /// Records that are neither delivered nor given up.
    pub(crate) fn left(&self) -> u64 {
        let settled = self.settled.load(Ordering::Acquire);
        self.appended.load(Ordering::Acquire).saturating_sub(settled)
    }

    /// Announcements among those.
    pub(crate) fn announcements_left(&self) -> u64 {
        let settled = self.announced_settled.load(Ordering::Acquire);
        self.announced.load(Ordering::Acquire).saturating_sub(settled)
    }
}

impl Drop for Inlet {
    /// Whoever stops appending has sealed the segment; a program that recorded little keeps little
    /// of the disk.
    fn drop(&mut self) {
        self.live.release_rest();
        self.live.is_sealed.store(true, Ordering::Release);
    }
}
