//! Running the real binary, and speaking to the server in it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A command of the binary with a state directory of its own and nothing else from outside.
pub(crate) fn staso(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staso"));
    for (name, _) in std::env::vars() {
        if name.starts_with("STASO_") {
            command.env_remove(name);
        }
    }
    command.env("STASO_HOME", home);
    command
}

pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    staso(home).args(args).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running server.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    pub(crate) home: PathBuf,
}

impl Serving {
    pub(crate) fn start(home: &Path) -> Self {
        Self::start_with(home, &[])
    }

    /// With these settings in its environment.
    pub(crate) fn start_with(home: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = staso(home)
            .args(["serve", "--port", "0"])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let url = first.trim().strip_prefix("Staso is listening on ").expect("its address");
        Self { url: url.to_owned(), home: home.to_owned(), child }
    }

    /// SIGKILL: no last words.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Json) {
        answer(agent().get(format!("{}{path}", self.url)).call().unwrap())
    }

    /// The text behind a path, and where it says to continue.
    pub(crate) fn page(&self, path: &str) -> (String, String) {
        let mut response = agent().get(format!("{}{path}", self.url)).call().unwrap();
        let next =
            response.headers().get("staso-next-cursor").unwrap().to_str().unwrap().to_owned();
        (response.body_mut().read_to_string().unwrap(), next)
    }

    #[cfg(feature = "sql")]
    pub(crate) fn post(&self, path: &str, body: &Json) -> (u16, ureq::http::HeaderMap, Vec<u8>) {
        let request = agent().post(format!("{}{path}", self.url));
        let request = request.header("Content-Type", "application/json");
        let mut response = request.send(body.to_string().as_bytes()).unwrap();
        let bytes = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
        (response.status().as_u16(), response.headers().clone(), bytes)
    }

    #[cfg(feature = "sql")]
    pub(crate) fn delete(&self, path: &str) -> (u16, Json) {
        answer(agent().delete(format!("{}{path}", self.url)).call().unwrap())
    }

    #[cfg(feature = "sql")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ingest(&self, key: &str, body: &Json) -> (u16, Json) {
        try_ingest(&self.url, key, body).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> (u16, Json) {
    let body = response.body_mut().read_to_vec().unwrap();
    (response.status().as_u16(), serde_json::from_slice(&body).unwrap())
}

/// One batch; an error when the server is gone before its answer.
pub(crate) fn try_ingest(url: &str, key: &str, body: &Json) -> Result<(u16, Json), ureq::Error> {
    let request = agent().post(format!("{url}/v1/traces/ingest")).header("Idempotency-Key", key);
    let mut response = request.send(body.to_string().as_bytes())?;
    let body = response.body_mut().read_to_vec()?;
    Ok((response.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
}

pub(crate) fn span(n: u64, parent: Option<u64>, name: &str, start_ms: u64, ms: u64) -> Json {
    let base = 1_767_225_600_000_000_000u64;
    json!({"span_id": format!("{n:016x}"), "parent_span_id": parent.map(|n| format!("{n:016x}")),
           "name": name, "kind": "chain", "status": "ok", "start_ns": base + start_ms * 1_000_000,
           "end_ns": base + (start_ms + ms) * 1_000_000})
}
