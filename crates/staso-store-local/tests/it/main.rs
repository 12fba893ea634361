//! The embedded engine: the contract's suite, and what only a directory on disk can get wrong.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod backup;
mod crash;
mod directory;
mod economy;
mod failures;
mod faults;
mod forgetting;
mod formats;
mod golden;
mod inspection;
mod leftovers;
mod log;
mod migration;
mod rebuilding;
mod retaining;
mod searching;
mod sqlite_files;
mod suite;
mod tables;
mod terms;

use staso_model::{Payload, ProcessId, Span, SpanId, Stage, TraceId};
use staso_store::{Batch, ProcessSign, Sign};

/// An ended span of a numbered trace.
fn span(trace: u64, id: u64) -> Span {
    let mut trace_bytes = [0; 16];
    trace_bytes[8..].copy_from_slice(&trace.to_be_bytes());
    let mut span = Span::new("default", TraceId(trace_bytes), SpanId::from_w3c(id.to_be_bytes()));
    span.name = format!("span {id}");
    span.start_ns = i64::try_from(trace).unwrap();
    span.end_ns = Some(span.start_ns + 1);
    span.version.sequence = trace;
    span
}

/// A span that [`PROCESS`] holds open.
fn held(trace: u64, id: u64) -> Span {
    let mut span = span(trace, id);
    span.version.stage = Stage::Open;
    span.end_ns = None;
    span.process_id = Some(PROCESS);
    span.input = Some(Payload::text("what went in"));
    span
}

const PROCESS: ProcessId = ProcessId([7; 16]);

/// Signs of [`PROCESS`], received at a time.
fn signs(signs: &[Sign], received_ns: i64) -> Batch {
    let of = |sign: &Sign| ProcessSign { process_id: PROCESS, sign: *sign };
    Batch { processes: signs.iter().map(of).collect(), received_ns, ..batch(Vec::new()) }
}

fn batch(spans: Vec<Span>) -> Batch {
    Batch { workspace: "default".to_owned(), spans, received_ns: 1, ..Batch::default() }
}
