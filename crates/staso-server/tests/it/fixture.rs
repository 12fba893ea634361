//! A server of a test's own: a directory that goes away, a free port, a clock that can be set.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use staso_server::config::{Config, Layer};
use staso_server::{Clock, ServeError, Server};
use staso_store::Store;
use staso_store_local::{LocalStore, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::http::{self, Answer};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOON_NS: i64 = 1_767_225_600_000_000_000;

pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A clock that stands still until it is moved.
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_ns(&self) -> i64 {
        // Each look is a nanosecond later, as on a real clock.
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

pub(crate) struct Fixture {
    pub(crate) runtime: Runtime,
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<SetClock>,
    server: Option<Server>,
    settings: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// A server with these lines of `staso.toml`.
    pub(crate) fn with(settings: &str) -> Self {
        let mut fixture = Self::stopped(settings);
        fixture.start();
        fixture
    }

    /// A server on a store of the test's choice.
    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        let mut fixture = Self::stopped("");
        let started = Server::start_with(fixture.config(), store, fixture.clock.clone());
        fixture.server = Some(fixture.runtime.block_on(started).unwrap());
        fixture
    }

    pub(crate) fn stopped(settings: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(AtomicI64::new(NOON_NS)));
        Self { runtime, dir, clock, server: None, settings: settings.to_owned() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn config(&self) -> Config {
        let file = Layer::from_toml("test", &format!("port = 0\n{}", self.settings)).unwrap();
        Config::merge(self.home(), &[file]).unwrap()
    }

    pub(crate) fn try_start(&mut self) -> Result<(), ServeError> {
        let config = self.config();
        let store = LocalStore::open(&config.data_dir(), &options())
            .map_err(|source| ServeError::Store { path: config.data_dir(), source })?;
        let started = Server::start_with(config, Arc::new(store), self.clock.clone());
        self.server = Some(self.runtime.block_on(started)?);
        Ok(())
    }

    pub(crate) fn start(&mut self) {
        self.try_start().unwrap();
    }

    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop()).unwrap();
        }
    }

    pub(crate) fn take_server(&mut self) -> Server {
        self.server.take().unwrap()
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::call(self.address(), "GET", path, &[], b"")
    }

    /// The JSON behind a path that must answer 200.
    pub(crate) fn read(&self, path: &str) -> Json {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::call(self.address(), "POST", path, headers, body)
    }

    pub(crate) fn ingest(&self, key: &str, body: &Json) -> Answer {
        let headers = [("Idempotency-Key", key), ("Content-Type", "application/json")];
        self.post("/v1/traces/ingest", &headers, body.to_string().as_bytes())
    }

    /// Sends what must be accepted.
    pub(crate) fn accept(&self, key: &str, body: &Json) -> Json {
        let answer = self.ingest(key, body);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = self.runtime.block_on(server.stop());
        }
    }
}

/// The defaults, but what is deleted goes without delay.
fn options() -> Options {
    Options { forget_after: Duration::ZERO, ..Options::default() }
}

/// A trace of one ended span, as existing clients send it.
pub(crate) fn batch_of(trace_id: &str, name: &str) -> Json {
    json!({"traces": [{"trace_id": trace_id, "timestamp": "2026-01-01T00:00:00Z", "spans": [
        span("00f067aa0ba902b7", None, name)
    ]}]})
}

pub(crate) fn span(span_id: &str, parent: Option<&str>, name: &str) -> Json {
    json!({"span_id": span_id, "parent_span_id": parent, "name": name, "kind": "chain",
           "timestamp": "2026-01-01T00:00:00Z", "duration_ms": 5, "status": "ok",
           "input": "{\"q\": 1}", "output": "", "attributes": "{}"})
}

/// Waits until `look` finds something; the test fails when it never does.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + http::PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
