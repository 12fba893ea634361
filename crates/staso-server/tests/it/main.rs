//! The server as its clients meet it: over sockets, on the local store, restarted and abused.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod access;
mod annotations;
mod compression;
mod dashboard;
mod deletion;
mod export;
mod fixture;
mod http;
mod ingest;
mod journal;
mod limits;
mod live;
mod moody;
mod operations;
mod queries;
mod retention;
mod search;
mod shutdown;
mod signs;
mod sockets;
mod sums;
mod totals;
