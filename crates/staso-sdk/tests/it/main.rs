//! The engine from outside, against a real HTTP peer: nothing lost, nothing twice.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod endings;
mod forking;
mod local;
mod nesting;
mod open_spans;
mod peer;
mod privacy;
mod rust_api;
mod rust_async;
mod rust_attributes;
mod rust_privacy;
mod rust_tracing;
mod setting;
mod shipping;
mod support;
mod tape;
mod toy;
mod whole_record;
mod wire;
