//! The journal from outside: what survives tearing, killing, forking and a full directory.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod adopting;
mod bodies;
mod budget;
mod dying;
mod limited;
mod room;
mod support;
mod torn;
mod unreadable;
mod windows;
