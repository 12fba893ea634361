//! The native wire: representative bodies, one golden per repair rule, refusals.

use staso_model::json::{
    AnnotationContext, DecodeContext, DecodeError, DecodedBatch, Limits, ProcessState,
    decode_annotation, decode_batch, encode_batch,
};
use staso_model::{
    AnnotationId, AnnotationValue, Payload, Span, SpanId, SpanKind, SpanStatus, Stage, TraceId,
    Value,
};

pub(crate) const RECEIVED_NS: i64 = 1_760_000_000_000_000_000;

pub(crate) fn context() -> DecodeContext<'static> {
    DecodeContext {
        workspace_override: None,
        default_workspace: "default",
        received_ns: RECEIVED_NS,
        first_sequence: 7,
        receipt_id: "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b",
        limits: Limits::default(),
    }
}

fn decode(body: &str) -> DecodedBatch {
    decode_batch(body.as_bytes(), &context()).unwrap()
}

const TRACE: &str = "0af76519-16cd-43dd-8448-eb211c80319c";
const SPAN: &str = "00000000-0000-0000-00f0-67aa0ba902b7";

/// One span with good identity, time, duration and status, and the given members besides.
fn span_with(members: &str) -> (Span, Vec<String>) {
    let body = format!(
        r#"{{"traces":[{{"trace_id":"{TRACE}","spans":[{{"span_id":"{SPAN}","name":"n",
        "timestamp":"2025-01-01T00:00:00Z","duration_ms":1,"status":"ok"{members}}}]}}]}}"#
    );
    let batch = decode(&body);
    let span = batch.spans.into_iter().next().unwrap();
    // The list of the answer and the marks on the span say the same.
    let reported: Vec<_> =
        batch.repairs.iter().map(|r| format!("{}: {}", r.field, r.problem)).collect();
    let marked: Vec<_> =
        span.repairs.iter().map(|r| format!("{}: {}", r.field, r.problem)).collect();
    assert_eq!(reported, marked);
    (span, marked)
}

/// What differs from an empty span: short enough to be read by people.
fn brief(batch: &DecodedBatch) -> serde_json::Value {
    let spans: Vec<_> = batch.spans.iter().map(brief_span).collect();
    let texts = |debug: Vec<String>| serde_json::json!(debug);
    serde_json::json!({
        "trace_count": batch.trace_count,
        "spans": spans,
        "annotations": batch.annotations,
        "processes": texts(batch.processes.iter().map(|p| format!("{p:?}")).collect()),
        "repairs": batch.repairs.len(),
    })
}

fn brief_span(span: &Span) -> serde_json::Value {
    let empty = serde_json::to_value(Span::new("", TraceId::NIL, SpanId::NIL)).unwrap();
    let mut full = serde_json::to_value(span).unwrap();
    let fields = full.as_object_mut().unwrap();
    fields.retain(|key, value| empty[key] != *value);
    fields.insert("trace_id".into(), span.trace_id.to_string().into());
    fields.insert("span_id".into(), span.span_id.to_string().into());
    if let Some(parent) = span.parent_span_id {
        fields.insert("parent_span_id".into(), parent.to_string().into());
    }
    full
}

#[test]
fn an_existing_clients_body() {
    let body = include_str!("bodies/existing_client.json");
    insta::assert_json_snapshot!(brief(&decode(body)));
}

#[test]
fn a_values_form_body() {
    let body = include_str!("bodies/values_form.json");
    insta::assert_json_snapshot!(brief(&decode(body)));
}

#[test]
fn a_hostile_body() {
    let body = include_bytes!("bodies/hostile.json");
    insta::assert_json_snapshot!(brief(&decode_batch(body, &context()).unwrap()));
}

#[test]
fn encoded_values_read_back() {
    let spans = decode(include_str!("bodies/values_form.json")).spans;
    assert_eq!(decode_batch(&encode_batch(&spans), &context()).unwrap().spans, spans);
}

