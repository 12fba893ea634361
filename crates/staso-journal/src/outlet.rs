//! Reading a segment back, batch by batch, and keeping how far that has come.
//!
//! The same code reads a live segment up to its tail and a dead process's file, torn or not.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{Batch, BatchLimits, Origin};
use crate::error::JournalError;
use crate::frame::{self, FRAME_HEADER, Found};
use crate::header::{HEADER_MAX, Progress, SegmentHeader};
use crate::record::{Record, Stamp};
use crate::storage::{read_at, write_all_at};

/// How much is read at once at least. An allocation of 128 KiB would be a mapping of its own each time.
const WINDOW_BYTES: usize = 120 * 1024;
const WINDOW_MAX: usize = 1 << 20;

/// The least that is worth keeping of what was read too much: beyond it, a frame's head and more.
const KEPT_MIN: usize = 4 * FRAME_HEADER;

/// The reading end of one segment file.
#[derive(Debug)]
pub(crate) struct Outlet {
    header: SegmentHeader,
    origin: Arc<Origin>,
    path: PathBuf,
    file: File,
    progress: Progress,
    /// What the file says of that: it is behind where it cannot be written.
    stored: Progress,
    /// What was read last and reaches beyond the batch it was read for.
    kept: Option<Window>,
}

/// A part of the file. Whatever stands before the end of its records never changes.
#[derive(Debug)]
struct Window {
    /// Where it begins in the file.
    offset: u64,
    bytes: Bytes,
}

/// A run of records found in a file.
#[derive(Debug, Default)]
struct Run {
    records: Vec<Record>,
    bytes: usize,
    first: u64,
    last: u64,
    end: u64,
}

impl Outlet {
    /// Opens a segment. `None` for a file that this code did not write, or a later format.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, JournalError> {
        let file =
            File::options().read(true).write(true).open(path).map_err(JournalError::io(path))?;
        let front = read_at(&file, 0, HEADER_MAX).map_err(JournalError::io(path))?;
        let Some(header) = SegmentHeader::decode(&front) else { return Ok(None) };
        let progress = Progress::decode(&front);
        let origin = Arc::new(Origin::new(header.segment_id, &header.destination, &header.stamp));
        let (path, stored) = (path.to_owned(), progress);
        Ok(Some(Self { header, origin, path, file, progress, stored, kept: None }))
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// How long the file is: where a dead process's records end at the latest.
    pub(crate) fn file_end(&self) -> Result<u64, JournalError> {
        self.file.metadata().map(|data| data.len()).map_err(JournalError::io(&self.path))
    }

    /// The batch that was being sent, exactly; else the next records before `end`. Its range is in
    /// the header before this returns, so that whoever recovers it makes the same batch.
    pub(crate) fn next_batch(
        &mut self,
        end: u64,
        limits: BatchLimits,
    ) -> Result<Option<Batch>, JournalError> {
        if let Some((first, last)) = self.progress.in_flight
            && first >= self.start()
        {
            let run = self.repeat(first, last, end)?;
            if let Some(batch) = self.batch(run) {
                return Ok(Some(batch));
            }
        }
        let run = self.read_run(self.start(), end, limits, None)?;
        let Some(batch) = self.batch(run) else { return Ok(None) };
        // Where it cannot be written, the acknowledgement says so.
        let _ = self.store(self.progress.acknowledged, Some((batch.first, batch.last)));
        Ok(Some(batch))
    }

    fn repeat(&mut self, first: u64, last: u64, end: u64) -> Result<Run, JournalError> {
        let unlimited = BatchLimits { records: usize::MAX, bytes: usize::MAX };
        self.read_run(first, end, unlimited, Some(last))
    }

    /// Everything up to the end of this batch is delivered, or given up. An error says that only this process
    /// knows.
    pub(crate) fn acknowledge(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if batch.segment_id() != self.header.segment_id {
            return Ok(());
        }
        self.store(self.progress.acknowledged.max(batch.end), None)
    }

    /// The batch will be cut anew, smaller. An error is as in [`Outlet::acknowledge`].
    pub(crate) fn abandon(&mut self) -> Result<(), JournalError> {
        self.store(self.progress.acknowledged, None)
    }

    /// How many records stand before `end` and are not acknowledged.
    pub(crate) fn count_left(&mut self, end: u64) -> Result<u64, JournalError> {
        let mut from = self.start();
        let mut count = 0;
        let limits = BatchLimits { records: 10_000, bytes: 4 << 20 };
        loop {
            let run = self.read_run(from, end, limits, None)?;
            if run.records.is_empty() {
                return Ok(count);
            }
            count += run.records.len() as u64;
            from = run.end;
        }
    }

    /// Deletes the file.
    pub(crate) fn delete(&self) -> Result<(), JournalError> {
        delete(&self.path)
    }

    fn start(&self) -> u64 {
        self.progress.acknowledged.max(self.header.data_start)
    }

    fn batch(&self, run: Run) -> Option<Batch> {
        (!run.records.is_empty()).then(|| {
            Batch::new(Arc::clone(&self.origin), run.records, (run.first, run.last, run.end))
        })
    }

