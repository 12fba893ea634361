//! Speaking to a server: one request, and what its answer means for what was sent.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use staso_journal::{Batch, WireForm};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use crate::network::Network;
use crate::report::FailureKind;
use crate::trouble::Trouble;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const ANSWER_MAX_BYTES: u64 = 1 << 20;
/// Smaller bodies are not worth compressing.
const COMPRESS_FROM_BYTES: usize = 1024;
/// The longest wait that a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) key: Option<String>,
    /// On this machine: no proxy, and compressing would cost more than it saves.
    pub(crate) is_loopback: bool,
    /// The proxy on the way, and the certificates to trust.
    pub(crate) network: Network,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken, durably.
    Delivered,
    /// The same again, later; not before the given time where the server named one.
    Retry(FailureKind, Option<Duration>),
    /// Nothing will be taken until a person does something.
    Pause(FailureKind),
    /// Too much at once.
    TooLarge,
    /// This will never be taken.
    Refused(String),
}

/// A connection to one target.
pub(crate) struct Transport {
    /// What speaks; trouble where it cannot be asked to.
    agent: Result<Agent, Trouble>,
    target: Target,
    /// What the server understands; `None` until it has answered once.
    form: Option<WireForm>,
    /// What a person has to mend, from the last request.
    trouble: Option<Trouble>,
}

impl Transport {
    pub(crate) fn new(target: Target, form: Option<WireForm>) -> Self {
        Self { agent: agent_for(&target), target, form, trouble: None }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// What a person has to mend before a request can succeed, if that is why the last one failed.
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Which form the server understands. Asks it once, before the first batch: the older form
    /// cannot carry everything, and a batch cannot be sent twice.
    pub(crate) fn form(&mut self) -> Result<WireForm, Outcome> {
        if let Some(form) = self.form {
            return Ok(form);
        }
        let url = format!("{}/api/health", self.target.url);
        let mut request = self.agent()?.get(&url);
        if let Some(key) = &self.target.key {
            request = request.header("X-API-Key", key);
        }
        let response = request.call();
        let response = self.heard(response)?;
        let form = form_of(response.headers());
        if form == WireForm::Text
            && let Some(kind) = says_nothing(response.status().as_u16())
        {
            return Err(Outcome::Retry(kind, retry_after(response.headers())));
        }
        self.form = Some(form);
        Ok(form)
    }

    /// Sends one batch.
    pub(crate) fn send_batch(&mut self, batch: &Batch, form: WireForm) -> Outcome {
        let (body, traces) = batch.counted_body(form);
        if traces == 0 {
            return Outcome::Delivered;
        }
        let key = batch.key.to_string();
        let answer = match self.post("/v1/traces/ingest", &body, form, Some(&key)) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match acknowledges(&answer, traces, &key) {
            true => Outcome::Delivered,
            false => Outcome::Retry(FailureKind::MalformedResponse, None),
        }
    }

    /// Sends anything else; any success will do.
    pub(crate) fn send(&mut self, path: &str, body: &[u8], form: WireForm) -> Outcome {
        match self.post(path, body, form, None) {
            Ok(_) => Outcome::Delivered,
            Err(outcome) => outcome,
        }
    }

    fn post(
        &mut self,
        path: &str,
        body: &[u8],
        form: WireForm,
        idempotency_key: Option<&str>,
    ) -> Result<Vec<u8>, Outcome> {
        let (body, encoding) = self.compress(body, form);
        let url = format!("{}{path}", self.target.url);
        let mut request = self.agent()?.post(url).header("Content-Type", "application/json");
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        if let Some(key) = &self.target.key {
            request = request.header("X-API-Key", key);
        }
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send(&body[..]);
        let mut response = self.heard(response)?;
        let text = read_answer(&mut response);
        if form_of(response.headers()) == WireForm::Values {
            self.form = Some(WireForm::Values);
        }
        match outcome_of_status(&response, &text) {
            Outcome::Delivered => Ok(text),
            other => Err(other),
        }
    }

    fn agent(&mut self) -> Result<&Agent, Outcome> {
        if let Err(trouble) = &self.agent {
            self.trouble = Some(trouble.clone());
        }
        let unusable = Outcome::Retry(FailureKind::NetworkUnavailable, None);
        self.agent.as_ref().map_err(|_| unusable)
    }

    /// Any answer at all; otherwise what the error means.
    fn heard(
        &mut self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Outcome> {
        answer.inspect(|_| self.trouble = None).map_err(|error| {
            self.trouble = Trouble::of(&error, &self.target.url, &self.target.network);
            if let Some(Trouble::Certificate(_)) = self.trouble {
                // The trusted certificates were read when it first spoke; they may be mended by now.
                self.agent = agent_for(&self.target);
            }
            outcome_of_error(&error)
        })
    }

    fn compress<'b>(
        &self,
        body: &'b [u8],
        form: WireForm,
    ) -> (Cow<'b, [u8]>, Option<&'static str>) {
        if self.target.is_loopback || body.len() < COMPRESS_FROM_BYTES {
            return (Cow::Borrowed(body), None);
        }
        let (packed, encoding) = match form {
            WireForm::Values => (zstd::bulk::compress(body, 3), "zstd"),
            WireForm::Text => (gzip(body), "gzip"),
        };
        match packed {
            Ok(packed) => (Cow::Owned(packed), Some(encoding)),
            Err(_) => (Cow::Borrowed(body), None),
        }
    }
}

/// What speaks to a target, under its proxy and with the certificates that are trusted now.
fn agent_for(target: &Target) -> Result<Agent, Trouble> {
    let tls =
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_send_body(Some(SEND_TIMEOUT))
        .timeout_recv_response(Some(ANSWER_TIMEOUT))
        .timeout_recv_body(Some(ANSWER_TIMEOUT))
        .user_agent(concat!("staso-sdk/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .proxy(proxy_for(target)?);
    Ok(config.build().new_agent())
}

fn proxy_for(target: &Target) -> Result<Option<Proxy>, Trouble> {
    let named = target.network.proxy.as_ref().filter(|_| !target.is_loopback);
    let Some(named) = named else { return Ok(None) };
    match Proxy::new(&named.url) {
        Ok(proxy) if matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) => {
            Ok(Some(proxy))
        }
        _ => Err(Trouble::unusable(named)),
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let level = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), level);
    encoder.write_all(body)?;
    encoder.finish()
}

fn form_of(headers: &HeaderMap) -> WireForm {
    let has_any = headers
        .get("Staso-Capabilities")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|words| !words.trim().is_empty());
    if has_any { WireForm::Values } else { WireForm::Text }
}

