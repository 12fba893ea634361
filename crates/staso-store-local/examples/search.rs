//! Search, measured over a generated store of conversations whose prompts grow.
//!
//! `cargo run --release -p staso-store-local --example search [dir] [spans]`. Each trace is a turn of four
//! calls, each of which sends the whole conversation so far; words are drawn from a skewed vocabulary.
//! Prints how much text there is, and for phrases that are absent, rare and common the time to the
//! first hit and to the end, and how much text was looked through per second. The scan has one thread.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use staso_model::{Payload, Span, SpanId, SpanKind, Stage, TraceId, Version};
use staso_store::query::Filter;
use staso_store::search::SearchQuery;
use staso_store::{Batch, Store, StoreError};
use staso_store_local::{LocalStore, Options};
use tokio::sync::mpsc;

const BATCH: usize = 500;
const ROUNDS: usize = 5;
const CONVERSATIONS: usize = 40;
const KEPT_MESSAGES: usize = 8;
const CALLS: u64 = 4;
/// 2026-06-01T00:00:00Z.
const BEGIN_NS: i64 = 1_780_272_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// Small, fast and the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    /// A few words are frequent, most are rare.
    fn word(&mut self) -> String {
        let rank = self.below(20_000) * self.below(20_000) * self.below(20_000) / 400_000_000;
        let mut letters = Random(rank * 0x9e37_79b9 + 0x1234_5677);
        (0..3 + rank % 8)
            .map(|_| char::from(b"etaoinshrdlucmfwypvbgkqjxz"[letters.below(26) as usize]))
            .collect()
    }

    fn text(&mut self, words: u64) -> String {
        let words: Vec<String> = (0..words).map(|_| self.word()).collect();
        words.join(" ")
    }
}

fn message(role: &str, text: &str) -> String {
    format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}")
}

/// One turn: its calls, each with everything that was said before.
fn turn(random: &mut Random, number: u64, said: &mut Vec<String>) -> Vec<Span> {
    let trace_id = TraceId(u128::from(number + 1).to_be_bytes());
    said.push(message("user", &random.text(60)));
    let calls = (1..=CALLS).map(|call| {
        let mut span = Span::new("default", trace_id, SpanId::from_w3c(call.to_be_bytes()));
        span.parent_span_id = (call > 1).then(|| SpanId::from_w3c(1_u64.to_be_bytes()));
        span.name = "chat".into();
        span.kind = SpanKind::Llm;
        span.session_id = Some(format!("c-{}", number % CONVERSATIONS as u64));
        span.start_ns = BEGIN_NS + (number * CALLS + call).cast_signed() * SECOND_NS;
        span.end_ns = Some(span.start_ns + SECOND_NS);
        let rare = if number % 2_500 == 7 && call == 2 { " Quarterly Anomaly 订单 " } else { "" };
        let answer = message("assistant", &format!("{}{rare}", random.text(90)));
        span.input = Some(Payload::json(format!("{{\"messages\":[{}]}}", said.join(","))));
        span.output = Some(Payload::json(answer.clone()));
        span.version = Version {
            stage: Stage::Ended,
            client: 0,
            received_ns: span.start_ns,
            sequence: number * CALLS + call,
        };
        said.push(answer);
        span
    });
    let spans = calls.collect();
    let first = said.len().saturating_sub(KEPT_MESSAGES);
    said.drain(..first);
    spans
}

/// Fills the store and answers how many bytes of text it has.
async fn fill(store: &LocalStore, spans: u64) -> Result<u64, StoreError> {
    let mut random = Random(7);
    let mut said = vec![Vec::new(); CONVERSATIONS];
    let (mut waiting, mut bytes) = (Vec::new(), 0);
    for number in 0..spans / CALLS {
        let conversation = (number % CONVERSATIONS as u64) as usize;
        waiting.extend(turn(&mut random, number, &mut said[conversation]));
        if waiting.len() >= BATCH || number + 1 == spans / CALLS {
            let spans = std::mem::take(&mut waiting);
            let text = |payload: &Option<Payload>| payload.as_ref().map_or(0, |it| it.text.len());
            bytes += spans.iter().map(|s| text(&s.input) + text(&s.output)).sum::<usize>() as u64;
            let batch = Batch { workspace: "default".into(), spans, ..Batch::default() };
            store.append(batch).await?;
        }
    }
    store.flush().await?;
    Ok(bytes)
}

/// How many hits a phrase has, and the time to the first and to the end.
async fn ask(store: &LocalStore, text: &str) -> Result<(usize, Duration, Duration), StoreError> {
    let query = SearchQuery {
        workspace: "default".into(),
        text: text.into(),
        environment: None,
        filter: Filter::everything(),
        from_ns: None,
        to_ns: None,
        after: None,
        limit: 50,
        give_up_after: None,
        now_ns: 0,
    };
    let (sender, mut hits) = mpsc::channel(100);
    let begun = Instant::now();
    let taking = async {
        let (mut count, mut first) = (0, None);
        while hits.recv().await.is_some() {
            first.get_or_insert(begun.elapsed());
            count += 1;
        }
        (count, first)
    };
    let (end, (count, first)) = tokio::join!(store.search(&query, sender), taking);
    end?;
    let whole = begun.elapsed();
    Ok((count, first.unwrap_or(whole), whole))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("staso-search"), PathBuf::from);
    let spans: u64 = args.next().map_or(Ok(40_000), |spans| spans.parse())?;
    let store = LocalStore::open(&dir, &Options::default())?;
    let bytes = fill(&store, spans).await?;
    println!("{spans} spans, {:.2} GB of text, {} bytes a span", bytes as f64 / 1e9, bytes / spans);
    let frequent = Random(3).text(1);
    for (what, text) in [
        ("absent, Latin", "quarterly reconciliation anomaly"),
        ("absent, Chinese", "数据库连接失败"),
        ("absent, Cyrillic (every letter has two cases)", "квартальная сверка"),
        ("rare, Latin, another case", "quarterly anomaly"),
        ("rare, Chinese", "订单"),
        ("a common word, 50 hits", "content"),
        ("some word, 50 hits", frequent.as_str()),
    ] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(ask(&store, text).await?);
        }
        times.sort_by_key(|(_, _, whole)| *whole);
        let (hits, first, whole) = times[ROUNDS / 2];
        let rate = if hits < 50 { bytes as f64 / 1e9 / whole.as_secs_f64() } else { f64::NAN };
        println!(
            "{what:<46} {hits:>3} hits, first {:>7.1} ms, end {:>7.1} ms, {rate:>5.2} GB/s",
            first.as_secs_f64() * 1e3,
            whole.as_secs_f64() * 1e3,
        );
    }
    store.close().await?;
    Ok(())
}