    /// Keeps the progress, in memory whatever becomes of the file: a disk that takes nothing must not stop what only
    /// has to be read. Whoever recovers the file then sends some of it again, which a server knows by its ids.
    fn store(
        &mut self,
        acknowledged: u64,
        in_flight: Option<(u64, u64)>,
    ) -> Result<(), JournalError> {
        // The slot that was written last stays until another is: a failed write may have torn this one.
        let (next, at, slot) = self.stored.advance(acknowledged, in_flight);
        self.progress = next;
        write_all_at(&self.file, &slot, at).map_err(JournalError::io(&self.path))?;
        self.stored = next;
        Ok(())
    }

    /// Whole records from `from` on, until a limit, `end`, or past the record at `last`.
    fn read_run(
        &mut self,
        from: u64,
        end: u64,
        limits: BatchLimits,
        last: Option<u64>,
    ) -> Result<Run, JournalError> {
        let mut run = Run::default();
        let mut kept = self.kept.take().and_then(|window| window.from(from, end));
        let mut offset = from;
        let mut at_least = WINDOW_BYTES;
        while offset < end {
            let want = kept.as_ref().map_or(at_least, |window| window.bytes.len());
            let want = want.min(to_length(end - offset));
            let window = match kept.take() {
                Some(window) => window,
                None => self.read(offset, want)?,
            };
            let view = View { window: &window, want, end, stamp: &self.header.stamp };
            match run.take(&view, limits, last) {
                Step::Done => {
                    self.kept = Some(window);
                    break;
                }
                Step::ReadFrom { at, length } => {
                    offset = at;
                    // Most batches are small; those that are not need few steps all the same.
                    at_least = (at_least * 2).min(WINDOW_MAX).max(length);
                }
            }
        }
        if run.records.is_empty() {
            self.kept = None;
        }
        Ok(run)
    }

    fn read(&self, offset: u64, length: usize) -> Result<Window, JournalError> {
        let bytes = read_at(&self.file, offset, length).map_err(JournalError::io(&self.path))?;
        Ok(Window { offset, bytes: bytes.into() })
    }
}

impl Window {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// The part from `from` on, where there is enough of it to go on with.
    fn from(mut self, from: u64, end: u64) -> Option<Self> {
        let before = to_length(from.checked_sub(self.offset)?);
        let has_enough = before.saturating_add(KEPT_MIN) <= self.bytes.len() || self.end() >= end;
        if before > self.bytes.len() || !has_enough {
            return None;
        }
        let bytes = self.bytes.split_off(before);
        Some(Self { offset: from, bytes })
    }
}

fn to_length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// One window of the file, and what it is looked through for.
struct View<'a> {
    window: &'a Window,
    /// How much was asked for; less came only where the file is shorter than it should be.
    want: usize,
    /// Where records end in the file.
    end: u64,
    stamp: &'a Stamp,
}

impl View<'_> {
    /// The step when no frame stands at or after `at`. The last bytes are read again with what
    /// follows them, because a frame may begin there.
    fn after(&self, at: usize) -> Step {
        let length = self.window.bytes.len();
        let next = at.max(length.saturating_sub(FRAME_HEADER + 8) & !7);
        let is_end = self.window.end() >= self.end;
        if next == 0 || is_end || length < self.want {
            return Step::Done;
        }
        Step::ReadFrom { at: self.window.offset + next as u64, length: 0 }
    }
}

/// What to do after one window. `ReadFrom` is always further on, or wider.
enum Step {
    Done,
    ReadFrom { at: u64, length: usize },
}

impl Run {
    /// Takes the whole frames of a window.
    fn take(&mut self, view: &View<'_>, limits: BatchLimits, last: Option<u64>) -> Step {
        let mut at = 0;
        loop {
            let Window { offset, bytes } = view.window;
            match frame::find(bytes, at) {
                Found::Frame(frame) => {
                    let start = offset + frame.start as u64;
                    if last.is_some_and(|last| start > last) {
                        return Step::Done;
                    }
                    at = frame.end;
                    let Some(record) = frame.record(bytes) else { continue };
                    let length = record.json_len(view.stamp);
                    if self.is_full(length, limits) {
                        return Step::Done;
                    }
                    self.bytes += length;
                    self.push(record, start, offset + frame.end as u64);
                    if self.records.len() >= limits.records {
                        return Step::Done;
                    }
                }
                Found::Beyond { start, length } => {
                    let begin = offset + start as u64;
                    let is_possible = begin + length as u64 <= view.end;
                    if is_possible && (start > 0 || view.want < length) {
                        if self.is_full(length - FRAME_HEADER, limits) {
                            return Step::Done;
                        }
                        return Step::ReadFrom { at: begin, length };
                    }
                    at = start + 8;
                }
                Found::Nothing => return view.after(at),
            }
        }
    }

    fn is_full(&self, more: usize, limits: BatchLimits) -> bool {
        !self.records.is_empty() && self.bytes.saturating_add(more) > limits.bytes
    }

    fn push(&mut self, record: Record, start: u64, end: u64) {
        if self.records.is_empty() {
            self.first = start;
        }
        self.records.push(record);
        self.last = start;
        self.end = end;
    }
}

/// Deletes a file that may be gone already.
pub(crate) fn delete(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::io(path)(error)),
        _ => Ok(()),
    }
}
