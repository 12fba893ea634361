//! Asking a running server, over HTTP.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::de::DeserializeOwned;
use staso_journal::{Home, ServerInfo};
use staso_server::view::refusal::ErrorBody;
use ureq::Body;
use ureq::http::Response;

use crate::environment;
use crate::output::WithHint as _;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer may take that comes line by line; the server bounds the work itself.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3_900);

/// The greatest answer that is read: a trace of very many spans.
const MAX_ANSWER_BYTES: u64 = 1 << 30;

/// A server to ask.
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
}

/// An answer whose body has not been read yet.
pub(crate) struct Streamed {
    /// Where the next page begins.
    pub(crate) next_cursor: Option<String>,
    pub(crate) body: ureq::BodyReader<'static>,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken,
    /// To be sent again after this while.
    Later(Duration),
}

impl Client {
    /// The server at this address, else that of `STASO_BASE_URL`, else the one that announced
    /// itself in the state directory.
    pub(crate) fn find(url: Option<&str>, home: &Home) -> anyhow::Result<Self> {
        let named = url.map(str::to_owned).or_else(|| environment::get("STASO_BASE_URL"));
        if let Some(url) = named.filter(|url| !url.is_empty()) {
            return Ok(Self::new(&url, None));
        }
        let info = ServerInfo::read(home)
            .ok_or_else(|| {
                anyhow!("no server runs for the state directory {}", home.path().display())
            })
            .hint("start one with `staso serve`, or name one with --url")?;
        Ok(Self::new(&info.url, Some(info.token)))
    }

    pub(crate) fn new(url: &str, token: Option<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Self { agent, url: url.trim_end_matches('/').to_owned(), token }
    }

    /// The answer to a GET, as `T`.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        let mut response = self.call(path, query, TIMEOUT)?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        self.parsed(&body)
    }

    /// Calls `found` with each line of the answer to a GET, as soon as it is there, and its text.
    pub(crate) fn each_line<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        found: &mut dyn FnMut(T, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut response = self.call(path, query, STREAM_TIMEOUT)?;
        for line in BufReader::new(response.body_mut().as_reader()).lines() {
            let line = line.with_context(|| format!("{} broke off its answer", self.url))?;
            found(self.parsed(line.as_bytes())?, &line)?;
        }
        Ok(())
    }

    /// The answer to a GET, once it is known to be no refusal.
    fn call(
        &self,
        path: &str,
        query: &[(&str, &str)],
        timeout: Duration,
    ) -> anyhow::Result<Response<Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("X-API-Key", token);
        }
        let mut response =
            self.answer(request.config().timeout_global(Some(timeout)).build().call())?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Err(self.refusal(response.status(), &body))
    }

    /// The answer to a POST of JSON, once it is known to be no refusal. It may take as long as the
    /// server lets it.
    pub(crate) fn post(&self, path: &str, json: &[u8]) -> anyhow::Result<Response<Body>> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let mut request = request
            .config()
            .timeout_global(None)
            .timeout_connect(Some(TIMEOUT))
            .build()
            .header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("X-API-Key", token);
        }
        let mut response = self.answer(request.send(json))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Err(self.refusal(response.status(), &body))
    }

    /// The answer to a GET as it comes. What is cut off is an error to the reader, never an end.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> anyhow::Result<Streamed> {
        let query: Vec<(&str, &str)> =
            query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let response = self.call(path, &query, STREAM_TIMEOUT)?;
        let next = response.headers().get("staso-next-cursor");
        let next_cursor = next.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Streamed { next_cursor, body: response.into_body().into_reader() })
    }

    /// Sends one body to ingest. That it is refused for good is an error.
    pub(crate) fn ingest(&self, key: &str, body: &[u8]) -> anyhow::Result<Sent> {
        let mut request = self
            .agent
            .post(format!("{}/v1/traces/ingest", self.url))
            .header("Idempotency-Key", key)
            .header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("X-API-Key", token);
        }
        let mut response = self.answer(request.send(body))?;
        let body = response.body_mut().read_to_vec()?;
        match response.status().as_u16() {
            200 => Ok(Sent::Taken),
            429 | 503 => {
                let seconds = response.headers().get("retry-after");
                let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
                Ok(Sent::Later(Duration::from_secs(seconds.unwrap_or(1))))
            }
            _ => Err(self.refusal(response.status(), &body)),
        }
    }

    fn answer(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<ureq::http::Response<ureq::Body>> {
        result
            .with_context(|| format!("no answer from {}", self.url))
            .hint("`staso doctor` looks for the reason")
    }

    fn refusal(&self, status: ureq::http::StatusCode, body: &[u8]) -> anyhow::Error {
        let refused: anyhow::Result<()> = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(refusal) => Err(anyhow!(refusal.error.message)).hint(refusal.error.hint),
            Err(_) => Err(anyhow!("{} answered {status}", self.url)),
        };
        refused.err().unwrap_or_else(|| anyhow!("{status}"))
    }

    fn parsed<T: DeserializeOwned>(&self, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body)
            .with_context(|| format!("{} answered something else than a Staso server", self.url))
            .hint("is the address right, and the server of this version?")
    }
}
