//! What one append costs: CPU nanoseconds for typical payloads, mapped and written, growth of the
//! file included. CPU time, because the wall clock of a busy machine measures its other programs.
//!
//! Run with `cargo run --release -p staso-journal --example append_cost`.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use anyhow::Result;
use staso_journal::{Destination, Journal, JournalOptions, RecordKind};
use staso_model::{ProcessId, SpanId, TraceId};

const RUNS: usize = 7;
const APPENDS: usize = 40_000;

fn main() -> Result<()> {
    println!(
        "{:>8} {:>8} {:>10} {:>10} {:>10}",
        "storage", "bytes", "min ns", "median ns", "max ns"
    );
    for may_map in [true, false] {
        for bytes in [300, 800, 4_000] {
            let mut runs =
                (0..RUNS).map(|_| measure(may_map, bytes)).collect::<Result<Vec<f64>>>()?;
            runs.sort_by(f64::total_cmp);
            let storage = if may_map { "mapped" } else { "written" };
            let (min, median, max) = (runs[0], runs[RUNS / 2], runs[RUNS - 1]);
            println!("{storage:>8} {bytes:>8} {min:>10.0} {median:>10.0} {max:>10.0}");
        }
    }
    Ok(())
}

/// Nanoseconds for one append, segments and growth included.
fn measure(may_map: bool, bytes: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let options = JournalOptions { may_map, ..JournalOptions::default() };
    let destination = Destination::local();
    let journal = Journal::open(dir.path().to_owned(), destination, ProcessId([1; 16]), options)?;
    let payload = vec![b'x'; bytes];
    let start = cpu_ns();
    for n in 0..APPENDS {
        let span = SpanId::from_w3c((n as u64 + 1).to_be_bytes());
        journal.append(RecordKind::Span, &TraceId([1; 16]), &span, &payload)?;
    }
    Ok((cpu_ns() - start) as f64 / APPENDS as f64)
}

/// CPU time of this thread, user and kernel.
fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to.
    unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
    }
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
