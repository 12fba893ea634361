//! The write-ahead log: what an acknowledgement waits for.
//!
//! `wal/*.wal` hold numbered records; a group of them is written with one write and one sync. The
//! catalog says up to which number it has applied them, and up to which number everything stands in
//! segments, so that older files can go. A file whose write or sync failed is never written to
//! again: the next file begins with the number at which it stopped being good, and what the older
//! file may have from there on is void.

pub(crate) mod extract;
pub(crate) mod forgotten;
mod frame;
pub(crate) mod inspect;
pub(crate) mod record;
pub(crate) mod replay;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use staso_store::StoreError;
use zstd::bulk::Compressor;

use crate::error::from_io;
use crate::files::Files;
pub(crate) use record::Kind;

/// A file above this is not added to.
const FILE_BYTES: u64 = 64 << 20;
/// Smaller bodies are not worth a compressor's set-up.
const COMPRESS_ABOVE: usize = 512;
const LEVEL: i32 = 1;

/// The log, open for appending.
pub(crate) struct Wal {
    dir: PathBuf,
    files: Arc<Files>,
    current: Option<Current>,
    sealed: Vec<Sealed>,
    /// The number of the next record.
    next: u64,
    next_file: u64,
    /// The greatest number that was ever given, as far as the catalog knew at opening.
    known: u64,
    /// Bytes of records since a flush last began, those found at opening included.
    logged: u64,
    compressor: Compressor<'static>,
    buffer: Vec<u8>,
}

struct Current {
    number: u64,
    path: PathBuf,
    file: File,
    /// Up to here everything is good.
    bytes: u64,
}

/// A file that is not written to any more.
struct Sealed {
    path: PathBuf,
    /// Nothing in it that counts has this number or a greater one.
    end: u64,
    is_damaged: bool,
}

/// Where the log stood: to go back to, if what came after must not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    next: u64,
    /// The number of the file that was added to, and its length.
    file: Option<(u64, u64)>,
}

impl Wal {
    fn new(dir: &Path, files: Arc<Files>) -> Result<Self, StoreError> {
        let compressor =
            Compressor::new(LEVEL).map_err(|e| StoreError::Engine(format!("zstd: {e}")))?;
        Ok(Self {
            dir: dir.to_owned(),
            files,
            current: None,
            sealed: Vec::new(),
            next: 1,
            next_file: 1,
            known: 0,
            logged: 0,
            compressor,
            buffer: Vec::new(),
        })
    }

    /// The number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// How many bytes of records no flush has looked at yet.
    pub(crate) fn logged(&self) -> u64 {
        self.logged
    }

    /// So many of these bytes need no flush: one deals with them, or wrote them itself.
    pub(crate) fn forget_logged(&mut self, bytes: u64) {
        self.logged = self.logged.saturating_sub(bytes);
    }

    /// Where the log stands now.
    pub(crate) fn mark(&self) -> Mark {
        let file = self.current.as_ref().map(|current| (current.number, current.bytes));
        Mark { next: self.next, file }
    }

    /// Appends records and makes them survive power loss. When this fails, none of them counts.
    pub(crate) fn append(&mut self, records: &[(Kind, Vec<u8>)]) -> Result<(), StoreError> {
        if self.current.as_ref().is_some_and(|current| current.bytes >= FILE_BYTES) {
            self.seal();
        }
        self.fill_buffer(records)?;
        let mark = self.mark();
        let result = self.write_buffer();
        if let Err(error) = result {
            self.next = mark.next;
            self.give_up_file();
            return Err(from_io("write the log", &error));
        }
        self.next += records.len() as u64;
        self.logged += self.buffer.len() as u64;
        Ok(())
    }

