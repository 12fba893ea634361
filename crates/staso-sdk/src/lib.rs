//! The client engine of Staso, without Python: settings, records, journal, shipping, reports.
//!
//! Start at [`Client`]. A binding serialises what its language holds with [`json`] and
//! [`record`], hands the bytes to [`Client::append`], and is done: the journal keeps them and a
//! thread of the engine ships them. Rust programs begin with [`init`] and [`span`].

mod backoff;
mod client;
pub mod clock;
mod config;
mod counters;
mod destination;
mod discovery;
mod engine;
pub mod env;
mod fork;
pub mod ids;
pub mod json;
mod log;
mod open;
mod queue;
pub mod record;
mod report;
pub mod sampling;
mod signals;
mod spans;
mod transport;
mod wake;
mod worker;

pub use client::Client;
pub use config::{ApiKey, CapturePolicy, Config, ConfigError, JournalChoice, Overrides};
pub use destination::Destination;
pub use fork::process_generation;
pub use log::{LogLevel, LogSink, set_log_sink};
pub use open::OpenToken;
pub use report::{DeliveryReport, Enqueued, FailureKind, Stats};
pub use spans::{SpanBuilder, SpanGuard, client, init, span};
pub use staso_journal::{Home, RecordKind};
pub use staso_model::{CaptureCategory, ProcessId, SpanId, SpanKind, SpanStatus, TraceId};
