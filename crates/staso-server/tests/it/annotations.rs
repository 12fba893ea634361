//! Scores and labels over HTTP.

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, TRACE, batch_of};
use crate::http;

const ID: &str = "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b";

fn annotate(fixture: &Fixture, body: &Json) -> http::Answer {
    let path = format!("/v1/traces/{TRACE}/annotations");
    fixture.post(&path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

#[test]
fn one_is_accepted_before_its_trace_and_shown_with_it() {
    let mut fixture = Fixture::new();
    let body = json!({"name": "relevance", "value": 0.5, "data_type": "numeric", "id": ID,
                      "comment": "so-so", "source": "judge", "author": "m"});
    let made = annotate(&fixture, &body);
    assert_eq!(made.status, 201);
    let expected = json!({"id": ID, "trace_id": TRACE, "span_id": null, "name": "relevance",
        "value": 0.5, "data_type": "numeric", "comment": "so-so", "source": "judge",
        "author": "m", "created_ns": made.json()["created_ns"]});
    assert_eq!(made.json(), expected);
    fixture.restart();
    fixture.accept("k", &batch_of(TRACE, "root"));
    assert_eq!(fixture.read(&format!("/api/traces/{TRACE}"))["annotations"], json!([expected]));
    assert_eq!(
        fixture.read(&format!("/v1/traces/{TRACE}/annotations")),
        json!({"annotations": [expected]})
    );
}

#[test]
fn the_same_id_twice_is_one_and_without_an_id_each_call_is_one() {
    let fixture = Fixture::new();
    let named = json!({"name": "good", "value": true, "data_type": "boolean", "id": ID});
    assert_eq!(annotate(&fixture, &named).status, 201);
    assert_eq!(annotate(&fixture, &named).status, 201);
    let nameless = json!({"name": "good", "value": "yes", "data_type": "categorical"});
    annotate(&fixture, &nameless);
    annotate(&fixture, &nameless);
    let list = fixture.read(&format!("/v1/traces/{TRACE}/annotations"));
    assert_eq!(list["annotations"].as_array().unwrap().len(), 3);
}

#[test]
fn one_on_a_span_is_counted_there() {
    let fixture = Fixture::new();
    fixture.accept("k", &batch_of(TRACE, "root"));
    let body = json!({"name": "x", "value": 1, "span_id": "00f067aa0ba902b7"});
    assert_eq!(annotate(&fixture, &body).json()["data_type"], "numeric", "inferred");
    let skeleton = fixture.read(&format!("/api/traces/{TRACE}/skeleton"));
    assert_eq!(skeleton["annotation_count"], json!([1]));
    let span = fixture.read(&format!("/api/spans/{TRACE}/00f067aa0ba902b7"));
    assert_eq!(span["annotations"][0]["name"], "x");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let fixture = Fixture::new();
    for (body, status) in [
        (json!({"name": "x", "value": "high", "data_type": "numeric"}), 422),
        (json!({"name": "x", "value": 1, "data_type": "boolean"}), 422),
        (json!({"name": "x", "value": true, "data_type": "categorical"}), 422),
        (json!({"name": "", "value": 1, "data_type": "numeric"}), 422),
        (json!({"value": 1, "data_type": "numeric"}), 422),
        (json!([1]), 400),
    ] {
        let answer = annotate(&fixture, &body);
        assert_eq!(answer.status, status, "{body}");
        assert!(!answer.json()["error"]["hint"].as_str().unwrap().is_empty());
    }
    let path = format!("/v1/traces/{TRACE}/annotations");
    assert_eq!(fixture.post(&path, &[], b"{not json").status, 400);
    let large = fixture.post(&path, &[], &vec![b' '; 2 << 20]);
    assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
}

#[test]
fn one_can_be_deleted_once() {
    let fixture = Fixture::new();
    annotate(&fixture, &json!({"name": "x", "value": 1, "id": ID}));
    let delete = |path: &str| http::call(fixture.address(), "DELETE", path, &[], b"").status;
    assert_eq!(delete(&format!("/v1/annotations/{ID}?workspace=other")), 404);
    assert_eq!(delete(&format!("/v1/annotations/{ID}")), 204);
    assert_eq!(delete(&format!("/v1/annotations/{ID}")), 404);
    assert_eq!(delete("/v1/annotations/nonsense"), 400);
    let list = fixture.read(&format!("/v1/traces/{TRACE}/annotations"));
    assert_eq!(list, json!({"annotations": []}));
}

#[test]
fn without_a_workspace_one_goes_where_its_trace_is_or_will_be() {
    let fixture = Fixture::new();
    let mut body = batch_of(TRACE, "root");
    body["traces"][0]["workspace_slug"] = "team-a".into();
    assert_eq!(annotate(&fixture, &json!({"name": "before", "value": 1})).status, 201);
    fixture.accept("k", &body);
    assert_eq!(annotate(&fixture, &json!({"name": "after", "value": 1})).status, 201);
    let names = |query: &str| {
        let list = fixture.read(&format!("/v1/traces/{TRACE}/annotations{query}"));
        let notes = list["annotations"].as_array().unwrap().clone();
        notes.iter().map(|note| note["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("?workspace=team-a"), ["before", "after"]);
    assert_eq!(names("?workspace=default"), Vec::<String>::new(), "none is left behind");
    assert_eq!(names(""), ["before", "after"], "without a workspace, wherever they are");
    let rows = fixture.read("/api/traces?workspace=team-a");
    assert_eq!(rows["traces"][0]["annotations"].as_array().unwrap().len(), 2);
    let id = rows["traces"][0]["annotations"][0]["id"].as_str().unwrap().to_owned();
    let delete = |path: &str| http::call(fixture.address(), "DELETE", path, &[], b"").status;
    assert_eq!(delete(&format!("/v1/annotations/{id}?workspace=default")), 404);
    assert_eq!(delete(&format!("/v1/annotations/{id}")), 204);
    assert_eq!(names(""), ["after"]);
}
