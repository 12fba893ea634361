//! What programs leave in the journal arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};
use staso_journal::{Destination, Journal, JournalOptions, Mode, RecordKind};
use staso_model::{ProcessId, SpanId, TraceId};

use crate::fixture::{Fixture, NOON_NS, TRACE, eventually};
use crate::live::Listener;

/// A program that records, as far as the journal is concerned.
struct Program {
    journal: Journal,
    trace_id: TraceId,
    spans: AtomicU64,
}

impl Program {
    fn start(fixture: &Fixture, process: u8, destination: Destination) -> Self {
        std::fs::create_dir_all(fixture.home()).unwrap();
        let dir = fixture.home().join("journal");
        let process_id = ProcessId([process; 16]);
        let options = JournalOptions::default();
        let journal = Journal::open(dir, destination, process_id, options).unwrap();
        Self { journal, trace_id: TRACE.parse().unwrap(), spans: AtomicU64::new(1) }
    }

    fn local(fixture: &Fixture, process: u8) -> Self {
        Self::start(fixture, process, Destination::local())
    }

    fn record(&self, kind: RecordKind, json: &serde_json::Value) {
        let n = self.spans.fetch_add(1, Ordering::Relaxed);
        let span_id = SpanId(u128::from(n).to_be_bytes());
        let mut json = json.clone();
        json["span_id"] = span_id.to_string().into();
        // Records begin with their start, as the recorder writes them.
        let text = format!("{{\"start_ns\":{NOON_NS},{}", &json.to_string()[1..]);
        self.journal.append(kind, &self.trace_id, &span_id, text.as_bytes()).unwrap();
    }

    /// A process that is killed leaves its presence file behind, unlocked.
    fn die(self, fixture: &Fixture, process: ProcessId) {
        drop(self);
        let presence = fixture.home().join("journal").join(format!("{process}.live"));
        std::fs::write(presence, b"").unwrap();
    }

    fn span(&self, name: &str) {
        self.record(RecordKind::Span, &json!({"name": name, "end_ns": NOON_NS + 5}));
    }
}

fn span_count(fixture: &Fixture) -> Option<u64> {
    let answer = fixture.get(&format!("/api/traces/{TRACE}"));
    (answer.status == 200).then(|| answer.json()["trace"]["span_count"].as_u64().unwrap())
}

fn segments(fixture: &Fixture) -> usize {
    let entries = std::fs::read_dir(fixture.home().join("journal")).unwrap();
    entries.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "seg")).count()
}

#[test]
fn a_server_started_later_shows_what_was_recorded_before() {
    let mut fixture = Fixture::stopped("");
    let program = Program::local(&fixture, 1);
    for n in 0..1200 {
        program.span(&format!("s{n}"));
    }
    drop(program);
    fixture.start();
    eventually("every span", || (span_count(&fixture) == Some(1200)).then_some(()));
    eventually("an empty journal", || (segments(&fixture) == 0).then_some(()));
    assert_eq!(fixture.read("/api/health")["ingest"]["journal_batches"], "3");
}

#[test]
fn a_running_server_takes_up_what_a_dead_program_left() {
    let fixture = Fixture::new();
    let program = Program::local(&fixture, 2);
    program.span("one");
    drop(program);
    eventually("the span", || span_count(&fixture));
}

#[test]
fn segments_of_living_programs_and_of_other_servers_are_left_alone() {
    let mut fixture = Fixture::stopped("");
    let alive = Program::local(&fixture, 3);
    alive.span("mine");
    let elsewhere = Destination {
        mode: Mode::Remote,
        base_url: "https://staso.example".into(),
        ..Destination::local()
    };
    let remote = Program::start(&fixture, 4, elsewhere);
    remote.span("not for you");
    drop(remote);
    // A third program's span says when the server has looked.
    let done = Program::local(&fixture, 5);
    done.spans.store(77, Ordering::Relaxed);
    done.span("done");
    drop(done);
    fixture.start();
    eventually("the third program's span", || span_count(&fixture));
    assert_eq!(span_count(&fixture), Some(1));
    assert_eq!(segments(&fixture), 2);
    drop(alive);
    eventually("the span of the program that ended", || {
        (span_count(&fixture) == Some(2)).then_some(())
    });
}

