//! Search over files that are not what they were: what is damaged is left out, what is refused is an
//! error, and everything else is found.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use staso_model::{Payload, Span, SpanId};
use staso_store::query::Filter;
use staso_store::search::{SearchHit, SearchQuery};
use staso_store::{Store, StoreError};
use staso_store_local::{LocalStore, Options};
use tokio::sync::mpsc;

use crate::{batch, span};

const SPANS: u64 = 64;

/// Spans with texts that hardly compress, so that a byte of the file belongs to one page.
fn spans() -> Vec<Span> {
    let mut state = 7_u64;
    let mut letter = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 20).unwrap())
    };
    let mut filled = |id: u64| {
        let noise: String = (0..60_000).map(|_| letter()).collect();
        let mut span = span(id, id);
        span.input = Some(Payload::text(format!("{noise} Zuletzt {id}.")));
        span
    };
    (1..=SPANS).map(&mut filled).collect()
}

fn phrase(text: &str) -> SearchQuery {
    SearchQuery {
        workspace: "default".into(),
        text: text.into(),
        environment: None,
        filter: Filter::everything(),
        from_ns: None,
        to_ns: None,
        after: None,
        limit: 1000,
        give_up_after: None,
        now_ns: 0,
    }
}

async fn found(store: &LocalStore, text: &str) -> Result<Vec<SpanId>, StoreError> {
    let query = phrase(text);
    let (sender, mut hits) = mpsc::channel::<SearchHit>(1);
    let taking = async {
        let mut found = Vec::new();
        while let Some(hit) = hits.recv().await {
            found.push(hit.span_id);
        }
        found
    };
    let (end, found) = tokio::join!(store.search(&query, sender), taking);
    end.map(|_| found)
}

async fn flushed(dir: &Path) -> PathBuf {
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    store.append(batch(spans())).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let mut directory = dir.join("segments");
    loop {
        let entry = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        if entry.is_file() {
            return entry;
        }
        directory = entry;
    }
}

fn newest_first() -> Vec<SpanId> {
    (1..=SPANS).rev().map(|id| SpanId::from_w3c(id.to_be_bytes())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_costs_its_own_hits() {
    let dir = tempfile::tempdir().unwrap();
    let segment = flushed(dir.path()).await;
    let whole = fs::read(&segment).unwrap();
    for share in [10, 40, 70] {
        let mut bytes = whole.clone();
        let at = bytes.len() * share / 100;
        bytes[at] ^= 0x10;
        fs::write(&segment, &bytes).unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        let left = found(&store, "zuletzt").await.unwrap();
        // A page has a handful of these texts.
        assert!((40..SPANS as usize).contains(&left.len()), "{share} %: {} left", left.len());
        let mut wanted = newest_first();
        wanted.retain(|id| left.contains(id));
        assert_eq!(left, wanted);
        store.close().await.unwrap();
    }
    fs::write(&segment, &whole).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(found(&store, "ZULETZT").await.unwrap(), newest_first());
    assert_eq!(found(&store, "zuletzt 7.").await.unwrap(), [SpanId::from_w3c(7_u64.to_be_bytes())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_read_is_an_error_and_not_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let segment = flushed(dir.path()).await;
    let aside = dir.path().join("aside");
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    fs::rename(&segment, &aside).unwrap();
    fs::create_dir(&segment).unwrap();
    let refused = found(&store, "zuletzt").await;
    assert!(matches!(refused, Err(StoreError::Engine(_))), "{refused:?}");
    fs::remove_dir(&segment).unwrap();
    fs::rename(&aside, &segment).unwrap();
    assert_eq!(found(&store, "zuletzt").await.unwrap().len(), SPANS as usize);
}

/// Nobody takes the hits: when its time is up the search says where to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_listener_does_not_hold_the_search() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let said = |id: u64| Span { input: Some(Payload::text("zuletzt")), ..span(id, id) };
    store.append(batch((1..=4).map(said).collect())).await.unwrap();
    store.flush().await.unwrap();
    store.append(batch((5..=8).map(said).collect())).await.unwrap();
    let mut query = SearchQuery { give_up_after: Some(Duration::ZERO), ..phrase("zuletzt") };
    let mut all = Vec::new();
    loop {
        let (sender, mut hits) = mpsc::channel::<SearchHit>(1);
        let end = store.search(&query, sender).await.unwrap();
        while let Some(hit) = hits.recv().await {
            all.push(hit.span_id);
        }
        match end.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(all, newest_first()[newest_first().len() - 8..]);
}
