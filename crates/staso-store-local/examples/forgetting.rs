//! Deletion, retention and compaction, timed over a generated store of narrow spans.
//!
//! `cargo run --release -p staso-store-local --example forgetting [dir] [spans]`, into a directory that is empty.
//! Thirty days of traces of eight spans; one trace is deleted, then five of the thirty days go, and all is
//! compacted, while one task appends a span and another reads one trace again and again: the longest that
//! either waited is printed beside each.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use staso_model::{Span, SpanId, SpanKind, Stage, TraceId, Usage, Version};
use staso_store::{Batch, Deletion, Retention, Store, StoreError, Target};
use staso_store_local::{LocalStore, Options};

const BATCH: usize = 500;
const SPANS: u64 = 8;
const DAY_NS: i64 = 86_400_000_000_000;
/// 2026-05-31T00:00:00Z.
const BEGIN_NS: i64 = 1_780_185_600_000_000_000;
const DAYS: i64 = 30;

/// Scattered ids, the same on every run.
fn id(n: u64) -> [u8; 16] {
    (u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1).to_be_bytes()
}

fn trace(number: u64, start_ns: i64) -> impl Iterator<Item = Span> {
    let trace_id = TraceId(id(number));
    let span_id = move |i| SpanId(id((number << 8) + i + 1));
    (0..SPANS).map(move |i| {
        let mut span = Span::new("default", trace_id, span_id(i));
        span.parent_span_id = (i > 0).then(|| span_id(0));
        span.start_ns = start_ns + i64::try_from(i).unwrap_or(0) * 1_500_000;
        span.end_ns = Some(span.start_ns + 1_000_000);
        span.name =
            ["turn", "chat", "search", "refund"][usize::try_from(i % 4).unwrap_or(0)].into();
        span.kind = if i % 2 == 1 { SpanKind::Llm } else { SpanKind::Tool };
        span.agent_name = Some(format!("agent-{}", number % 50));
        span.session_id = Some(format!("conversation-{}", number / 6));
        span.user_id = Some(format!("user-{}", number % 2_000));
        if i % 2 == 1 {
            span.model = Some(format!("model-{}", number % 20));
            let (input, output) = (number.cast_signed() % 8_000, number.cast_signed() % 900);
            span.usage =
                Usage { input_uncached: Some(input), output: Some(output), ..Usage::default() };
        }
        let sequence = number * 16 + i + 1;
        span.version = Version { stage: Stage::Ended, client: 0, received_ns: start_ns, sequence };
        span
    })
}

fn batch(spans: Vec<Span>, received_ns: i64) -> Batch {
    Batch { workspace: "default".into(), spans, received_ns, ..Batch::default() }
}

async fn fill(store: &LocalStore, spans: u64) -> Result<(), StoreError> {
    let traces = spans / SPANS;
    let step_ns = DAYS * DAY_NS / traces.cast_signed();
    let mut waiting = Vec::new();
    for number in 0..traces {
        let start_ns = BEGIN_NS + number.cast_signed() * step_ns;
        waiting.extend(trace(number, start_ns));
        if waiting.len() >= BATCH || number + 1 == traces {
            store.append(batch(std::mem::take(&mut waiting), start_ns)).await?;
        }
    }
    store.flush().await
}

/// The longest wait of a kind, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Longest {
    append: f64,
    read: f64,
}

/// Appends and reads until told to stop.
async fn watch(store: Arc<LocalStore>, until: Arc<AtomicBool>, number: u64) -> Longest {
    let mut longest = Longest::default();
    let now_ns = BEGIN_NS + DAYS * DAY_NS;
    let known = TraceId(id(number));
    let mut next = u64::MAX >> 16;
    while !until.load(Ordering::Relaxed) {
        let began = Instant::now();
        let appended = store.append(batch(trace(next, now_ns).take(1).collect(), now_ns)).await;
        longest.append = longest.append.max(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let read = store.trace_row("default", &known, now_ns).await;
        longest.read = longest.read.max(began.elapsed().as_secs_f64() * 1e3);
        if appended.is_err() || read.is_err() {
            break;
        }
        next += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    longest
}

/// Prints how long it took, and how long others waited meanwhile.
async fn timed(
    name: &str,
    store: &Arc<LocalStore>,
    kept: u64,
    work: impl Future<Output = Result<String, StoreError>>,
) -> Result<(), StoreError> {
    let stop = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(Arc::clone(store), Arc::clone(&stop), kept));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let told = work.await?;
    let millis = began.elapsed().as_secs_f64() * 1e3;
    stop.store(true, Ordering::Relaxed);
    let Longest { append, read } = watching.await.unwrap_or_default();
    println!(
        "{name:<24} {millis:>9.1} ms; longest append {append:.1} ms, read {read:.1} ms; {told}"
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let mut arguments = std::env::args().skip(1);
    let dir =
        arguments.next().map_or_else(|| std::env::temp_dir().join("forgetting"), PathBuf::from);
    let spans = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let store = Arc::new(LocalStore::open(&dir, &Options::default())?);
    let before = Instant::now();
    fill(&store, spans).await?;
    println!("filled in {:.1} s", before.elapsed().as_secs_f64());
    let last = spans / SPANS - 1;
    let size = || async {
        store.stats().await.map(|it| format!("{} spans, {} MB", it.spans, it.bytes >> 20))
    };
    println!("{}", size().await?);
    timed("nothing, for comparison", &store, last, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        size().await
    })
    .await?;
    for n in 1..=5 {
        let target = Target::Trace(TraceId(id(last / 2 + n)));
        let deletion = Deletion { workspace: "default".into(), target, at_ns: BEGIN_NS };
        timed("one trace deleted", &store, last, async {
            store.delete(&deletion).await.map(|deleted| format!("{} spans", deleted.spans))
        })
        .await?;
    }
    let before_ns = Some(BEGIN_NS + 5 * DAY_NS);
    let retention = Retention { workspace: "default".into(), before_ns, max_bytes: None };
    timed("5 of 30 days", &store, last, async {
        store.retain(&retention).await.map(|retained| format!("{retained:?}"))
    })
    .await?;
    timed("compaction of all", &store, last, async {
        store.compact().await?;
        size().await
    })
    .await?;
    println!("{}", size().await?);
    store.close().await
}
