//! Asking a running server, over HTTP.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde::de::DeserializeOwned;
use staso_journal::{Home, ServerInfo};
use staso_server::view::refusal::ErrorBody;
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::environment;
use crate::output::WithHint as _;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The greatest answer that is read: a trace of very many spans.
const MAX_ANSWER_BYTES: u64 = 1 << 30;

/// A server to ask.
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
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
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("X-API-Key", token);
        }
        let mut response = self.answered(request.call())?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        if response.status().is_success() {
            return serde_json::from_slice(&body)
                .with_context(|| {
                    format!("{} answered something else than a Staso server", self.url)
                })
                .hint("is the address right, and the server of this version?");
        }
        self.refused(response.status(), &body)
    }

    /// The answer to a POST of JSON, once it is known to be none of refusal. It may take as long as the
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
        let mut response = self.answered(request.send(json))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.body_mut().read_to_vec()?;
        self.refused(response.status(), &body)
    }

    fn answered(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> anyhow::Result<Response<Body>> {
        answer
            .with_context(|| format!("no answer from {}", self.url))
            .hint("`staso doctor` looks for the reason")
    }

    fn refused<T>(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<T> {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(refusal) => Err(anyhow!(refusal.error.message)).hint(refusal.error.hint),
            Err(_) => bail!("{} answered {status}", self.url),
        }
    }
}
