//! A small real HTTP server that answers as it is told and remembers what it accepted.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest any test waits for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What the peer does with the next ingest request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Takes it, as the contract says.
    Accept,
    /// Takes it, but the connection ends before the answer.
    AcceptThenHangUp,
    /// Answers this status.
    Status(u16),
    /// 429 with `Retry-After: 1`.
    Busy,
    /// 200 with something else than a receipt.
    Garbage,
    /// Not HTTP.
    Noise,
    /// Never answers.
    Hang,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) answer: Answer,
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    fallback: Option<Answer>,
    max_spans: Option<usize>,
    requests: Vec<Request>,
}

/// The peer. Its threads end with the test program.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) url: String,
    is_modern: bool,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Peer {
    /// `is_modern`: it sends `Staso-Capabilities`.
    pub(crate) fn start(is_modern: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let peer = Self { url, is_modern, state: Arc::default() };
        let own = peer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let peer = own.clone();
                std::thread::spawn(move || peer.serve(stream));
            }
        });
        peer
    }

    /// What it does with the next ingest requests, in order; afterwards it accepts.
    pub(crate) fn script(&self, answers: &[Answer]) {
        self.state.0.lock().unwrap().script.extend(answers);
    }

    /// What it does when the script is over.
    pub(crate) fn otherwise(&self, answer: Answer) {
        self.state.0.lock().unwrap().fallback = Some(answer);
    }

    /// Answers 413 to batches of more spans than this.
    pub(crate) fn limit_spans(&self, max: usize) {
        self.state.0.lock().unwrap().max_spans = Some(max);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.0.lock().unwrap().requests.clone()
    }

    /// Ingest requests, heartbeats and goodbyes left out.
    pub(crate) fn batches(&self) -> Vec<Request> {
        self.requests().into_iter().filter(is_batch).collect()
    }

    /// See [`stored`].
    pub(crate) fn stored(&self) -> Vec<String> {
        stored(&self.requests())
    }

    /// Waits until this holds of the requests so far.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&[Request]) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        while !holds(&state.requests) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never saw {what}: {:#?}", state.requests);
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader) {
            if self.answer(&mut stream, request).is_none() {
                return;
            }
        }
    }

    /// `None` when the connection is over.
    fn answer(&self, stream: &mut TcpStream, mut request: Request) -> Option<()> {
        let is_ingest = is_batch(&request);
        let traces = request.body["traces"].as_array().map_or(0, Vec::len);
        let key = request.headers.get("idempotency-key").cloned().unwrap_or_default();
        let answer = {
            let mut state = self.state.0.lock().unwrap();
            let too_many = state.max_spans.is_some_and(|max| spans(&request.body).len() > max);
            let fallback = state.fallback.unwrap_or(Answer::Accept);
            request.answer = match is_ingest {
                true if too_many => Answer::Status(413),
                true => state.script.pop_front().unwrap_or(fallback),
                false => Answer::Accept,
            };
            state.requests.push(request.clone());
            request.answer
        };
        self.state.1.notify_all();
        let receipt = format!(
            "{{\"accepted\":{traces},\"rejected\":0,\"spans_dropped\":0,\"receipt_id\":\"{key}\"}}"
        );
        match answer {
            Answer::Accept => match request.path.as_str() {
                "/api/health" if !self.is_modern => self.write(stream, 404, "", "{}"),
                path if path.ends_with("/annotations") => self.write(stream, 201, "", "{}"),
                _ => self.write(stream, 200, "", &receipt),
            },
            Answer::Status(status) => self.write(stream, status, "", "{\"error\":{}}"),
            Answer::Busy => self.write(stream, 429, "Retry-After: 1\r\n", "{}"),
            Answer::Garbage => self.write(stream, 200, "", "<html>sign in</html>"),
            Answer::Noise => stream.write_all(b"\x00\x01garbage\r\n\r\n").ok().and(None),
            Answer::AcceptThenHangUp => None,
            Answer::Hang => loop {
                std::thread::park();
            },
        }
    }

    fn write(&self, stream: &mut TcpStream, status: u16, more: &str, body: &str) -> Option<()> {
        let modern = if self.is_modern { "Staso-Capabilities: values, zstd\r\n" } else { "" };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{modern}{more}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).ok()
    }
}

/// The names of accepted finished spans, as a server that knows receipts stores them: one batch
/// key counts once.
pub(crate) fn stored(requests: &[Request]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut names = Vec::new();
    for request in requests.iter().filter(|request| is_batch(request)) {
        let is_taken = matches!(request.answer, Answer::Accept | Answer::AcceptThenHangUp);
        let key = &request.headers["idempotency-key"];
        if is_taken && !seen.contains(key) {
            seen.push(key.clone());
            names.extend(spans(&request.body).into_iter().filter(|span| !is_open(span)).map(name));
        }
    }
    names
}

fn is_batch(request: &Request) -> bool {
    request.path == "/v1/traces/ingest" && request.body.get("processes").is_none()
}

/// Every span object of a body.
pub(crate) fn spans(body: &Value) -> Vec<Value> {
    let traces = body["traces"].as_array().cloned().unwrap_or_default();
    traces.iter().flat_map(|trace| trace["spans"].as_array().cloned().unwrap_or_default()).collect()
}

pub(crate) fn is_open(span: &Value) -> bool {
    span["provisional"] == true
}

fn name(span: Value) -> String {
    span["name"].as_str().unwrap().to_owned()
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Some(Request { path, headers, body, answer: Answer::Accept })
}
