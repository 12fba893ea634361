//! Metrics, agents and conversations over HTTP.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, span};

const ROOT: &str = "00f067aa0ba902b7";
const CHILD: &str = "00f067aa0ba902b8";

/// A turn at an hour of the first of January, with a model call.
fn turn(n: u8, hour: u8, sample_rate: f64) -> Json {
    let at = format!("2026-01-01T{hour:02}:30:00Z");
    let mut root = span(ROOT, None, "turn");
    root["agent_name"] = "support".into();
    root["agent_version"] = format!("v{}", n % 2).into();
    let mut call = span(CHILD, Some(ROOT), "call");
    call["kind"] = "llm".into();
    call["model"] = "m-1".into();
    call["agent_name"] = "support".into();
    call["agent_version"] = root["agent_version"].clone();
    call["input_tokens"] = 10.into();
    call["output_tokens"] = n.into();
    for span in [&mut root, &mut call] {
        span["timestamp"] = at.clone().into();
        span["sample_rate"] = sample_rate.into();
    }
    if n == 3 {
        root["status"] = "error".into();
    }
    json!({"traces": [{"trace_id": format!("{n:032x}"), "session_id": format!("c/{}", n % 2),
                       "user_id": "ann", "spans": [call, root]}]})
}

/// Four turns: at half past one, two, two and four; the last stands for four.
fn turns() -> Fixture {
    let fixture = Fixture::new();
    for (n, hour, rate) in [(1, 1, 1.0), (2, 2, 1.0), (3, 2, 1.0), (4, 4, 0.25)] {
        fixture.accept(&format!("k{n}"), &turn(n, hour, rate));
    }
    fixture.clock.advance(Duration::from_secs(6 * 3_600));
    fixture
}

#[test]
fn measures_come_as_columns_over_time() {
    let fixture = turns();
    let path = "/api/metrics?measure=runs,run_errors,tokens,run_duration_p50,cost&interval=1h\
                &from=2026-01-01T01:00:00Z&to=2026-01-01T05:00:00Z";
    let answer = fixture.read(path);
    assert_eq!((&answer["interval"], &answer["tz"]), (&json!("1h"), &json!("UTC")));
    let hour = |n: i64| (1_767_225_600_000_000_000 + n * 3_600_000_000_000).to_string();
    assert_eq!(answer["starts_ns"], json!([hour(1), hour(2), hour(3), hour(4)]));
    assert_eq!((&answer["from_ns"], &answer["to_ns"]), (&json!(hour(1)), &json!(hour(5))));
    let group = &answer["groups"][0];
    assert_eq!(group["value"], Json::Null);
    assert_eq!(group["series"]["runs"], json!([1.0, 2.0, 0.0, 4.0]));
    assert_eq!(group["series"]["run_errors"], json!([0.0, 1.0, 0.0, 0.0]));
    assert_eq!(group["series"]["tokens"], json!([11, 25, null, 56]));
    assert_eq!(group["series"]["run_duration_p50"][2], Json::Null);
    let p50: f64 = group["whole"]["run_duration_p50"].as_str().unwrap().parse().unwrap();
    assert!((p50 - 5e6).abs() < 5e6 * 0.004, "{p50}");
    assert_eq!((&group["whole"]["tokens"], &group["whole"]["cost"]), (&json!(92), &Json::Null));
    assert_eq!(group["series_cost_incomplete"], json!([true, true, false, true]));
    assert_eq!(answer["groups_omitted"], 0);
}

#[test]
fn groups_filters_and_defaults_do_what_they_say() {
    let fixture = turns();
    // Without a time it is the last day, in buckets that a chart can show.
    let answer = fixture.read("/api/metrics?group_by=version");
    assert_eq!(answer["interval"], "15m");
    let values: Vec<&Json> =
        answer["groups"].as_array().unwrap().iter().map(|group| &group["value"]).collect();
    assert_eq!(values, ["v0", "v1"]);
    assert_eq!(answer["groups"][0]["whole"]["runs"], 5.0);
    let whole = fixture.read("/api/metrics?measure=spans,users&interval=none&filter=status:error");
    assert_eq!(whole["groups"][0]["whole"], json!({"spans": 2.0, "users": 1.0}));
    assert_eq!(whole["starts_ns"].as_array().unwrap().len(), 1);
    let one = fixture.read("/api/metrics?measure=spans&group_by=kind&limit=1");
    assert_eq!((&one["groups"][0]["value"], &one["groups_omitted"]), (&json!("chain"), &json!(1)));
    let nowhere = fixture.read("/api/metrics?workspace=other&group_by=model");
    assert_eq!(nowhere["groups"], json!([]));
}

