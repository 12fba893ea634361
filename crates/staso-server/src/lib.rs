//! The server: ingest, queries, the live tail and the dashboard over HTTP.
//!
//! Start at [`run`]; [`Server::start`] is the same without signals. Paths are mapped to functions
//! in `app`. The way of a batch is in `ingest`; who may speak to us is in `access`; what answers
//! look like is in [`view`]. Everything with a size or a duration has a limit beside it.

mod access;
mod agents;
mod annotations;
mod app;
mod body;
mod clock;
pub mod config;
mod conversations;
mod counters;
mod dashboard;
mod deletion;
mod error;
mod export;
mod homeless;
mod ingest;
mod interruptions;
mod intervals;
mod journal_pickup;
mod listener;
mod live;
mod metrics;
pub mod offline;
mod openapi;
mod operations;
mod params;
mod queries;
mod retention;
mod search;
mod server;
mod setup;
mod sql;
mod storage;
pub mod view;

pub use app::CAPABILITIES;
pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use openapi::openapi_json;
pub use server::{ServeError, Server, run};
pub use staso_sql::Program as SqlProgram;
pub use staso_store::StoreError;
pub use storage::{Copied, Damage, Inspection, backup, inspect, restore};
