//! The journal: append-only, crash-safe files of finished spans, and who may ship them.
//!
//! The process that records owns its segments and ships them ([`Journal`]); when it dies, its
//! locks free themselves, and another process with the same destination, or the local server,
//! takes over ([`adopt`]). Both get [`Batch`]es whose keys repeat exactly. Nothing here knows HTTP.

mod adopt;
mod batch;
mod budget;
mod destination;
mod error;
mod frame;
mod header;
pub mod home;
mod journal;
mod lock;
mod outlet;
mod record;
mod segment;
mod storage;
mod text;
mod unreadable;

pub use adopt::{Adopted, ProcessState, adopt, adopt_where, process_state};
pub use batch::{Batch, BatchLimits, ProcessSign, WireForm, process_body};
pub use budget::set_aside;
pub use destination::{Destination, Mode};
pub use error::JournalError;
pub use header::SegmentHeader;
pub use home::{Home, ServerInfo};
pub use journal::{Journal, JournalOptions, JournalStats, Waiting};
pub use record::{Record, RecordKind, SpanFront, Stamp};
pub use unreadable::{Trouble, Unreadable, set_segment_aside, unreadable};
