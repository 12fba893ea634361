//! Durable ingest, measured: spans per second and CPU per span of one store in one directory.
//!
//! `cargo run --release -p staso-store-local --example ingest [dir] [spans] [batch]`. Every batch
//! carries a receipt; four appends are under way at a time. The spans are those of agents at work:
//! conversations of several turns, each a trace of eight spans or so, every model call sending the
//! history again, so that prompts grow; about 7 KB a span. Sentences come from a fixed pool.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use staso_model::{Payload, Span, SpanId, SpanKind, SpanStatus, Stage, TraceId, Value, Version};
use staso_store::{Batch, ReceiptKey, Store, StoreError};
use staso_store_local::{LocalStore, Options};

const IN_FLIGHT: usize = 4;
const CONVERSATIONS: u64 = 500;
const SENTENCES: usize = 20_000;
const VOCABULARY: usize = 6_000;

/// Small, fast and the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or_default() % n
    }

    fn id(&mut self) -> [u8; 16] {
        ((u128::from(self.next()) << 64) | u128::from(self.next())).to_be_bytes()
    }
}

/// Where texts come from.
struct Pool(Vec<String>);

impl Pool {
    fn new(random: &mut Random) -> Self {
        let mut word = || -> String {
            let length = 2 + random.below(8);
            (0..length)
                .map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap_or(0)))
                .collect()
        };
        let words: Vec<String> = (0..VOCABULARY).map(|_| word()).collect();
        let mut sentence = || {
            // The smaller of three draws: few words are frequent, most are rare.
            let mut pick = || (0..3).map(|_| random.below(VOCABULARY)).min().unwrap_or(0);
            let parts: Vec<&str> = (0..14).map(|_| words[pick()].as_str()).collect();
            parts.join(" ") + "."
        };
        Self((0..SENTENCES).map(|_| sentence()).collect())
    }

    fn text(&self, random: &mut Random, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 100);
        while text.len() < bytes {
            text.push_str(&self.0[random.below(SENTENCES)]);
            text.push(' ');
        }
        text
    }

    /// Mostly a few hundred bytes, sometimes many thousand.
    fn some_text(&self, random: &mut Random) -> String {
        let length = match random.below(10) {
            0..5 => 200,
            5..8 => 700,
            8 => 2_000,
            _ => 6_000,
        };
        self.text(random, length)
    }
}

fn message(role: &str, content: &str) -> String {
    format!("{{\"role\":\"{role}\",\"content\":\"{content}\"}}")
}

/// Makes traces, one turn of a conversation each.
struct Agents {
    random: Random,
    pool: Pool,
    systems: Vec<String>,
    histories: Vec<Vec<String>>,
    sequence: u64,
}

impl Agents {
    fn new() -> Self {
        let mut random = Random(0x5eed_5eed_5eed_5eed);
        let pool = Pool::new(&mut random);
        let system = |i: usize| message("system", &pool.text(&mut random, 800 + 60 * i));
        let systems = (0..50).map(system).collect();
        let histories = vec![Vec::new(); usize::try_from(CONVERSATIONS).unwrap_or(1)];
        Self { random, pool, systems, histories, sequence: 0 }
    }

    /// The spans of one turn.
    fn turn(&mut self) -> Vec<Span> {
        let conversation = self.random.below(self.histories.len());
        let agent = conversation % self.systems.len();
        let trace_id = TraceId(self.random.id());
        let question = self.pool.some_text(&mut self.random);
        let mut messages = vec![self.systems[agent].clone()];
        messages.extend(self.histories[conversation].iter().cloned());
        messages.push(message("user", &question));
        let asked = Payload::json(format!("{{\"input\":\"{question}\"}}"));
        let mut spans = Vec::new();
        let mut add = |agents: &mut Self, kind, parent, input, output| {
            let span =
                agents.span(trace_id, conversation, spans.len(), kind, parent, input, output);
            spans.push(span);
        };
        let documents = (0..3).map(|_| self.pool.some_text(&mut self.random)).collect::<Vec<_>>();
        add(self, SpanKind::Agent, None, asked.clone(), Payload::text(""));
        add(self, SpanKind::Chain, Some(0), asked.clone(), Payload::text(""));
        add(self, SpanKind::Retriever, Some(1), asked, Payload::json(format!("{documents:?}")));
        let mut answer = String::new();
        for call in 0..2 {
            let prompt = Payload::json(format!("{{\"messages\":[{}]}}", messages.join(",")));
            answer = self.pool.some_text(&mut self.random);
            let said = message("assistant", &answer);
            add(self, SpanKind::Llm, Some(1), prompt, Payload::json(said.clone()));
            messages.push(said);
            for _ in 0..2 - call {
                let query = Payload::json(format!(
                    "{{\"query\":\"{}\"}}",
                    self.pool.text(&mut self.random, 60)
                ));
                let result = self.pool.some_text(&mut self.random);
                add(self, SpanKind::Tool, Some(1), query, Payload::text(result.clone()));
                messages.push(message("tool", &result));
            }
        }
        let history = &mut self.histories[conversation];
        history.extend([message("user", &question), message("assistant", &answer)]);
        let excess = history.len().saturating_sub(8);
        history.drain(..excess);
        spans
    }

