//! Signs of life: whether the process that holds a span open still runs.

use staso_model::ProcessId;

/// What a process, or its journal, last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSign {
    /// The process.
    pub process_id: ProcessId,
    /// What it said.
    pub sign: Sign,
}

/// A sign of life or death. Times only move forward; a goodbye is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It was alive at this time, Unix nanoseconds.
    Alive(i64),
    /// It ended in order, or its journal's lock was found free.
    Goodbye(i64),
}
