//! The binary as its users meet it: started, asked, interrupted and killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod backup;
mod commands;
mod crash;
mod exchange;
mod program;
mod query;
mod show;
#[cfg(feature = "sql")]
mod sql;