#[test]
fn days_begin_where_the_reader_is() {
    let fixture = turns();
    let path = "/api/metrics?interval=1d&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&tz=";
    let starts = |tz: &str| {
        let answer = fixture.read(&format!("{path}{tz}"));
        (answer["groups"][0]["series"]["runs"].clone(), answer["tz"].clone())
    };
    assert_eq!(starts(""), (json!([7.0]), json!("UTC")));
    assert_eq!(starts("-02:00"), (json!([1.0, 6.0]), json!("-02:00")));
    assert_eq!(starts("%2B22:00"), (json!([1.0, 6.0]), json!("+22:00")));
}

#[test]
fn agents_stand_side_by_side_with_their_versions() {
    let fixture = turns();
    let answer = fixture.read("/api/agents");
    let agent = &answer["agents"][0];
    assert_eq!((&agent["name"], &agent["runs"]), (&json!("support"), &json!(7.0)));
    assert_eq!((&agent["errors"], &agent["total_tokens"]), (&json!(1.0), &json!(92)));
    assert_eq!((&agent["cost_nano_usd"], &agent["cost_incomplete"]), (&Json::Null, &json!(true)));
    let versions: Vec<_> = agent["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["version"].as_str().unwrap(), version["runs"].as_f64().unwrap()))
        .collect();
    assert_eq!(versions, [("v0", 5.0), ("v1", 2.0)], "the one of the latest run first");
    assert_eq!(answer["agents_omitted"], 0);
    let early = fixture.read("/api/agents?to=2026-01-01T02:00:00Z&sort=cost");
    assert_eq!(early["agents"][0]["runs"], 1.0);
    assert_eq!(fixture.read("/api/agents?filter=agent:nobody")["agents"], json!([]));
}

#[test]
fn conversations_have_turns() {
    let fixture = turns();
    let first = fixture.read("/api/sessions?limit=1");
    let session = &first["sessions"][0];
    assert_eq!((&session["session_id"], &session["turns"]), (&json!("c/0"), &json!(2)));
    assert_eq!((&session["user_id"], &session["total_tokens"]), (&json!("ann"), &json!(26)));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = fixture.read(&format!("/api/sessions?limit=1&cursor={cursor}"));
    assert_eq!(second["sessions"][0]["session_id"], "c/1");
    assert_eq!(second["sessions"][0]["error_turns"], 1);
    assert_eq!(second["next_cursor"], Json::Null);
    let page = fixture.read("/api/sessions/c%2F1?limit=1");
    assert_eq!(page["session"], second["sessions"][0]);
    assert_eq!(page["turns"][0]["trace_id"], format!("{:032x}", 1));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = fixture.read(&format!("/api/sessions/c%2F1?cursor={cursor}"));
    assert_eq!(rest["turns"][0]["trace_id"], format!("{:032x}", 3));
    assert_eq!((&rest["next_cursor"], &rest["session"]), (&Json::Null, &page["session"]));
    let failing = fixture.read("/api/sessions?filter=status:error");
    assert_eq!(failing["sessions"][0]["turns"], 1);
}

#[test]
fn sums_without_sense_are_refused_with_the_next_step() {
    let fixture = turns();
    for (path, status, word) in [
        ("/api/metrics?measure=colour", 400, "run_duration_p50"),
        ("/api/metrics?measure=", 200, "runs"),
        ("/api/metrics?group_by=colour", 400, "environment"),
        ("/api/metrics?interval=soon", 400, "15m"),
        ("/api/metrics?tz=Middle/Earth", 400, "Europe/Paris"),
        ("/api/metrics?from=2026-01-01&to=2026-01-01", 400, "not before"),
        ("/api/metrics?from=yesterday", 400, "2026-01-31"),
        ("/api/metrics?from=1990-01-01&interval=1m", 400, "interval=auto"),
        ("/api/metrics?limit=0", 400, "1 to 200"),
        ("/api/metrics?limit=201", 400, "1 to 200"),
        ("/api/metrics?filter=colour:red", 400, "status, state, agent"),
        ("/api/metrics?group_by=provider", 400, "group by something else"),
        ("/api/metrics?mesure=runs", 400, "openapi"),
        ("/api/agents?sort=colour", 400, "openapi"),
        ("/api/agents?limit=0", 400, "1 to 1000"),
        ("/api/agents?from=yesterday", 400, "2026-01-31"),
        ("/api/sessions?limit=1001", 400, "1 to 1000"),
        ("/api/sessions?cursor=nonsense", 400, "next_cursor"),
        ("/api/sessions/c%2F1?cursor=v00", 400, "next_cursor"),
        ("/api/sessions/nobody", 404, "workspace"),
        ("/api/sessions/C%2F1", 404, "letter for letter"),
    ] {
        let answer = fixture.get(path);
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, status, "{path}: {text}");
        assert!(text.contains(word), "{path}: {text}");
    }
}