    #[expect(clippy::too_many_arguments, reason = "a span has many parts")]
    fn span(
        &mut self,
        trace_id: TraceId,
        conversation: usize,
        place: usize,
        kind: SpanKind,
        parent: Option<u64>,
        input: Payload,
        output: Payload,
    ) -> Span {
        let id = |n: u64| SpanId::from_w3c((n + 1).to_be_bytes());
        self.sequence += 1;
        let start_ns =
            1_700_000_000_000_000_000 + i64::try_from(self.sequence).unwrap_or(0) * 50_000_000;
        let is_call = kind == SpanKind::Llm;
        let version = Version {
            stage: Stage::Ended,
            client: 0,
            received_ns: start_ns + 900,
            sequence: self.sequence,
        };
        let text = |key: &str, value: &str| (key.to_owned(), Value::from(value));
        Span {
            parent_span_id: parent.map(id),
            version,
            name: format!("{} {}", kind.as_str(), place),
            kind,
            start_ns,
            end_ns: Some(start_ns + 30_000_000),
            status: SpanStatus::Ok,
            input: Some(input),
            output: Some(output),
            attributes: vec![
                text("user_tier", ["free", "silver", "gold"][conversation % 3]),
                text("region", ["eu-west-1", "us-east-1"][conversation % 2]),
                text("telemetry.sdk.language", "python"),
                text("request_id", &format!("{:016x}", self.random.next())),
                ("retries".to_owned(), Value::Int(0)),
            ],
            environment: Some("production".to_owned()),
            service: Some("support-desk".to_owned()),
            agent_name: Some(format!("agent-{}", conversation % 50)),
            session_id: Some(format!("session-{conversation}")),
            user_id: Some(format!("user-{}", conversation % 97)),
            model: is_call.then(|| "model-large".to_owned()),
            cost_nano_usd: is_call.then_some(250_000),
            ..Span::new("default", trace_id, id(place as u64))
        }
    }
}

fn batches(spans: u64, batch: usize) -> Vec<Batch> {
    let mut agents = Agents::new();
    let mut all = Vec::new();
    while (all.len() as u64) < spans {
        all.extend(agents.turn());
    }
    let mut made = Vec::new();
    let mut all = all.into_iter().peekable();
    while all.peek().is_some() {
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(&agents.random.id());
        made.push(Batch {
            workspace: "default".to_owned(),
            receipt: Some(ReceiptKey { key: format!("batch-{}", made.len()), digest }),
            reply: b"{}".to_vec(),
            spans: all.by_ref().take(batch).collect(),
            received_ns: 1_700_000_000_000_000_000,
            ..Batch::default()
        });
    }
    made
}

/// Bytes of input and output.
fn payload_bytes(batches: &[Batch]) -> u64 {
    let length = |payload: &Option<Payload>| payload.as_ref().map_or(0, |p| p.text.len() as u64);
    batches.iter().flat_map(|b| &b.spans).map(|s| length(&s.input) + length(&s.output)).sum()
}

/// CPU time of this process, in seconds, user and system, from `/proc/self/stat`.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn argument(n: usize, default: u64) -> u64 {
    std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let dir =
        std::env::args().nth(1).map_or_else(|| PathBuf::from("bench-data/ingest"), PathBuf::from);
    let (spans, batch) = (argument(2, 60_000), argument(3, 500));
    let store = Arc::new(LocalStore::open(&dir, &Options::default())?);
    let batches = batches(spans, usize::try_from(batch.max(1)).unwrap_or(1));
    let payload = payload_bytes(&batches) as f64;
    let (began, cpu_began) = (Instant::now(), cpu_secs());
    let mut lanes: Vec<Vec<Batch>> = (0..IN_FLIGHT).map(|_| Vec::new()).collect();
    for (i, batch) in batches.into_iter().enumerate() {
        lanes[i % IN_FLIGHT].push(batch);
    }
    let mut tasks = Vec::new();
    for lane in lanes {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut slowest = std::time::Duration::ZERO;
            for batch in lane {
                let sent = Instant::now();
                store.append(batch).await?;
                slowest = slowest.max(sent.elapsed());
            }
            Ok::<_, StoreError>(slowest)
        }));
    }
    let mut slowest = std::time::Duration::ZERO;
    for task in tasks {
        let lane = task.await.map_err(|e| StoreError::Engine(e.to_string()))??;
        slowest = slowest.max(lane);
    }
    let (secs, cpu) = (began.elapsed().as_secs_f64(), cpu_secs() - cpu_began);
    let stats = store.stats().await?;
    let count = spans as f64;
    println!(
        "{spans} spans of {:.0} payload bytes in batches of {batch}: {:.0} spans/s durable, \
         {:.1} MB/s, {:.1} µs CPU per span, slowest append {slowest:?}, {:.0} bytes per span on disk",
        payload / count,
        count / secs,
        payload / secs / 1e6,
        cpu * 1e6 / count,
        stats.bytes as f64 / stats.spans.max(1) as f64,
    );
    store.close().await
}