/// Why an answer without capabilities does not mean an older server, which says "not found" or that
/// it is well: whoever is busy, failing or in between has said nothing yet, and what the older form
/// leaves out of a batch could not be sent later.
fn says_nothing(status: u16) -> Option<FailureKind> {
    match status {
        408 => Some(FailureKind::Timeout),
        429 => Some(FailureKind::RateLimited),
        300..=399 => Some(FailureKind::MalformedResponse),
        500.. => Some(FailureKind::BackendUnavailable),
        _ => None,
    }
}

fn read_answer(response: &mut Response<Body>) -> Vec<u8> {
    let reader = response.body_mut().with_config().limit(ANSWER_MAX_BYTES);
    reader.read_to_vec().unwrap_or_default()
}

/// The contract of an acknowledgement: it counts the traces that were sent and names the batch.
fn acknowledges(answer: &[u8], traces: usize, key: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Receipt {
        accepted: u64,
        receipt_id: String,
    }
    serde_json::from_slice::<Receipt>(answer).is_ok_and(|receipt| {
        receipt.accepted == traces as u64 && receipt.receipt_id.eq_ignore_ascii_case(key)
    })
}

fn outcome_of_status(response: &Response<Body>, text: &[u8]) -> Outcome {
    let wait = retry_after(response.headers());
    match response.status().as_u16() {
        200..=299 => Outcome::Delivered,
        401 => Outcome::Pause(FailureKind::InvalidKey),
        402 => Outcome::Pause(FailureKind::PlanExpired),
        403 => Outcome::Pause(FailureKind::Forbidden),
        408 => Outcome::Retry(FailureKind::Timeout, wait),
        413 => Outcome::TooLarge,
        429 => Outcome::Retry(FailureKind::RateLimited, wait),
        status @ 400..=499 => {
            let text = String::from_utf8_lossy(&text[..text.len().min(2_000)]);
            Outcome::Refused(format!("{status}: {text}"))
        }
        500.. => Outcome::Retry(FailureKind::BackendUnavailable, wait),
        // A redirect is not followed: content goes only where it was told to go.
        _ => Outcome::Retry(FailureKind::MalformedResponse, wait),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get("Retry-After")?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_RETRY_AFTER))
}

fn outcome_of_error(error: &ureq::Error) -> Outcome {
    let kind = match error {
        ureq::Error::Timeout(_) => FailureKind::Timeout,
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            FailureKind::Timeout
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            FailureKind::MalformedResponse
        }
        _ => FailureKind::NetworkUnavailable,
    };
    Outcome::Retry(kind, None)
}
