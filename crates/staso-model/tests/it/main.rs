//! What the model promises to its callers, tested from outside: the native wire and OTLP.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod native;
mod native_properties;
mod otlp;
mod otlp_properties;
mod strategies;
