//! The client engine of Staso, without Python: settings, records, journal, shipping, reports.
//!
//! Rust programs begin with [`init`] and [`span`]. A binding for another language keeps a [`Life`] for
//! each span, reads its objects as a [`Host`], and is done: when a span ends, its record goes to the
//! [`Client`], whose journal keeps it and whose own thread ships it.

mod annotation;
mod backoff;
mod brief;
mod call;
mod client;
pub mod clock;
mod config;
mod counters;
mod destination;
mod discovery;
mod engine;
pub mod env;
mod exclusion;
mod field;
mod finish;
mod fork;
mod held;
mod host;
pub mod ids;
pub mod json;
mod late;
mod life;
mod log;
pub mod nesting;
mod network;
mod open;
pub mod pen;
mod policy;
mod queue;
pub mod record;
pub mod recorder;
mod redaction;
mod report;
mod sampling;
mod setting;
mod signals;
mod spans;
mod spare;
mod template;
mod transport;
mod trouble;
mod vcs;
mod vocabulary;
mod wake;
mod worker;

pub use annotation::{Annotation, DataType};
pub use client::Client;
pub use clock::seconds;
pub use config::{ApiKey, CapturePolicy, Config, ConfigError, JournalChoice, Overrides};
pub use destination::Destination;
pub use exclusion::{InterpreterLock, OneThreadAtATime, ThreadLock};
pub use field::{Field, Fields};
pub use fork::process_generation;
pub use held::{Captured, Held};
pub use host::{Described, Host, Object};
pub use life::{Ended, Ending, Identity, Life, Phase, Place, ToldHead};
pub use log::{LogLevel, LogSink, has_messages, keep_messages, set_log_sink, take_messages};
pub use network::{Network, ProxyAddress};
pub use open::OpenToken;
pub use recorder::Recorder;
pub use redaction::Rules;
pub use report::{DeliveryReport, Enqueued, FailureKind, Stats};
pub use setting::Setting;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub use spans::attribute;
pub use spans::fields::Score;
pub use spans::future::{Instrument, Instrumented};
#[cfg(feature = "tracing")]
pub use spans::layer::{StasoLayer, layer};
pub use spans::scope::{Scope, ScopeGuard, conversation, new_conversation};
pub use spans::w3c::{baggage, extract, inject};
pub use spans::{
    DetachedSpan, Span, SpanBuilder, SpanGuard, bind, client, current, init, init_with_redaction,
    shutdown, span,
};
pub use spare::Spare;
pub use staso_journal::{Home, RecordKind};
pub use staso_model::{CaptureCategory, ProcessId, SpanId, SpanKind, SpanStatus, TraceId};
#[cfg(feature = "macros")]
pub use staso_sdk_macros::{agent, tool, trace};
pub use template::Template;
pub use vcs::Vcs;
pub use vocabulary::Vocabulary;

/// The guide's programs are tested as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/rust.md")]
struct Guide;