    fn fill_buffer(&mut self, records: &[(Kind, Vec<u8>)]) -> Result<(), StoreError> {
        self.buffer.clear();
        for (number, (kind, body)) in (self.next..).zip(records) {
            if u32::try_from(body.len()).is_err() {
                return Err(StoreError::Engine("a log record is larger than 4 GiB".to_owned()));
            }
            let packed = (body.len() > COMPRESS_ABOVE)
                .then(|| self.compressor.compress(body))
                .and_then(Result::ok)
                .filter(|packed| packed.len() < body.len());
            let (codec, stored) = match &packed {
                Some(packed) => (frame::ZSTD, packed),
                None => (frame::PLAIN, body),
            };
            frame::push(&mut self.buffer, number, *kind as u8, codec, body.len(), stored);
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> std::io::Result<()> {
        if self.current.is_none() {
            self.current = Some(self.begin_file()?);
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        self.files.write(&current.file, &self.buffer)?;
        self.files.sync(&current.file)?;
        current.bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// A new file, its name and header synced.
    fn begin_file(&mut self) -> std::io::Result<Current> {
        let number = self.next_file;
        let path = self.dir.join(format!("{number:010}.wal"));
        self.next_file += 1;
        let header = frame::file_header(self.next);
        let file = self.files.create(&path)?;
        let write = || {
            self.files.write(&file, &header)?;
            self.files.sync(&file)?;
            self.files.sync_dir(&self.dir)
        };
        if let Err(error) = write() {
            // Nothing is in it. Where even this fails, an empty file harms nothing.
            let _ = self.files.remove(&path);
            return Err(error);
        }
        Ok(Current { number, path, file, bytes: header.len() as u64 })
    }

    /// Nothing is added to the current file any more.
    pub(crate) fn seal(&mut self) {
        if let Some(Current { path, .. }) = self.current.take() {
            self.sealed.push(Sealed { path, end: self.next, is_damaged: false });
        }
    }

    /// After a failed write or sync: what the kernel holds of the file is unknown, so that it is
    /// not written again. Cutting it back is a courtesy; the next file's first number is what voids its
    /// end. Answers whether nothing is left behind the end, power loss included.
    fn give_up_file(&mut self) -> bool {
        let Some(Current { path, file, bytes, .. }) = self.current.take() else { return true };
        let length = file.metadata().map_or(bytes, |meta| meta.len());
        let cut = self.files.cut(&file, length, bytes).and_then(|()| self.files.sync(&file));
        if let Err(error) = &cut {
            tracing::warn!(%error, file = %path.display(), "the log could not be cut back");
        }
        self.sealed.push(Sealed { path, end: self.next, is_damaged: false });
        cut.is_ok()
    }

    /// Takes back what was appended since the mark, because it could not be made visible. When this
    /// fails, it may count after all when the directory is opened again.
    pub(crate) fn take_back(&mut self, mark: Mark) -> Result<(), StoreError> {
        if let Some(current) = &mut self.current {
            current.bytes = match mark.file {
                Some((number, bytes)) if number == current.number => bytes,
                // It was begun since: all that is in it goes.
                _ => frame::FILE_HEADER as u64,
            };
        }
        self.next = mark.next;
        let is_cut = self.give_up_file();
        match self.begin_file() {
            Ok(began) => self.current = Some(began),
            Err(error) if is_cut => {
                tracing::warn!(%error, "a log file could not be begun; it is tried again");
            }
            Err(error) => return Err(from_io("take back a log record", &error)),
        }
        Ok(())
    }

    /// Whether a file that is not written to any more may have this record or an earlier one.
    pub(crate) fn has_before(&self, number: u64) -> bool {
        self.sealed.iter().any(|sealed| sealed.end <= number + 1)
    }

    /// Removes the files in which nothing counts that has a greater number.
    pub(crate) fn trim(&mut self, up_to: u64) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.sealed.drain(..).partition(|sealed| sealed.end <= up_to + 1);
        self.sealed = kept;
        for sealed in gone {
            let removed = if sealed.is_damaged {
                self.files.rename(&sealed.path, &sealed.path.with_extension("wal.damaged"))
            } else {
                self.files.remove(&sealed.path)
            };
            // The next opening trims it again.
            if let Err(error) = removed {
                tracing::warn!(%error, file = %sealed.path.display(), "an old log file stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> [(Kind, Vec<u8>); 1] {
        [(Kind::Batch, text.as_bytes().to_vec())]
    }

    fn open(dir: &Path, files: &Arc<Files>) -> (Wal, Vec<(u64, String)>) {
        let mut seen = Vec::new();
        let wal = Wal::open(dir, Arc::clone(files), 0, 0, &mut |record| {
            seen.push((record.number, String::from_utf8(record.body).unwrap()));
            Ok(true)
        });
        (wal.unwrap(), seen)
    }

    fn told(records: &[(u64, &str)]) -> Vec<(u64, String)> {
        records.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    #[test]
    fn what_was_taken_back_is_void_and_its_number_is_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::new(None, None));
        let (mut wal, _) = open(dir.path(), &files);
        wal.append(&body("one")).unwrap();
        let mark = wal.mark();
        wal.append(&body("gone")).unwrap();
        wal.take_back(mark).unwrap();
        wal.append(&body("two")).unwrap();
        let (_, seen) = open(dir.path(), &files);
        assert_eq!(seen, told(&[(1, "one"), (2, "two")]));
    }

    /// The file was begun with the record, and the next one cannot be begun.
    #[test]
    fn the_first_record_of_a_file_can_be_taken_back_on_a_full_disk() {
        for is_old in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let files = Arc::new(Files::new(None, None));
            let (mut wal, _) = open(dir.path(), &files);
            let mut kept = Vec::new();
            if is_old {
                wal.append(&body("one")).unwrap();
                wal.seal();
                kept.push((1, "one"));
            }
            let mark = wal.mark();
            wal.append(&body("gone")).unwrap();
            files.limit(files.used());
            wal.take_back(mark).unwrap();
            assert_eq!(open(dir.path(), &files).1, told(&kept));
            files.limit(u64::MAX);
            wal.append(&body("next")).unwrap();
            kept.push((mark.next, "next"));
            assert_eq!(open(dir.path(), &files).1, told(&kept));
        }
    }

    #[test]
    fn refused_appends_leave_no_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::new(None, None));
        let (mut wal, _) = open(dir.path(), &files);
        files.limit(0);
        for _ in 0..3 {
            assert!(matches!(wal.append(&body("refused")), Err(StoreError::DiskFull)));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// As after a failed sync, when the older file could not even be cut back.
    #[test]
    fn the_end_of_a_file_that_was_given_up_is_void() {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::new(None, None));
        let (mut wal, _) = open(dir.path(), &files);
        wal.append(&body("one")).unwrap();
        wal.append(&body("gone")).unwrap();
        let path = wal.current.as_ref().unwrap().path.clone();
        let uncut = std::fs::read(&path).unwrap();
        wal.next -= 1;
        assert!(wal.give_up_file());
        std::fs::write(&path, uncut).unwrap();
        wal.append(&body("two")).unwrap();
        assert_ne!(wal.current.as_ref().unwrap().path, path, "a file is given up for good");
        let (mut wal, seen) = open(dir.path(), &files);
        assert_eq!(seen, told(&[(1, "one"), (2, "two")]));
        wal.append(&body("three")).unwrap();
        assert_eq!(open(dir.path(), &files).1, told(&[(1, "one"), (2, "two"), (3, "three")]));
    }

    #[test]
    fn a_full_disk_costs_what_was_refused_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::new(None, None));
        let (mut wal, _) = open(dir.path(), &files);
        wal.append(&body("one")).unwrap();
        files.limit(files.used());
        assert!(matches!(wal.append(&body("refused")), Err(StoreError::DiskFull)));
        files.limit(u64::MAX);
        wal.append(&body("two")).unwrap();
        assert_eq!(open(dir.path(), &files).1, told(&[(1, "one"), (2, "two")]));
    }
}
