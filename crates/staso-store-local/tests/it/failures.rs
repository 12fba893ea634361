//! A full disk, and bytes that are not what was written.

use rusqlite::Connection;
use staso_model::Payload;
use staso_store::query::{Filter, Sort, TraceQuery};
use staso_store::{Sign, Store, StoreError};
use staso_store_local::{LocalStore, Options};

use super::{batch, held, signs, span};

fn everything() -> TraceQuery {
    TraceQuery {
        workspace: "default".to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        sort: Sort::Start,
        after: None,
        limit: 1000,
        now_ns: 0,
    }
}

/// A batch that does not compress, of about a megabyte.
fn bulky(trace: u64) -> staso_store::Batch {
    let mut noise = trace.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        char::from(b'!' + u8::try_from(noise % 90).unwrap())
    };
    let mut bulky = span(trace, 1);
    bulky.input = Some(Payload::text((0..1 << 20).map(|_| letter()).collect::<String>()));
    batch(vec![bulky])
}

/// Full: refused whole, everything stays readable. Room again: accepted, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: Some(4 << 20), ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    let mut kept = 0;
    let error = loop {
        match store.append(bulky(kept + 1)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    assert!((1..10).contains(&kept), "{kept}");
    assert_eq!(store.traces(&everything()).await.unwrap().rows.len() as u64, kept);
    assert_eq!(store.stats().await.unwrap().spans, kept);
    let again = store.append(bulky(kept + 1)).await;
    assert!(matches!(again, Err(StoreError::DiskFull)), "{again:?}");
    store.set_max_bytes(64 << 20).await.unwrap();
    store.append(bulky(kept + 1)).await.unwrap();
    assert_eq!(store.stats().await.unwrap().spans, kept + 1);
    drop(store);
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.traces(&everything()).await.unwrap().rows.len() as u64, kept + 1);
}

/// Overwrites columns of the catalog behind the store's back, while it is closed.
fn damage(dir: &std::path::Path, sql: &str) {
    let conn = Connection::open(dir.join("catalog.db")).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
}

/// A damaged span says so by its id; its trace, its siblings and the list go on without it.
#[tokio::test]
async fn a_damaged_span_hides_nothing_else() {
    for column in ["head", "payload", "version"] {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        let mut broken = span(1, 2);
        broken.input = Some(Payload::text("to be damaged"));
        append(&store, vec![span(1, 1), broken.clone(), span(2, 1)]).await;
        drop(store);
        damage(dir.path(), &format!("UPDATE spans SET {column} = x'00' WHERE span_row = 2"));

        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        let trace_id = broken.trace_id;
        let found = store.span("default", &trace_id, &broken.span_id).await;
        assert!(matches!(found, Err(StoreError::Damaged { .. })), "{column}: {found:?}");
        let trace = store.trace("default", &trace_id, true, 0).await.unwrap().unwrap();
        assert_eq!(trace.spans.len(), 1, "{column}");
        assert_eq!(store.traces(&everything()).await.unwrap().rows.len(), 2);

        // A new report of it mends it, and the trace can grow.
        broken.version.client = 1;
        append(&store, vec![broken.clone(), span(1, 3)]).await;
        let mended = store.span("default", &trace_id, &broken.span_id).await.unwrap();
        assert_eq!(mended.map(|found| found.span), Some(broken), "{column}");
        let row = store.trace_row("default", &trace_id, 0).await.unwrap().unwrap();
        assert_eq!(row.span_count, 3, "{column}");
    }
}

/// What is closed for a dead process is closed beside a damaged span of the same process.
#[tokio::test]
async fn a_damaged_span_keeps_no_other_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let spans = [1, 2, 3].map(|id| held(1, id));
    append(&store, spans.to_vec()).await;
    drop(store);
    damage(dir.path(), "UPDATE spans SET payload = x'00' WHERE span_row = 2");
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(signs(&[Sign::Goodbye(9)], 1)).await.unwrap();
    let row = store.trace_row("default", &spans[0].trace_id, 0).await.unwrap().unwrap();
    let counts = (row.span_count, row.open_count, row.error_count);
    assert_eq!(counts, (2, 0, 2), "what is damaged counts nowhere");
}

/// A damaged row is computed anew from its spans.
#[tokio::test]
async fn a_damaged_row_is_recomputed() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    append(&store, vec![span(1, 1), span(1, 2), span(2, 1)]).await;
    let before = store.traces(&everything()).await.unwrap();
    drop(store);
    damage(dir.path(), "UPDATE traces SET record = x'0102'");
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.traces(&everything()).await.unwrap(), before);
}

async fn append(store: &LocalStore, spans: Vec<staso_model::Span>) {
    store.append(batch(spans)).await.unwrap();
}