/// A program that was told this server's address journals for that address.
#[test]
fn what_a_dead_program_recorded_for_this_address_is_taken_up() {
    let fixture = Fixture::new();
    let port = fixture.address().port();
    let named = |process: u8, base_url: String| {
        let destination = Destination {
            mode: Mode::Remote,
            base_url,
            key_fingerprint: "0123456789abcdef".into(),
            ..Destination::local()
        };
        let program = Program::start(&fixture, process, destination);
        program.spans.store(u64::from(process), Ordering::Relaxed);
        program.span("named");
    };
    named(20, format!("http://127.0.0.1:{port}"));
    named(21, format!("http://localhost:{port}"));
    eventually("both spans", || (span_count(&fixture) == Some(2)).then_some(()));
    eventually("an empty journal", || (segments(&fixture) == 0).then_some(()));
}

/// What one span says of its end.
fn end_of(span: &Json) -> (bool, bool, &str, bool) {
    let status = span["status"].as_str().unwrap();
    let is_closed = span["metadata"]["staso.interrupted"] == true;
    (span["open"] == true, span["interrupted"] == true, status, is_closed)
}

#[test]
fn an_open_span_of_a_dead_program_is_closed_as_interrupted() {
    let fixture = Fixture::new();
    let process = ProcessId([6; 16]);
    let mut listener = Listener::open(&fixture, "/api/live", None);
    listener.next().unwrap();
    let program = Program::local(&fixture, 6);
    let id = process.to_uuid_text();
    let open = json!({"name": "open", "provisional": true, "process_id": id, "input": {"q": 1}});
    program.record(RecordKind::Provisional, &open);
    program.die(&fixture, process);
    let span = eventually("the closing", || {
        let answer = fixture.get(&format!("/api/spans/{TRACE}/{:032x}", 1));
        let span = (answer.status == 200).then(|| answer.json())?;
        (span["open"] == false).then_some(span)
    });
    assert_eq!(end_of(&span), (false, true, "error", true));
    assert_eq!(span["input"], json!({"format": "json", "text": "{\"q\":1}"}), "with what it had");
    let message = span["error_message"].as_str().unwrap();
    assert!(message.contains("interrupted"), "{message}");
    let row = &fixture.read("/api/traces")["traces"][0];
    assert_eq!((&row["state"], &row["status"]), (&json!("interrupted"), &json!("error")));
    assert_eq!((&row["open_count"], row["end_ns"].is_null()), (&json!(0), false));
    let skeleton = fixture.read(&format!("/api/traces/{TRACE}/skeleton"));
    assert_eq!((&skeleton["interrupted"], &skeleton["open"]), (&json!([true]), &json!([false])));
    assert_eq!(listener.next().unwrap().data["trace_id"], TRACE);

    // Its own report of the end turns up after all: it wins.
    let late = Program::local(&fixture, 7);
    late.span("ended");
    drop(late);
    let span = eventually("the end", || {
        let span = fixture.read(&format!("/api/spans/{TRACE}/{:032x}", 1));
        (span["name"] == "ended").then_some(span)
    });
    assert_eq!(end_of(&span), (false, false, "ok", false));
    assert_eq!(fixture.read("/api/traces")["traces"][0]["state"], "done");
}

/// One dead process among living ones of one trace: only its own spans are closed.
#[test]
fn a_death_closes_the_spans_of_its_own_process_only() {
    let fixture = Fixture::new();
    let (dying, living) = (ProcessId([8; 16]), ProcessId([9; 16]));
    let (victim, survivor) = (Program::local(&fixture, 8), Program::local(&fixture, 9));
    survivor.span("of the living");
    victim.span("ended before");
    let open = |id: u32, process: ProcessId| {
        json!({"span_id": format!("{id:032x}"), "name": "open", "start_ns": NOON_NS,
               "provisional": true, "process_id": process.to_uuid_text()})
    };
    let spans = [open(11, dying), open(12, living), open(13, dying)];
    fixture.accept("k", &json!({"traces": [{"trace_id": TRACE, "spans": spans}]}));
    victim.die(&fixture, dying);
    let spans = eventually("the closing", || {
        let trace = fixture.read(&format!("/api/traces/{TRACE}"));
        (trace["trace"]["open_count"] == 1).then(|| trace["spans"].as_array().unwrap().clone())
    });
    let of = |id: u32| {
        let id = json!(format!("{id:016x}"));
        end_of(spans.iter().find(|span| span["span_id"] == id).unwrap())
    };
    assert_eq!(of(11), (false, true, "error", true));
    assert!(of(12).0, "its process lives");
    assert_eq!(of(13), (false, true, "error", true));
    assert_eq!(fixture.read("/api/traces")["traces"][0]["state"], "running");
}