/// Every repair rule that one member of a span can break, with its words.
#[test]
fn each_repair_is_named() {
    let deep = format!(r#","input":{}1{}"#, "[".repeat(513), "]".repeat(513));
    let deep_attribute = format!(r#","attributes":{{"a":{}1{}}}"#, "[".repeat(31), "]".repeat(31));
    let long = format!(r#","name":"{}""#, "é".repeat(600));
    let cases = [
        (r#","output":[NaN]"#, "output: NaN or Infinity: now null"),
        (r#","output":"[-Infinity]""#, "output: NaN or Infinity: now null"),
        (r#","output":["\udc00"]"#, "output: lone surrogate: now U+FFFD"),
        (r#","error_message":"\ud83dx""#, "error_message: lone surrogate: now U+FFFD"),
        (&deep, "input: nested too deep: the inner part is kept as text"),
        (&deep_attribute, "attributes: nested too deep: the inner part is kept as text"),
        (r#","input":"{\"a\":""#, "input: broken JSON: kept as text"),
        (r#","attributes":"{""#, "attributes: broken JSON: kept as an attribute"),
        (r#","attributes":[1]"#, "attributes: not an object: kept as an attribute"),
        (r#","attributes":{"n":1e400}"#, "attributes: number beyond 64 bits: kept as text"),
        (r#","kind":"wizard""#, "kind: unknown kind: now custom"),
        (r#","status":"failure""#, "status: unknown status: now error"),
        (r#","status":"??","error_message":"x""#, "status: unknown status: now error"),
        (r#","status":"??""#, "status: unknown status: now ok"),
        (r#","timestamp":"soon""#, "timestamp: not a time: the time of arrival is used"),
        (r#","timestamp":null"#, "timestamp: missing: the time of arrival is used"),
        (r#","timestamp":1735689600"#, "timestamp: not a time: the time of arrival is used"),
        (r#","timestamp":"2025-01-01T00:00:00""#, "timestamp: no offset: taken as UTC"),
        (r#","duration_ms":null"#, "duration_ms: missing: taken as 0"),
        (r#","duration_ms":-1"#, "duration_ms: negative: taken as 0"),
        (r#","duration_ms":"x""#, "duration_ms: not a number of milliseconds: taken as 0"),
        (r#","span_id":"step 1""#, "span_id: not an id: hashed into one"),
        (r#","span_id":null"#, "span_id: missing: derived from the receipt and the position"),
        (r#","parent_span_id":"step 0""#, "parent_span_id: not an id: hashed into one"),
        (
            r#","parent_span_id":"00f067aa0ba902b7""#,
            "parent_span_id: names the span itself: taken as a root",
        ),
        (&long, "name: too long: cut"),
        (r#","name":null"#, "name: missing: named after its kind"),
        (r#","name":7"#, "name: not text: its JSON form is used"),
        (r#","user_id":[]"#, "user_id: not text: kept as an attribute"),
        (r#","input_tokens":-3"#, "input_tokens: negative: ignored"),
        (r#","input_tokens":"many""#, "input_tokens: not a whole number of 64 bits: ignored"),
        (r#","dropped":1"#, "dropped: not true or false: ignored"),
        (r#","sample_rate":0"#, "sample_rate: not between 0 and 1: ignored"),
        (r#","process_id":"p1""#, "process_id: not an id: hashed into one"),
        (r#","events":{}"#, "events: not an array: kept as an attribute"),
        (
            r#","links":[{}]"#,
            "links: some items could not be read: the list is kept as an attribute",
        ),
        (r#","capture":{"x":"y"}"#, "capture: unknown category or word: kept as an attribute"),
        (r#","colour":"red""#, "unknown fields: kept as attributes staso.original.*"),
    ];
    for (members, expected) in cases {
        let (_, marks) = span_with(members);
        assert_eq!(marks, [expected], "{}", &members[..members.len().min(80)]);
    }
}

#[test]
fn a_discarded_span_lacks_nothing() {
    let bare = format!(r#""span_id":"{SPAN}","parent_span_id":"00f067aa0ba902b8","dropped":true"#);
    for more in
        ["", r#","name":null,"timestamp":null,"duration_ms":null"#, r#","start_ns":5,"end_ns":6"#]
    {
        let body = format!(r#"{{"traces":[{{"trace_id":"{TRACE}","spans":[{{{bare}{more}}}]}}]}}"#);
        let batch = decode(&body);
        assert_eq!((&batch.spans[0].repairs[..], &batch.repairs[..]), (&[][..], &[][..]), "{more}");
        assert!(batch.spans[0].dropped && !batch.spans[0].is_open());
        let start_ns = if more.contains("start_ns") { 5 } else { RECEIVED_NS };
        assert_eq!(batch.spans[0].start_ns, start_ns);
    }
    // What is there must still make sense, and a span that is kept must have it.
    for (more, field) in [(r#","name":7"#, "name"), (r#","timestamp":"soon""#, "timestamp")] {
        let body = format!(r#"{{"traces":[{{"trace_id":"{TRACE}","spans":[{{{bare}{more}}}]}}]}}"#);
        assert_eq!(decode(&body).spans[0].repairs[0].field, field);
    }
    let kept = bare.replace("true", "false");
    let body = format!(r#"{{"traces":[{{"trace_id":"{TRACE}","spans":[{{{kept}}}]}}]}}"#);
    let fields: Vec<_> = decode(&body).repairs.into_iter().map(|report| report.field).collect();
    assert_eq!(fields, ["name", "timestamp", "duration_ms"]);
}

#[test]
fn what_is_mended_keeps_its_original() {
    let (span, _) = span_with(r#","kind":"wizard","timestamp":"soon","span_id":"step 1""#);
    assert_eq!(span.kind, SpanKind::Custom);
    assert_eq!((span.start_ns, span.end_ns), (RECEIVED_NS, Some(RECEIVED_NS + 1_000_000)));
    assert_eq!(span.span_id, SpanId::from_foreign_text(&span.trace_id, "step 1"));
    for (field, text) in [("kind", "wizard"), ("timestamp", "soon"), ("span_id", "step 1")] {
        let original = span.attribute(&format!("staso.original.{field}"));
        assert_eq!(original, Some(&Value::from(text)));
    }
    let (span, _) = span_with(r#","input":"{\"a\":""#);
    assert_eq!(span.input, Some(Payload::text("{\"a\":")));
}

#[test]
fn what_is_not_wrong_is_not_marked() {
    let members = r#","kind":"LLM","status":"OK","input":"","output":null,"attributes":"{}",
        "parent_span_id":"00000000-0000-0000-0000-000000000000","agent_name":"","model":null,
        "usage_available":null,"input_tokens":0,"error_message":null,"tags":[],"capture":{}"#;
    let (span, marks) = span_with(members);
    assert_eq!(marks, Vec::<String>::new());
    assert_eq!((span.kind, span.status), (SpanKind::Llm, SpanStatus::Ok));
    assert_eq!((span.parent_span_id, span.input, span.output), (None, None, None));
    assert_eq!(span.usage.input_uncached, None);
}

#[test]
fn nanoseconds_win_and_milliseconds_are_exact() {
    let (span, _) = span_with(r#","start_ns":5,"end_ns":"9007199254740993""#);
    assert_eq!((span.start_ns, span.end_ns), (5, Some(9_007_199_254_740_993)));
    let (span, _) = span_with(r#","duration_ms":0.3"#);
    assert_eq!(span.duration_ns(), Some(300_000));
}

#[test]
fn an_open_span_has_no_end() {
    for members in
        [r#","provisional":true"#, r#","attributes":"{\"staso.provisional_root\": true}""#]
    {
        let (span, marks) = span_with(members);
        assert!(span.is_open() && span.end_ns.is_none() && marks.is_empty());
    }
}

#[test]
fn token_buckets_follow_the_provider() {
    let usage = |members: &str| span_with(members).0.usage;
    let cached = r#","usage_available":true,"input_tokens":100,"output_tokens":5,
        "attributes":{"cache_read_input_tokens":60,"cache_creation_input_tokens":10}"#;
    let by = |provider: &str| usage(&format!(r#"{cached},"provider":"{provider}""#));
    let buckets = |u: &staso_model::Usage| (u.input_uncached, u.input_total(), u.basis);
    use staso_model::UsageBasis::{Assumed, Exclusive, Inclusive};
    assert_eq!(buckets(&by("anthropic")), (Some(100), Some(170), Exclusive));
    assert_eq!(buckets(&by("openai")), (Some(30), Some(100), Inclusive));
    assert_eq!(buckets(&by("other")), (Some(30), Some(100), Assumed));
    let proof =
        usage(r#","input_tokens":10,"provider":"openai","attributes":{"cached_input_tokens":60}"#);
    assert_eq!(buckets(&proof), (Some(10), Some(70), Exclusive));
    assert!(proof.contradiction.is_some());
}

#[test]
fn unknown_tokens_are_never_zero() {
    let zeros = r#","input_tokens":0,"output_tokens":0,"total_tokens":0,"usage_available":"#;
    for available in ["false", "null"] {
        let (span, _) = span_with(&format!("{zeros}{available}"));
        assert_eq!((span.usage.input_total(), span.usage.total()), (None, None));
    }
    let (span, _) = span_with(&format!("{zeros}true"));
    assert_eq!((span.usage.input_total(), span.usage.total()), (Some(0), Some(0)));
}

#[test]
fn a_trace_fills_only_a_root_that_lacks() {
    let batch = decode(&format!(
        r#"{{"traces":[{{"trace_id":"{TRACE}","root_span_name":"whole","status":"error","model":"m",
        "input_tokens":9,"duration_ms":2,"attributes":{{"a":1,"b":2}},"session_id":"s","user_id":"u",
        "spans":[
          {{"span_id":"{SPAN}","timestamp":"2025-01-01T00:00:00Z","attributes":{{"b":3}}}},
          {{"span_id":"b7ad6b7169203331","parent_span_id":"{SPAN}","name":"c","kind":"llm",
            "timestamp":"2025-01-01T00:00:00Z","duration_ms":1,"user_id":"own"}}]}}]}}"#
    ));
    let [root, child] = &batch.spans[..] else { panic!("two spans") };
    assert_eq!((root.name.as_str(), root.status), ("whole", SpanStatus::Error));
    assert_eq!((root.model.as_deref(), root.duration_ns()), (Some("m"), Some(2_000_000)));
    assert_eq!(root.usage.sent.input, Some(9));
    assert_eq!(root.attribute("a"), Some(&Value::Int(1)));
    assert_eq!(root.attribute("b"), Some(&Value::Int(3)));
    assert_eq!((child.status, child.model.as_deref()), (SpanStatus::Unset, None));
    assert_eq!((child.session_id.as_deref(), child.user_id.as_deref()), (Some("s"), Some("own")));
    assert_eq!(batch.repairs, []);
}

#[test]
fn a_root_without_a_time_has_that_of_its_trace() {
    let start_of = |time: &str, spans: &str| {
        let batch =
            decode(&format!(r#"{{"traces":[{{"trace_id":"{TRACE}",{time}"spans":[{spans}]}}]}}"#));
        (batch.spans[0].start_ns, batch.spans[0].repairs.len())
    };
    let time = r#""timestamp":"2025-01-01T00:00:00.000000007Z","#;
    let (at_ns, arrival_ns) = (1_735_689_600_000_000_007, context().received_ns);
    let root = |own: &str| format!(r#"{{"span_id":"{SPAN}","name":"r","duration_ms":1{own}}}"#);
    assert_eq!(start_of(time, &root("")), (at_ns, 0), "it lacks nothing, so nothing is mended");
    assert_eq!(start_of(time, &root(r#","timestamp":null"#)), (at_ns, 0));
    assert_eq!(start_of("", &root("")), (arrival_ns, 1));
    // Its own time counts more, in either spelling; so does its own mistake.
    assert_eq!(
        start_of(time, &root(r#","timestamp":"2025-01-02T00:00:00Z""#)).0,
        1_735_776_000_000_000_000
    );
    assert_eq!(start_of(time, &root(r#","start_ns":5"#)), (5, 0));
    assert_eq!(start_of(time, &root(r#","timestamp":"soon""#)), (arrival_ns, 1));
    assert_eq!(start_of(r#""timestamp":"soon","#, &root("")), (arrival_ns, 1));
    let child = root(r#","parent_span_id":"b7ad6b7169203331""#);
    assert_eq!(start_of(time, &child), (arrival_ns, 1), "only a root stands for its trace");
}

#[test]
fn who_was_closed_in_its_processs_stead_counts_less_than_its_own_word() {
    let version = |members: &str| span_with(members).0.version;
    let closed = r#","version":9,"attributes":{"staso.interrupted":true}"#;
    let open = r#","version":99,"provisional":true,"attributes":{"staso.interrupted":true}"#;
    assert_eq!(version(closed).stage, Stage::Interrupted);
    assert!(version(open) < version(closed) && version(closed) < version(""));
    let denied = r#","attributes":{"staso.interrupted":"true"}"#;
    assert_eq!(version(denied).stage, Stage::Ended);
}

#[test]
fn a_trace_total_is_not_counted_beside_its_parts() {
    let batch = decode(&format!(
        r#"{{"traces":[{{"trace_id":"{TRACE}","input_tokens":9,"spans":[
          {{"span_id":"{SPAN}","name":"root"}},
          {{"span_id":"b7ad6b7169203331","parent_span_id":"{SPAN}","input_tokens":9}}]}}]}}"#
    ));
    let counted: Vec<_> = batch.spans.iter().map(|s| s.usage.sent.input).collect();
    assert_eq!(counted, [None, Some(9)]);
}

#[test]
fn a_resend_meets_the_same_spans() {
    let body = r#"{"traces":[{"spans":[{"name":"a"},{"name":"b"},3]},{"spans":[{"name":"a"}]}]}"#;
    let ids = |receipt_id| {
        let context = DecodeContext { receipt_id, received_ns: 1, ..context() };
        let spans = decode_batch(body.as_bytes(), &context).unwrap().spans;
        spans.iter().map(|s| (s.trace_id, s.span_id)).collect::<Vec<_>>()
    };
    assert_eq!(ids("r1"), ids("r1"));
    let mut all = [ids("r1"), ids("r2")].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
}

#[test]
fn the_keys_workspace_wins() {
    let body = r#"{"traces":[{"workspace_slug":"theirs","spans":[{}],"annotations":[{"name":"n","value":1}]}]}"#;
    let batch = decode(body);
    assert_eq!(
        (&*batch.spans[0].workspace, &*batch.annotations[0].workspace),
        ("theirs", "theirs")
    );
    let context = DecodeContext { workspace_override: Some("ours"), ..context() };
    let batch = decode_batch(body.as_bytes(), &context).unwrap();
    assert_eq!((&*batch.spans[0].workspace, &*batch.annotations[0].workspace), ("ours", "ours"));
}

#[test]
fn refusals_say_where() {
    let refuse = |body: &[u8]| decode_batch(body, &context()).unwrap_err();
    assert_eq!(
        refuse(b"{\n \"traces\": [}").to_string(),
        "not JSON at line 2, column 13 (byte 14): expected a value"
    );
    assert_eq!(refuse(b"").to_string(), "not JSON at line 1, column 1 (byte 0): expected a value");
    assert_eq!(refuse(b"[]").code(), "no_traces");
    assert_eq!(refuse(b"{}").to_string(), "no `traces` array: the body has no such member");
    assert_eq!(
        refuse(br#"{"traces":{}}"#).to_string(),
        "no `traces` array: `traces` is not an array"
    );
    let deep = "[".repeat(1 << 22);
    assert_eq!(refuse(deep.as_bytes()).code(), "not_json");
}

#[test]
fn limits_are_refused_by_name() {
    let limits = Limits { max_spans: 2, max_annotations: 1, ..Limits::default() };
    let context = DecodeContext { limits, ..context() };
    let refuse = |body: &str| decode_batch(body.as_bytes(), &context).unwrap_err();
    let spans = DecodeError::TooManySpans { limit: 2 };
    assert_eq!(refuse(r#"{"traces":[{"spans":[{},{},{}]}]}"#), spans);
    assert_eq!(refuse(r#"{"traces":[{"spans":[{},{}]},{"spans":[{}]}]}"#), spans);
    assert!(spans.is_too_large() && !spans.hint().is_empty());
    let traces = DecodeError::TooManyEntries { what: "traces", limit: 2 };
    assert_eq!(refuse(r#"{"traces":[{},{},{}]}"#), traces);
    let many = refuse(r#"{"traces":[{"annotations":[{"value":1},{"value":2}]}]}"#);
    assert_eq!(many, DecodeError::TooManyEntries { what: "annotations", limit: 1 });
}

#[test]
fn hostile_nesting_costs_neither_stack_nor_data() {
    let n = 200_000;
    let (span, _) = span_with(&format!(r#","input":{}{}"#, "[".repeat(n), "]".repeat(n)));
    let text = span.input.unwrap().text;
    assert_eq!(text.matches('[').count(), n);
    let attribute = format!(r#","attributes":{{"a":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    let (span, _) = span_with(&attribute);
    assert_eq!(format!("{:?}", span.attributes).matches('[').count(), n + 1);
}

#[test]
fn trees_are_rationed_and_texts_are_not() {
    let limits = Limits { max_values: 10, ..Limits::default() };
    let context = DecodeContext { limits, ..context() };
    let list = format!("[{}0]", "0,".repeat(20));
    let body = format!(
        r#"{{"traces":[{{"trace_id":"{TRACE}","spans":[
        {{"span_id":"{SPAN}","start_ns":1,"end_ns":2,"name":"n","attributes":{{"a":1}}}},
        {{"span_id":"b7ad6b7169203331","start_ns":1,"end_ns":2,"name":"n","input":{list},
          "attributes":{{"a":{list}}},"tags":{list}}}]}}]}}"#
    );
    let batch = decode_batch(body.as_bytes(), &context).unwrap();
    assert_eq!(batch.spans[0].attribute("a"), Some(&Value::Int(1)));
    let second = &batch.spans[1];
    assert_eq!(second.input, Some(Payload::json(list.clone())));
    let kept = second.attribute("staso.original.attributes").and_then(Value::as_str);
    assert_eq!(kept, Some(&*format!(r#"{{"a":{list}}}"#)));
    assert_eq!(second.attribute("staso.original.tags"), Some(&Value::from(&*list)));
    let problem = "too many values in one request: kept as text";
    let marks: Vec<_> = second.repairs.iter().map(|r| (&*r.field, &*r.problem)).collect();
    assert_eq!(marks, [("attributes", problem), ("tags", problem)]);
}

#[test]
fn processes_speak() {
    let batch = decode(include_str!("bodies/values_form.json"));
    let states: Vec<_> = batch.processes.iter().map(|p| p.state).collect();
    let alive = ProcessState::Alive { at_ns: 1_760_000_000_900_000_000 };
    assert_eq!(states, [alive, ProcessState::Goodbye]);
}

#[test]
fn processes_that_are_no_list_are_named() {
    let batch = decode(r#"{"traces": [], "processes": {"id": "p"}}"#);
    assert_eq!(batch.repairs.len(), 1);
    assert_eq!(batch.repairs[0].problem, "not an array: ignored");
}

pub(crate) fn annotation_context() -> AnnotationContext<'static> {
    AnnotationContext {
        workspace: "w",
        trace_id: TRACE.parse().unwrap(),
        fallback_id: AnnotationId([7; 16]),
        received_ns: RECEIVED_NS,
        limits: Limits::default(),
    }
}

fn annotate(body: &str) -> Result<AnnotationValue, String> {
    let context = annotation_context();
    match decode_annotation(body.as_bytes(), &context) {
        Ok(annotation) => {
            assert_eq!((annotation.id, annotation.created_ns), (context.fallback_id, RECEIVED_NS));
            Ok(annotation.value)
        }
        Err(error) => Err(format!("{} {}", error.code(), error)),
    }
}

#[test]
fn annotations_are_typed() {
    let with = |rest: &str| annotate(&format!(r#"{{"name":"n",{rest}}}"#));
    assert_eq!(with(r#""value":1,"data_type":"numeric""#), Ok(AnnotationValue::Numeric(1.0)));
    assert_eq!(with(r#""value":true,"data_type":"boolean""#), Ok(AnnotationValue::Boolean(true)));
    let good = AnnotationValue::Categorical("good".into());
    assert_eq!(with(r#""value":"good","data_type":"stars""#), Ok(good.clone()));
    assert_eq!(with(r#""value":"good""#), Ok(good));
    let refused = [
        (r#""value":true,"data_type":"numeric""#, "`value`: is numeric: wants a finite number"),
        (r#""value":1,"data_type":"categorical""#, "`value`: is categorical: wants a text"),
        (r#""value":"x","data_type":"boolean""#, "`value`: is boolean: wants true or false"),
        (r#""value":NaN"#, "`value`: wants a number, a text, or true or false"),
        (r#""value":1,"source":"rumour""#, "`source`: wants sdk, human, judge or code"),
    ];
    for (rest, problem) in refused {
        assert_eq!(with(rest), Err(format!("invalid_annotation {problem}")), "{rest}");
    }
    assert_eq!(annotate(r#"{"value":1}"#), Err("invalid_annotation `name`: wants a text".into()));
    assert_eq!(annotate("[]"), Err("not_an_object an annotation is a JSON object".into()));
    assert!(annotate("{").unwrap_err().starts_with("not_json not JSON at line 1, column 2"));
}

#[test]
fn one_bad_annotation_costs_nothing_else() {
    let batch = decode(
        r#"{"traces":[{"trace_id":"0af7651916cd43dd8448eb211c80319c","spans":[],"annotations":[
        {"name":"a","value":1,"data_type":"boolean"},{"name":"b"},7,{"value":"x"}]}]}"#,
    );
    let names: Vec<_> = batch.annotations.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["a", "unnamed"]);
    assert_eq!(batch.annotations[0].value, AnnotationValue::Numeric(1.0));
    assert_eq!(batch.repairs.len(), 5);
}
