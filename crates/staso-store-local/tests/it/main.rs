//! The embedded engine: the contract's suite, and what only a directory on disk can get wrong.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod suite;
