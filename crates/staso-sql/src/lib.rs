//! SQL over the tables of one workspace, in a process of its own.
//!
//! Text from strangers is parsed, planned and run in a child of the same program ([`engine`], a cargo
//! feature), which has limits that the kernel keeps. The parent ([`host`]) starts it, hands it the
//! tables as open files, and takes the answer as a file; what they say to each other is in [`protocol`].
//! Neither knows a server or a store.

#[cfg(feature = "engine")]
pub mod engine;
pub mod host;
pub mod protocol;

pub use host::{Answer, Program, Query, Sink};
pub use protocol::{Column, Cut, Failure, Format, Job, Limits, Problem, Summary, TableName};
