//! A stretch of the log as a log of its own, for a backup.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;

use staso_store::StoreError;

use super::frame::{self, Part};
use super::replay::list;
use crate::error::from_io;

/// What a stretch was made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extracted {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// Writes the sound records with these numbers into a new file, which begins with the first of
/// them even where it has none. The log may be written to and trimmed meanwhile: the caller sees by
/// the count whether some were missing.
pub(crate) fn extract(
    dir: &Path,
    numbers: &RangeInclusive<u64>,
    target: &Path,
) -> Result<Extracted, StoreError> {
    let io = |e: &io::Error| from_io("copy the log", e);
    let begun = frame::file_header(*numbers.start());
    let mut extracted = Extracted { records: 0, bytes: begun.len() as u64 };
    let mut out = BufWriter::new(File::create_new(target).map_err(|e| io(&e))?);
    out.write_all(&begun).map_err(|e| io(&e))?;
    let found = list(dir)?;
    let mut next = *numbers.start();
    for (i, file) in found.iter().enumerate() {
        // As in replaying: what a later file begins with is void in this one.
        let end = found[i + 1..].iter().find_map(|later| later.first).unwrap_or(u64::MAX);
        let bytes = match fs::read(&file.path) {
            // Trimmed a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(|e| io(&e))?,
        };
        for part in frame::parts(&bytes) {
            let Part::Record { number, kind, codec, raw, body } = part else { continue };
            if number < next || number >= end || !numbers.contains(&number) {
                continue;
            }
            let mut record = Vec::with_capacity(body.len() + 64);
            frame::push(&mut record, number, kind, codec, raw, &bytes[body]);
            out.write_all(&record).map_err(|e| io(&e))?;
            next = number + 1;
            extracted.records += 1;
            extracted.bytes += record.len() as u64;
        }
    }
    let file = out.into_inner().map_err(|e| io(&e.into_error()))?;
    file.sync_all().map_err(|e| io(&e))?;
    Ok(extracted)
}
