//! The journal: append-only, crash-safe files of finished spans, and who may ship them.
//!
//! The process that records owns its segments and ships them; when it dies, its locks free
//! themselves and another process with the same destination, or the local server, takes over.
//! Nothing here knows HTTP.

pub mod home;
mod record;

pub use home::{Home, ServerInfo};
pub use record::{Record, RecordKind};
