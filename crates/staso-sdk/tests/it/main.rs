//! The engine from outside, against a real HTTP peer: nothing lost, nothing twice.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod forking;
mod local;
mod open_spans;
mod peer;
mod rust_api;
mod setting;
mod shipping;
mod support;
mod wire;