/// The hour in which nobody was there to hear it die is not counted as its life.
#[test]
fn a_death_that_no_server_saw_is_dated_by_the_last_sign_of_life() {
    let mut fixture = Fixture::new();
    let process = ProcessId([12; 16]);
    let id = process.to_uuid_text();
    let open = json!({"span_id": format!("{:032x}", 1), "name": "open", "start_ns": NOON_NS,
                      "provisional": true, "process_id": id});
    fixture.accept("1", &json!({"traces": [{"trace_id": TRACE, "spans": [open]}]}));
    fixture.clock.advance(Duration::from_secs(40));
    fixture.accept("2", &json!({"traces": [], "processes": [{"id": id, "alive_ns": NOON_NS}]}));
    fixture.stop();
    let journal = fixture.home().join("journal");
    std::fs::create_dir_all(&journal).unwrap();
    let presence = std::fs::File::create(journal.join(format!("{process}.live"))).unwrap();
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(NOON_NS.cast_unsigned());
    presence.set_modified(began).unwrap();
    fixture.clock.advance(Duration::from_secs(3_600));
    fixture.start();
    let span = eventually("the closing", || {
        let span = fixture.read(&format!("/api/spans/{TRACE}/{:032x}", 1));
        (span["open"] == false).then_some(span)
    });
    let lasted_ns: i64 = span["duration_ns"].as_str().unwrap().parse().unwrap();
    assert_eq!(lasted_ns / 1_000_000, 40_000, "milliseconds");
}

#[test]
fn a_torn_segment_gives_what_is_whole_and_is_done_with() {
    let mut fixture = Fixture::stopped("");
    let program = Program::local(&fixture, 7);
    for n in 0..10 {
        program.span(&format!("s{n}"));
    }
    drop(program);
    let path = std::fs::read_dir(fixture.home().join("journal")).unwrap().flatten().next();
    let path = path.unwrap().path();
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes.windows(2).rposition(|pair| pair == b"s9").unwrap();
    std::fs::write(&path, &bytes[..last]).unwrap();
    fixture.start();
    eventually("the whole records", || (span_count(&fixture) == Some(9)).then_some(()));
    eventually("the end of the segment", || (segments(&fixture) == 0).then_some(()));
}

#[test]
fn a_batch_that_cannot_be_read_is_set_aside_once() {
    let mut fixture = Fixture::stopped("");
    let program = Program::local(&fixture, 8);
    let (trace_id, span_id) = (program.trace_id, SpanId([9; 16]));
    program.journal.append(RecordKind::Span, &trace_id, &span_id, b"{\"start_ns\":1,").unwrap();
    drop(program);
    fixture.start();
    eventually("an empty journal", || (segments(&fixture) == 0).then_some(()));
    let health = fixture.read("/api/health");
    assert_eq!(health["ingest"]["journal_damaged"], "1");
    let rejected = fixture.home().join("journal/rejected");
    let kept: Vec<_> = std::fs::read_dir(rejected).unwrap().flatten().collect();
    assert_eq!(kept.len(), 2, "the body and the reason: {kept:?}");
}

#[test]
fn a_segment_with_a_damaged_front_is_set_aside_once_and_the_others_arrive() {
    let mut fixture = Fixture::stopped("");
    let journal = fixture.home().join("journal");
    let program = Program::local(&fixture, 10);
    program.span("whole");
    drop(program);
    let (damaged, later) = (journal.join("damaged.seg"), journal.join("later.seg"));
    std::fs::write(&damaged, [0; 4096]).unwrap();
    let mut of_later_format = b"STASOJNL".to_vec();
    of_later_format.extend([9, 0, 0, 0]);
    std::fs::write(&later, &of_later_format).unwrap();
    fixture.start();
    eventually("the whole segment's span", || span_count(&fixture));
    eventually("the damaged file's move", || (!damaged.exists()).then_some(()));
    eventually("its count", || {
        (fixture.read("/api/health")["ingest"]["journal_damaged"] == "1").then_some(())
    });
    assert!(journal.join("rejected/damaged.seg").exists());
    let reason = std::fs::read_to_string(journal.join("rejected/damaged.reason.txt")).unwrap();
    assert!(reason.contains("front is damaged"), "{reason}");
    assert!(later.exists(), "a later version of the server can still read it");
}
