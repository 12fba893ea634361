//! The log under inspection: which records cannot be read, and which of them still matter.
//!
//! It follows what replaying does with the same files. Numbers say what is lost: a stretch of bytes
//! that is no record matters if a number above the last flushed one is missing there.

use std::fs;
use std::path::{Path, PathBuf};

use staso_store::StoreError;

use super::forgotten::{ForgetRecord, TombstonesRecord};
use super::frame::{self, Part};
use super::record::{BatchRecord, CarriedRecord, DeletedRecord, decode};
use super::replay::{list, plain};
use crate::error::from_io;
use crate::wal::Kind;

/// What is wrong with a file of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: PathBuf,
    pub(crate) problem: String,
    /// Whether something is lost that is nowhere else.
    pub(crate) is_loss: bool,
}

/// What a look at the log showed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) records: u64,
    pub(crate) findings: Vec<Finding>,
}

struct Look {
    report: Report,
    flushed: u64,
    /// The number that comes next, once one was seen.
    next: Option<u64>,
    /// Damage of which it is not known yet what was in it.
    pending: Vec<(PathBuf, String)>,
}

/// Looks through the log of a directory whose catalog says these numbers.
pub(crate) fn inspect(dir: &Path, flushed: u64, applied: u64) -> Result<Report, StoreError> {
    let mut look = Look { report: Report::default(), flushed, next: None, pending: Vec::new() };
    let found = if dir.exists() { list(dir)? } else { Vec::new() };
    for (i, file) in found.iter().enumerate() {
        let end = found[i + 1..].iter().find_map(|later| later.first);
        let doing = || format!("read {}", file.path.display());
        let bytes = fs::read(&file.path).map_err(|e| from_io(&doing(), &e))?;
        if file.first.is_none() && bytes.len() >= frame::FILE_HEADER {
            let problem = "its header is damaged; its records are found all the same".to_owned();
            look.found(&file.path, problem, false);
        }
        look.file(&file.path, &bytes, end);
    }
    look.end(dir, applied);
    look.kept_aside(dir);
    Ok(look.report)
}

impl Look {
    fn found(&mut self, file: &Path, problem: String, is_loss: bool) {
        self.report.findings.push(Finding { file: file.to_owned(), problem, is_loss });
    }

    fn file(&mut self, path: &Path, bytes: &[u8], end: Option<u64>) {
        for part in frame::parts(bytes) {
            match part {
                Part::Record { number, .. } if end.is_some_and(|end| number >= end) => {}
                Part::Record { number, .. } if self.next.is_some_and(|next| number < next) => {}
                Part::Record { number, kind, codec, raw, body } => {
                    self.comes_to(number, path);
                    self.report.records += 1;
                    let body = plain(codec, raw, &bytes[body]);
                    if !Kind::of(kind).zip(body).is_some_and(|(kind, body)| is_sound(kind, &body)) {
                        let problem = format!("record {number} cannot be understood");
                        self.found(path, problem, number > self.flushed);
                    }
                }
                Part::Damage { at, problem } => {
                    let problem = format!("bytes {} to {}: {problem}", at.start, at.end);
                    self.pending.push((path.to_owned(), problem));
                }
            }
        }
    }

    /// A sound record, and with it the answer to what stood before it.
    fn comes_to(&mut self, number: u64, path: &Path) {
        let first = self.next.unwrap_or(0).max(self.flushed + 1);
        self.settle(first, number, path, "something was there that does not count");
        self.next = Some(number + 1);
    }

    /// Says of the damage before `number` what it costs: records from `first` on.
    fn settle(&mut self, first: u64, number: u64, path: &Path, harmless: &str) {
        let pending = std::mem::take(&mut self.pending);
        if first >= number {
            for (file, problem) in pending {
                self.found(&file, format!("{problem}: {harmless}"), false);
            }
            return;
        }
        let lost = format!("records {first} to {} are lost", number - 1);
        if pending.is_empty() {
            self.found(path, format!("{lost}: no file has them"), true);
        }
        for (file, problem) in pending {
            self.found(&file, format!("{problem}: {lost}"), true);
        }
    }

    fn end(&mut self, dir: &Path, applied: u64) {
        let first = self.next.unwrap_or(0).max(self.flushed + 1);
        let torn = "a write was cut off there, as in a crash; it was not acknowledged";
        self.settle(first, applied + 1, dir, torn);
    }

    /// Files that were kept for their damage.
    fn kept_aside(&mut self, dir: &Path) {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "damaged") {
                let problem = "it was set aside because of its damage; delete it when nobody can \
                               mend it";
                self.found(&path, problem.to_owned(), false);
            }
        }
    }
}

fn is_sound(kind: Kind, body: &[u8]) -> bool {
    match kind {
        Kind::Batch => decode::<BatchRecord>(body).and_then(BatchRecord::into_batch).is_some(),
        Kind::DeleteAnnotation => decode::<DeletedRecord>(body).is_some(),
        Kind::Forget => {
            decode::<ForgetRecord>(body).and_then(ForgetRecord::into_forgotten).is_some()
        }
        Kind::Tombstones => decode::<TombstonesRecord>(body).is_some(),
        Kind::Carried => decode::<CarriedRecord>(body).is_some_and(|record| {
            record.spans.into_iter().all(|span| span.into_span("").is_some())
        }),
    }
}
