//! Opening the log: its records in order, damage reported and passed over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use staso_store::StoreError;

use super::frame::{self, Part};
use super::{Kind, Sealed, Wal};
use crate::error::from_io;
use crate::files::Files;

/// A record's place among all: what comes after it has greater numbers.
pub(crate) struct Replayed {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
}

/// A log file as it was found.
pub(super) struct Found {
    pub(super) path: PathBuf,
    file_number: u64,
    /// `None`: its header is damaged.
    pub(super) first: Option<u64>,
}

impl Wal {
    /// Opens the log and hands out every record above `flushed`, in order. `known` is the greatest
    /// number that was ever given, as far as the catalog knows.
    ///
    /// What `visit` cannot read it says so by `false`; that counts as damage.
    pub(crate) fn open(
        dir: &Path,
        files: Arc<Files>,
        flushed: u64,
        known: u64,
        visit: &mut dyn FnMut(Replayed) -> Result<bool, StoreError>,
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|e| from_io("make the log's directory", &e))?;
        let mut wal = Self::new(dir, files)?;
        let found = list(dir)?;
        wal.next = flushed + 1;
        wal.known = known;
        for (i, file) in found.iter().enumerate() {
            // What a later file begins with is void in this one.
            let end = found[i + 1..].iter().find_map(|later| later.first);
            wal.replay_file(file, end, flushed, visit)?;
            wal.next_file = file.file_number + 1;
        }
        // The name of a file that was set aside is not given again: both would go by one name then.
        wal.next_file = wal.next_file.max(last_aside(dir)? + 1);
        wal.next = wal.next.max(known + 1);
        Ok(wal)
    }

    fn replay_file(
        &mut self,
        found: &Found,
        end: Option<u64>,
        flushed: u64,
        visit: &mut dyn FnMut(Replayed) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let name = found.path.display().to_string();
        let bytes = fs::read(&found.path).map_err(|e| from_io(&format!("read {name}"), &e))?;
        self.files.found(bytes.len() as u64);
        self.logged += bytes.len() as u64;
        let mut is_damaged = found.first.is_none() && bytes.len() >= frame::FILE_HEADER;
        if is_damaged {
            tracing::error!(
                file = name,
                "a log file's header is damaged: its records are searched for"
            );
        }
        let parts = frame::parts(&bytes);
        let count = parts.len();
        for (i, part) in parts.into_iter().enumerate() {
            match part {
                Part::Record { number, .. } if end.is_some_and(|end| number >= end) => {}
                Part::Record { number, .. } if number < self.next => {}
                Part::Record { number, kind, codec, raw, body } => {
                    if number > self.next {
                        let (from, to) = (self.next, number - 1);
                        tracing::error!(file = name, from, to, "log records are missing");
                    }
                    self.next = number + 1;
                    if number <= flushed {
                        continue;
                    }
                    let sound = match (Kind::of(kind), plain(codec, raw, &bytes[body.clone()])) {
                        (Some(kind), Some(body)) => visit(Replayed { number, kind, body })?,
                        _ => false,
                    };
                    if !sound {
                        is_damaged = true;
                        let (from, to) = (body.start, body.end);
                        tracing::error!(
                            file = name,
                            from,
                            to,
                            number,
                            "a log record is unreadable"
                        );
                    }
                }
                Part::Damage { at, .. } if i + 1 == count && self.is_torn_before(end) => {
                    let (from, to) = (at.start, at.end);
                    tracing::info!(
                        file = name,
                        from,
                        to,
                        "the log ends in a write that was cut off"
                    );
                }
                Part::Damage { at, problem } => {
                    is_damaged = true;
                    let (from, to) = (at.start, at.end);
                    tracing::error!(
                        file = name,
                        from,
                        to,
                        problem,
                        "damage in the log is passed over"
                    );
                }
            }
        }
        self.sealed.push(Sealed { path: found.path.clone(), end: self.next, is_damaged });
        Ok(())
    }
}

impl Wal {
    /// Whether nothing that counts is missing between what was read last and where a file ends: at the
    /// number with which the next one begins, or behind what the catalog has applied.
    fn is_torn_before(&self, end: Option<u64>) -> bool {
        match end {
            Some(end) => end == self.next,
            None => self.known < self.next,
        }
    }
}

pub(super) fn plain(codec: u8, raw: usize, body: &[u8]) -> Option<Vec<u8>> {
    match codec {
        frame::PLAIN => Some(body.to_vec()),
        frame::ZSTD => zstd::bulk::decompress(body, raw).ok(),
        _ => None,
    }
}

/// The number of the first record that a log has, where it has one. A file whose header is damaged has
/// its records all the same.
pub(crate) fn begins_at(dir: &Path) -> Result<Option<u64>, StoreError> {
    let found = if dir.exists() { list(dir)? } else { Vec::new() };
    let mut first = None;
    for file in &found {
        let own = match file.first {
            Some(first) => Some(first),
            None => first_record(&file.path).map_err(|e| from_io("read the log", &e))?,
        };
        first = own.into_iter().chain(first).min();
    }
    Ok(first)
}

fn first_record(path: &Path) -> std::io::Result<Option<u64>> {
    let parts = frame::parts(&fs::read(path)?);
    Ok(parts.iter().find_map(|part| match part {
        Part::Record { number, .. } => Some(*number),
        Part::Damage { .. } => None,
    }))
}

/// The greatest number of a file that was set aside; 0 where there is none.
fn last_aside(dir: &Path) -> Result<u64, StoreError> {
    let io = |e: std::io::Error| from_io("list the log", &e);
    let mut last = 0;
    for entry in fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".wal.damaged"));
        last = last.max(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0));
    }
    Ok(last)
}

/// The log's files, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<Found>, StoreError> {
    let io = |e: &std::io::Error| from_io("list the log", e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| io(&e))? {
        let path = entry.map_err(|e| io(&e))?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".wal"))
            .and_then(|digits| digits.parse().ok());
        let Some(file_number) = number else { continue };
        let first = first_number(&path).map_err(|e| io(&e))?;
        found.push(Found { path, file_number, first });
    }
    found.sort_by_key(|file| file.file_number);
    Ok(found)
}

fn first_number(path: &Path) -> std::io::Result<Option<u64>> {
    use std::io::Read;
    let mut header = Vec::new();
    fs::File::open(path)?.take(frame::FILE_HEADER as u64).read_to_end(&mut header)?;
    Ok(frame::read_file_header(&header).ok())
}
